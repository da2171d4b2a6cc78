//! Records of runs: begun, ended, listed.

use jiff::Timestamp;
use sqlx::Row;

use super::dialect::Transaction;
use super::id::RunId;
use super::ledger::{Ledger, count, millis, number, time};
use super::run::{
    ArtifactCounts, NewRun, Run, RunFailure, RunKind, RunOutcome, RunStatus, Trigger,
};
use crate::content::{Result, escape_control};

const DOING: &str = "cannot record the run";

impl Ledger {
    /// Records that a run has started.
    pub async fn start_run(&self, run: &NewRun, now: Timestamp) -> Result<RunId> {
        let id = RunId::generate(now)?;
        sqlx::query(
            "INSERT INTO run (id, kind, pipeline, run_trigger, who, status, started_ms, container, target,
                bundle, set_id, inventory, sequence)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
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
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(id)
    }

    /// Records what came of a run that accepts nothing. Deliveries end with
    /// [`record_delivery`](Self::record_delivery).
    pub async fn end_run(&self, id: &RunId, outcome: &RunOutcome, now: Timestamp) -> Result<()> {
        let ended = async {
            let mut transaction = self.begin().await?;
            end_run(&mut transaction, id, outcome, now).await?;
            transaction.commit().await
        };
        ended.await.map_err(self.failed(DOING))
    }

    /// Marks what a killed process has left.
    pub(super) async fn interrupt_abandoned_runs(&self, now: Timestamp) -> Result<()> {
        sqlx::query(
            "UPDATE run SET status = $1, ended_ms = $2, reason = 'the process ended without saying why'
             WHERE status = $3",
        )
        .bind(RunStatus::Interrupted.as_str())
        .bind(millis(now))
        .bind(RunStatus::Running.as_str())
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(())
    }

    /// The newest runs first, at most `limit`.
    pub async fn list_runs(&self, limit: u32) -> Result<Vec<Run>> {
        let rows = sqlx::query("SELECT * FROM run ORDER BY id DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("cannot list the runs"))?;
        rows.iter().map(|row| self.run_of(row)).collect()
    }

    pub async fn find_run(&self, id: &RunId) -> Result<Option<Run>> {
        let row = sqlx::query("SELECT * FROM run WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(self.failed("cannot read the run"))?;
        row.map(|row| self.run_of(&row)).transpose()
    }

    /// What a run could not move, in the order in which it was told.
    pub async fn list_failures(&self, id: &RunId) -> Result<Vec<RunFailure>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT artifact, reason FROM run_failure WHERE run = $1 ORDER BY position",
        )
        .bind(id.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read the run"))?;
        let failure = |(artifact, reason)| RunFailure { artifact, reason };
        Ok(rows.into_iter().map(failure).collect())
    }

    fn run_of(&self, row: &super::dialect::Row) -> Result<Run> {
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
                    container: row.try_get("container")?,
                    target: row.try_get("target")?,
                    bundle: row.try_get("bundle")?,
                    set: row.try_get("set_id")?,
                    inventory: inventory.clone(),
                    sequence: sequence.map(count),
                },
                started: time(row.try_get("started_ms")?),
                ended: row.try_get::<Option<i64>, _>("ended_ms")?.map(time),
                outcome: RunOutcome {
                    status,
                    moved_bytes: count(row.try_get("moved_bytes")?),
                    artifacts: counts_of(row)?,
                    reason: row.try_get("reason")?,
                    failures: Vec::new(),
                    inventory,
                    sequence: sequence.map(count),
                },
            }))
        };
        let run = read().map_err(self.failed("cannot read the run"))?;
        run.ok_or_else(|| self.damaged("a run"))
    }
}

fn counts_of(row: &super::dialect::Row) -> sqlx::Result<ArtifactCounts> {
    Ok(ArtifactCounts {
        total: count(row.try_get("artifacts")?),
        delivered: count(row.try_get("artifacts_delivered")?),
        unchanged: count(row.try_get("artifacts_unchanged")?),
        kept: count(row.try_get("artifacts_kept")?),
        failed: count(row.try_get("artifacts_failed")?),
    })
}

/// Ends a run within a larger transaction.
pub(super) async fn end_run(
    transaction: &mut Transaction,
    id: &RunId,
    outcome: &RunOutcome,
    now: Timestamp,
) -> sqlx::Result<()> {
    let counts = &outcome.artifacts;
    sqlx::query(
        "UPDATE run SET status = $2, ended_ms = $3, moved_bytes = $4, artifacts = $5,
            artifacts_delivered = $6, artifacts_unchanged = $7, artifacts_kept = $8, artifacts_failed = $9,
            reason = $10, inventory = COALESCE($11, inventory), sequence = COALESCE($12, sequence)
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
    .execute(&mut **transaction)
    .await?;
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
