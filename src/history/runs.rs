//! Records of runs: how they begin, how they end, and how a row is read. `find` looks for them.

use jiff::Timestamp;
use sqlx::Row;

use super::audit::{AuditHead, append, entries_of};
use super::dialect::Transaction;
use super::id::RunId;
use super::journal::{LogEvent, LogLine};
use super::ledger::{Ledger, count, millis, number, time};
use super::run::{
    ArtifactCounts, NewRun, RepositoryCounts, Run, RunKind, RunLink, RunOutcome, RunStatus, Trigger,
};
use super::run_bundles::insert_bundles;
use super::run_log::append_line;
use crate::content::{self, Result, escape_control};

const DOING: &str = "cannot record the run";

impl Ledger {
    /// Records that a run has started. Its lock is to be held already, and until its end.
    pub(super) async fn insert_run(&self, id: &RunId, run: &NewRun, now: Timestamp) -> Result<()> {
        let inserted = async {
            let mut transaction = self.begin().await?;
            insert(&mut transaction, id, run, now).await?;
            append_line(
                &mut transaction,
                id,
                &LogLine {
                    time: now,
                    event: LogEvent::Started,
                    text: show_start(run),
                },
            )
            .await?;
            transaction.commit().await
        };
        inserted.await.map_err(self.failed(DOING))
    }

    /// Records what came of a run that accepts nothing. Deliveries end with
    /// [`record_delivery`](Self::record_delivery).
    pub async fn end_run(&self, id: &RunId, outcome: &RunOutcome, now: Timestamp) -> Result<()> {
        let ended = async {
            let mut transaction = self.begin().await?;
            let head = end_run(&mut transaction, id, outcome, now).await?;
            transaction.commit().await?;
            Ok(head)
        };
        let head = ended.await.map_err(self.failed(DOING))?;
        self.note_head(head).await;
        Ok(())
    }

    pub(super) fn run_of(&self, row: &super::dialect::Row) -> Result<Run> {
        let read = || -> sqlx::Result<Option<Run>> {
            let (Some(kind), Some(trigger), Some(status)) = (
                RunKind::parse(row.try_get("kind")?),
                Trigger::parse(row.try_get("run_trigger")?),
                RunStatus::parse(row.try_get("status")?),
            ) else {
                return Ok(None);
            };
            let digest: Option<String> = row.try_get("inventory")?;
            let sequence: Option<i64> = row.try_get("sequence")?;
            let inventory = digest.and_then(|digest| digest.parse().ok());
            Ok(Some(Run {
                id: RunId::from_ledger(row.try_get("id")?),
                start: NewRun {
                    kind,
                    pipeline: row.try_get("pipeline")?,
                    trigger,
                    who: row.try_get("who")?,
                    comment: row.try_get("comment")?,
                    container: row.try_get("container")?,
                    target: row.try_get("target")?,
                    bundle: row.try_get("bundle")?,
                    set: row.try_get("set_id")?,
                    inventory: inventory.clone(),
                    sequence: sequence.map(count),
                    link: RunLink {
                        section: row.try_get("configured")?,
                        rerun_of: row
                            .try_get::<Option<String>, _>("rerun_of")?
                            .map(RunId::from_ledger),
                        named: read_names(row.try_get("named")?),
                    },
                },
                started: time(row.try_get("started_ms")?),
                ended: row.try_get::<Option<i64>, _>("ended_ms")?.map(time),
                outcome: RunOutcome {
                    status,
                    moved_bytes: count(row.try_get("moved_bytes")?),
                    present_bytes: count(row.try_get("present_bytes")?),
                    artifacts: counts_of(row)?,
                    repositories: Vec::new(),
                    reason: row.try_get("reason")?,
                    failures: Vec::new(),
                    events: Vec::new(),
                    bundles: Vec::new(),
                    inventory,
                    sequence: sequence.map(count),
                },
                cancel_asked_by: row.try_get("cancel_asked_by")?,
            }))
        };
        let run = read().map_err(self.failed("cannot read the run"))?;
        run.ok_or_else(|| self.damaged("a run"))
    }
}

pub(super) fn counts_of(row: &super::dialect::Row) -> sqlx::Result<ArtifactCounts> {
    Ok(ArtifactCounts {
        total: count(row.try_get("artifacts")?),
        delivered: count(row.try_get("artifacts_delivered")?),
        unchanged: count(row.try_get("artifacts_unchanged")?),
        kept: count(row.try_get("artifacts_kept")?),
        failed: count(row.try_get("artifacts_failed")?),
    })
}

/// Ends a run within a larger transaction; the new head of the audit log is to be noted after it.
pub(super) async fn end_run(
    transaction: &mut Transaction,
    id: &RunId,
    outcome: &RunOutcome,
    now: Timestamp,
) -> sqlx::Result<Option<AuditHead>> {
    let counts = &outcome.artifacts;
    sqlx::query(
        "UPDATE run SET status = $2, ended_ms = $3, moved_bytes = $4, artifacts = $5,
            artifacts_delivered = $6, artifacts_unchanged = $7, artifacts_kept = $8, artifacts_failed = $9,
            reason = $10, inventory = COALESCE($11, inventory), sequence = COALESCE($12, sequence),
            present_bytes = $13
         WHERE id = $1",
    )
    .bind(id.as_str())
    .bind(outcome.status.as_str())
    .bind(millis(now))
    .bind(number(outcome.moved_bytes))
    .bind(number(counts.total))
    .bind(number(counts.delivered))
    .bind(number(counts.unchanged))
    .bind(number(counts.kept))
    .bind(number(counts.failed))
    .bind(outcome.reason.as_deref().map(escape_control))
    .bind(outcome.inventory.as_ref().map(ToString::to_string))
    .bind(outcome.sequence.map(number))
    .bind(number(outcome.present_bytes))
    .execute(&mut **transaction)
    .await?;
    insert_failures(transaction, id, outcome).await?;
    insert_repositories(transaction, id, outcome).await?;
    insert_bundles(transaction, id, &outcome.bundles).await?;
    let line = LogLine {
        time: now,
        event: LogEvent::Ended,
        text: show_end(outcome),
    };
    append_line(transaction, id, &line).await?;
    append(transaction, id, &entries_of(outcome), now).await
}

async fn insert_failures(
    transaction: &mut Transaction,
    id: &RunId,
    outcome: &RunOutcome,
) -> sqlx::Result<()> {
    for (position, failure) in (0_i64..).zip(&outcome.failures) {
        sqlx::query(
            "INSERT INTO run_failure (run, position, artifact, reason) VALUES ($1, $2, $3, $4)
             ON CONFLICT (run, position) DO UPDATE SET artifact = excluded.artifact, reason = excluded.reason",
        )
        .bind(id.as_str())
        .bind(position)
        .bind(&failure.artifact)
        .bind(escape_control(&failure.reason))
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

async fn insert_repositories(
    transaction: &mut Transaction,
    id: &RunId,
    outcome: &RunOutcome,
) -> sqlx::Result<()> {
    for RepositoryCounts {
        repository,
        artifacts,
    } in &outcome.repositories
    {
        sqlx::query(
            "INSERT INTO run_repository (run, repository, artifacts, artifacts_delivered,
                artifacts_unchanged, artifacts_kept, artifacts_failed)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (run, repository) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(repository)
        .bind(number(artifacts.total))
        .bind(number(artifacts.delivered))
        .bind(number(artifacts.unchanged))
        .bind(number(artifacts.kept))
        .bind(number(artifacts.failed))
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

/// What is no list of ours names nothing.
fn read_names(text: Option<String>) -> Vec<String> {
    let names = text.and_then(|text| serde_json::from_str(&text).ok());
    names.unwrap_or_default()
}

fn write_names(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| serde_json::Value::from(names).to_string())
}

async fn insert(
    transaction: &mut Transaction,
    id: &RunId,
    run: &NewRun,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO run (id, kind, pipeline, run_trigger, who, status, started_ms, container, target,
            bundle, set_id, inventory, sequence, comment, configured, rerun_of, named)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(id.as_str())
    .bind(run.kind.as_str())
    .bind(&run.pipeline)
    .bind(run.trigger.as_str())
    .bind(&run.who)
    .bind(RunStatus::Running.as_str())
    .bind(millis(now))
    .bind(&run.container)
    .bind(&run.target)
    .bind(&run.bundle)
    .bind(&run.set)
    .bind(run.inventory.as_ref().map(ToString::to_string))
    .bind(run.sequence.map(number))
    .bind(run.comment.as_deref().map(escape_control))
    .bind(&run.link.section)
    .bind(run.link.rerun_of.as_ref().map(RunId::as_str))
    .bind(write_names(&run.link.named))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// `import of web-7 from /mnt/usb to registry.local:5000`, as far as it is known at the start.
fn show_start(run: &NewRun) -> String {
    let parts = [
        ("of", &run.bundle),
        ("from", &run.container),
        ("to", &run.target),
    ];
    let mut text = run.kind.as_str().to_owned();
    for (word, value) in parts {
        let word = match (run.kind, word) {
            (RunKind::Export, "from") => "to",
            (_, word) => word,
        };
        if let Some(value) = value {
            text.push_str(&format!(" {word} {value}"));
        }
    }
    escape_control(&text)
}

fn show_end(outcome: &RunOutcome) -> String {
    let ArtifactCounts {
        total,
        delivered,
        unchanged,
        kept,
        failed,
    } = &outcome.artifacts;
    let mut text = outcome.status.as_str().to_owned();
    if *total > 0 {
        text.push_str(&format!(
            ": {}, {delivered} delivered, {unchanged} unchanged, {kept} kept, {failed} failed; \
             {} bytes moved",
            content::count(*total, "artifact"),
            outcome.moved_bytes
        ));
    }
    if let Some(reason) = &outcome.reason {
        text.push_str(&format!(": {}", escape_control(reason)));
    }
    text
}
