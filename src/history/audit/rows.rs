//! Records as rows: appended in the transaction that they belong to, and read back.
//!
//! **Invariant.** Nothing here changes or deletes a record; the table refuses it too.

use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row as _;

use super::head::AuditHead;
use super::record::{AuditEntry, AuditKind, AuditRecord, RefusedArtifact, reference_at};
use crate::content::{Result, escape_control};
use crate::history::dialect::{ROLLBACK_TAGS, SOURCE_HOSTS};
use crate::history::dialect::{Row, Transaction};
use crate::history::id::RunId;
use crate::history::ledger::{Ledger, count, millis, number, time};
use crate::history::run::{RunOutcome, RunStatus, Trigger};
use crate::oci::Digest;

/// What all records of one run have in common.
#[derive(Clone, Debug)]
pub(in crate::history) struct Author {
    pub run: Option<String>,
    pub who: String,
    pub comment: Option<String>,
    pub trigger: String,
    pub pipeline: Option<String>,
    pub container: Option<String>,
    pub target: Option<String>,
    pub bundle: Option<String>,
    pub inventory: Option<String>,
    pub sequence: Option<i64>,
}

/// A bundle that was refused before there was a run for it.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub trigger: Trigger,
    pub who: String,
    pub comment: Option<String>,
    /// Where it came from, and where it was to go.
    pub source: Option<String>,
    pub target: Option<String>,
    /// What is known of its name, which may be the object's.
    pub bundle: Option<String>,
    pub reason: String,
}

/// A tag of a target that was made to stand for something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagMove {
    pub digest: Digest,
    /// What it stood for before, where that is known.
    pub replaced: Option<Digest>,
    pub rollback_tag: Option<String>,
    pub kind: AuditKind,
    pub run: Option<RunId>,
    pub time: Timestamp,
}

impl Author {
    /// Reads who and why from the run's record, and what became known of its bundle.
    async fn of_run(transaction: &mut Transaction, id: &RunId) -> sqlx::Result<Self> {
        let row = sqlx::query("SELECT * FROM run WHERE id = $1")
            .bind(id.as_str())
            .fetch_one(&mut **transaction)
            .await?;
        Ok(Self {
            run: Some(id.to_string()),
            who: row.try_get("who")?,
            comment: row.try_get("comment")?,
            trigger: row.try_get("run_trigger")?,
            pipeline: row.try_get("pipeline")?,
            container: row.try_get("container")?,
            target: row.try_get("target")?,
            bundle: row.try_get("bundle")?,
            inventory: row.try_get("inventory")?,
            sequence: row.try_get("sequence")?,
        })
    }

    /// The record of an entry, without its place in the chain.
    fn record(&self, entry: &AuditEntry, now: Timestamp) -> AuditRecord {
        let escape = |text: &Option<String>| text.as_deref().map(escape_control);
        let is_of_bundle = matches!(entry.kind, AuditKind::Refused | AuditKind::Transferred);
        let or_of_run = |own: &Option<String>, of_run: &Option<String>| match is_of_bundle {
            true => escape(own).or_else(|| escape(of_run)),
            false => escape(own),
        };
        let (bundle, inventory, sequence) = match &entry.bundle {
            Some(it) => (
                Some(escape_control(&it.name)),
                Some(it.inventory.clone()),
                it.sequence,
            ),
            None => (
                escape(&self.bundle),
                self.inventory.as_deref().and_then(|it| it.parse().ok()),
                self.sequence.map(count),
            ),
        };
        AuditRecord {
            number: 0,
            time: time(millis(now)),
            kind: entry.kind,
            run: self.run.clone(),
            who: escape_control(&self.who),
            comment: escape(&self.comment),
            trigger: self.trigger.clone(),
            pipeline: escape(&self.pipeline),
            source: or_of_run(&entry.source, &self.container),
            target: or_of_run(&entry.target, &self.target),
            digest: entry.digest.clone(),
            replaced: entry.replaced.clone(),
            rollback_tag: entry.rollback_tag.as_ref().map(ToString::to_string),
            bundle,
            inventory,
            sequence,
            reason: escape(&entry.reason),
            artifacts: entry.artifacts.clone(),
            past: entry.past.iter().map(super::PastEvent::escaped).collect(),
            previous: None,
            hash: None,
        }
    }
}

/// What a run is recorded by. One that was refused needs no entry of its own.
pub(in crate::history) fn entries_of(outcome: &RunOutcome) -> Vec<AuditEntry> {
    let is_told = |entry: &AuditEntry| entry.kind == AuditKind::Refused;
    let mut entries = outcome.events.clone();
    if outcome.status == RunStatus::Refused && !entries.iter().any(is_told) {
        entries.push(AuditEntry {
            reason: outcome.reason.clone(),
            ..AuditEntry::new(AuditKind::Refused)
        });
    }
    entries
}

/// Appends a run's entries; what it says is the new head, to be noted after the commit.
pub(in crate::history) async fn append(
    transaction: &mut Transaction,
    run: &RunId,
    entries: &[AuditEntry],
    now: Timestamp,
) -> sqlx::Result<Option<AuditHead>> {
    if entries.is_empty() {
        return Ok(None);
    }
    let author = Author::of_run(transaction, run).await?;
    append_as(transaction, &author, entries, now).await
}

/// The same for what no run has done.
pub(in crate::history) async fn append_as(
    transaction: &mut Transaction,
    author: &Author,
    entries: &[AuditEntry],
    now: Timestamp,
) -> sqlx::Result<Option<AuditHead>> {
    let last: Option<(i64, String)> =
        sqlx::query_as("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
            .fetch_optional(&mut **transaction)
            .await?;
    let (mut newest, mut previous) = match last {
        // A hash that is none breaks the chain here, and whoever verifies it is told where.
        Some((number, hash)) => (count(number), hash.parse().ok()),
        None => (0, None),
    };
    for entry in entries {
        newest += 1;
        let record = AuditRecord {
            number: newest,
            previous: previous.take(),
            ..author.record(entry, now)
        };
        let record = record.seal();
        insert(transaction, &record).await?;
        previous = record.hash;
    }
    Ok(previous.map(|hash| AuditHead {
        number: newest,
        hash,
    }))
}

async fn insert(transaction: &mut Transaction, record: &AuditRecord) -> sqlx::Result<()> {
    let text = |digest: &Option<Digest>| digest.as_ref().map(ToString::to_string);
    sqlx::query(
        "INSERT INTO audit (number, time_ms, kind, run, who, comment, run_trigger, pipeline, source, target,
            digest, replaced, rollback_tag, bundle, inventory, sequence, reason, artifacts, past, previous, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
    )
    .bind(number(record.number))
    .bind(millis(record.time))
    .bind(record.kind.as_str())
    .bind(&record.run)
    .bind(&record.who)
    .bind(&record.comment)
    .bind(&record.trigger)
    .bind(&record.pipeline)
    .bind(&record.source)
    .bind(&record.target)
    .bind(text(&record.digest))
    .bind(text(&record.replaced))
    .bind(&record.rollback_tag)
    .bind(&record.bundle)
    .bind(text(&record.inventory))
    .bind(record.sequence.map(number))
    .bind(&record.reason)
    .bind(list_column(&record.artifacts))
    .bind(list_column(&record.past))
    .bind(text(&record.previous))
    .bind(text(&record.hash))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn is_recorded(transaction: &mut Transaction, refusal: &Refusal) -> sqlx::Result<bool> {
    let (count,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM audit WHERE target = $1 AND kind = $2 AND reason = $3",
    )
    .bind(refusal.target.as_deref().map(escape_control))
    .bind(AuditKind::Refused.as_str())
    .bind(escape_control(&refusal.reason))
    .fetch_one(&mut **transaction)
    .await?;
    Ok(count > 0)
}

/// JSON, or nothing for an empty list.
fn list_column<T: serde::Serialize>(list: &[T]) -> Option<String> {
    match list.is_empty() {
        true => None,
        false => serde_json::to_string(list).ok(),
    }
}

/// A column holds what no record has.
struct Unreadable;

impl From<sqlx::Error> for Unreadable {
    fn from(_: sqlx::Error) -> Self {
        Self
    }
}

/// The record of a row; `None` where a column holds what no record has.
pub(super) fn record_of(row: &Row) -> Option<AuditRecord> {
    read_record(row).ok()
}

fn read_record(row: &Row) -> Result<AuditRecord, Unreadable> {
    let unsigned = |number: i64| u64::try_from(number).map_err(|_| Unreadable);
    let kind = AuditKind::parse(row.try_get("kind")?);
    let time = Timestamp::from_millisecond(row.try_get("time_ms")?);
    let sequence: Option<i64> = row.try_get("sequence")?;
    Ok(AuditRecord {
        number: unsigned(row.try_get("number")?)?,
        time: time.map_err(|_| Unreadable)?,
        kind: kind.ok_or(Unreadable)?,
        run: row.try_get("run")?,
        who: row.try_get("who")?,
        comment: row.try_get("comment")?,
        trigger: row.try_get("run_trigger")?,
        pipeline: row.try_get("pipeline")?,
        source: row.try_get("source")?,
        target: row.try_get("target")?,
        digest: read_digest(row, "digest")?,
        replaced: read_digest(row, "replaced")?,
        rollback_tag: row.try_get("rollback_tag")?,
        bundle: row.try_get("bundle")?,
        inventory: read_digest(row, "inventory")?,
        sequence: sequence.map(unsigned).transpose()?,
        reason: row.try_get("reason")?,
        artifacts: read_list::<RefusedArtifact>(row, "artifacts")?,
        past: read_list(row, "past")?,
        previous: read_digest(row, "previous")?,
        hash: read_digest(row, "hash")?,
    })
}

fn read_digest(row: &Row, column: &str) -> Result<Option<Digest>, Unreadable> {
    let text: Option<String> = row.try_get(column)?;
    let digest = text.map(|text| text.parse()).transpose();
    digest.map_err(|_| Unreadable)
}

fn read_list<T: DeserializeOwned>(row: &Row, column: &str) -> Result<Vec<T>, Unreadable> {
    let text: Option<String> = row.try_get(column)?;
    match text {
        Some(text) => serde_json::from_str(&text).map_err(|_| Unreadable),
        None => Ok(Vec::new()),
    }
}

impl Ledger {
    /// The records after a number, in their order. What cannot be read as a record is `None` in its place.
    pub fn read_audit(&self, after: u64) -> impl Stream<Item = Result<Option<AuditRecord>>> + '_ {
        let rows = sqlx::query("SELECT * FROM audit WHERE number > $1 OR $1 = 0 ORDER BY number")
            .bind(number(after))
            .fetch(self.pool());
        rows.map(|row| {
            let row = row.map_err(self.failed("cannot read the audit log"))?;
            Ok(record_of(&row))
        })
    }

    /// The number of the last record before `time`; 0 where there is none.
    pub async fn find_record_before(&self, time: Timestamp) -> Result<u64> {
        let (last,): (Option<i64>,) =
            sqlx::query_as("SELECT MAX(number) FROM audit WHERE time_ms < $1")
                .bind(millis(time))
                .fetch_one(self.pool())
                .await
                .map_err(self.failed("cannot read the audit log"))?;
        Ok(last.map_or(0, count))
    }

    /// Records a bundle that was refused before there was a run for it. The same refusal is recorded once: a watch
    /// meets it again whenever it starts.
    pub async fn record_refusal(&self, refusal: &Refusal, now: Timestamp) -> Result<()> {
        let author = Author {
            run: None,
            who: refusal.who.clone(),
            comment: refusal.comment.clone(),
            trigger: refusal.trigger.as_str().to_owned(),
            pipeline: None,
            container: refusal.source.clone(),
            target: refusal.target.clone(),
            bundle: refusal.bundle.clone(),
            inventory: None,
            sequence: None,
        };
        let entry = AuditEntry {
            reason: Some(refusal.reason.clone()),
            ..AuditEntry::new(AuditKind::Refused)
        };
        let appended = async {
            let mut transaction = self.begin().await?;
            if is_recorded(&mut transaction, refusal).await? {
                return Ok(None);
            }
            let head = append_as(&mut transaction, &author, &[entry], now).await?;
            transaction.commit().await?;
            Ok(head)
        };
        let head = appended
            .await
            .map_err(self.failed("cannot record the refusal"))?;
        self.note_head(head).await;
        Ok(())
    }

    /// Hosts of the registries that what was imported to `target`, or below it, came from.
    pub async fn list_source_hosts(&self, target: &str) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(SOURCE_HOSTS)
            .bind(format!("{target}/"))
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("cannot read the audit log"))?;
        Ok(rows.into_iter().map(|(host,)| host).collect())
    }

    /// Rollback tags that were given in a repository, `REGISTRY/REPOSITORY` or `oci:PATH:REPOSITORY`.
    pub async fn list_rollback_tags(&self, repository: &str) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(ROLLBACK_TAGS)
            .bind(format!("{repository}:"))
            .bind(format!("{repository};"))
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("cannot read the audit log"))?;
        Ok(rows.into_iter().map(|(tag,)| tag).collect())
    }

    /// Whether an export is recorded of the bundle with this inventory.
    pub async fn has_exported(&self, inventory: &Digest) -> Result<bool> {
        let (count,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM audit WHERE inventory = $1 AND kind = $2")
                .bind(inventory.to_string())
                .bind(AuditKind::Exported.as_str())
                .fetch_one(self.pool())
                .await
                .map_err(self.failed("cannot read the audit log"))?;
        Ok(count > 0)
    }

    /// What `reference`, `REPOSITORY:TAG` at a target `REGISTRY[/PREFIX]` or `oci:PATH`, was made to stand for, the
    /// newest first. What found the tag as it had to be has moved nothing, and is not among them.
    pub async fn list_tag_moves(&self, target: &str, reference: &str) -> Result<Vec<TagMove>> {
        let rows = sqlx::query(
            "SELECT * FROM audit WHERE target = $1 AND digest IS NOT NULL
                AND (replaced IS NULL OR replaced <> digest) ORDER BY number DESC",
        )
        .bind(reference_at(target, reference))
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read the audit log"))?;
        rows.iter()
            .map(|row| {
                let unreadable = || self.damaged("a record of the audit log");
                let record = record_of(row).ok_or_else(unreadable)?;
                Ok(TagMove {
                    digest: record.digest.ok_or_else(unreadable)?,
                    replaced: record.replaced,
                    rollback_tag: record.rollback_tag,
                    kind: record.kind,
                    run: record.run.map(RunId::from_ledger),
                    time: record.time,
                })
            })
            .collect()
    }
}
