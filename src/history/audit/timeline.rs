//! The history of an artifact: its records, joined by digest, and what bundles have told of it.
//!
//! A reference stands for every digest that it ever had. Carrying and refusing a bundle is joined by the digest of
//! the bundle's inventory; somebody who was refused, by the place where they wanted something. What a bundle has told is worth what its signature is worth, and is marked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::record::{AuditKind, AuditRecord, PastEvent};
use super::rows::record_of;
use crate::content::Result;
use crate::history::ledger::Ledger;
use crate::oci::Digest;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryOf {
    Digest(Digest),
    /// `REGISTRY/REPOSITORY:TAG`, or without the tag for all of them.
    Reference(String),
}

/// One event of an artifact's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEvent {
    pub time: Timestamp,
    pub kind: AuditKind,
    /// The record's number; `None` for what a bundle has told.
    pub number: Option<u64>,
    /// The inventory of the bundle that has told it.
    pub told_by: Option<Digest>,
    pub run: Option<String>,
    pub who: Option<String>,
    pub comment: Option<String>,
    pub trigger: Option<String>,
    pub pipeline: Option<String>,
    pub source: Option<String>,
    pub target: Option<String>,
    /// `None` for what happened to a bundle as a whole.
    pub digest: Option<Digest>,
    pub replaced: Option<Digest>,
    pub rollback_tag: Option<String>,
    pub bundle: Option<String>,
    pub inventory: Option<Digest>,
    pub sequence: Option<u64>,
    pub reason: Option<String>,
}

const BY_DIGEST: &str = "digest = $1";
const BY_INVENTORY: &str = "inventory = $1 AND digest IS NULL";
/// Of one reference, or of all tags and digests of a repository.
const BY_REFERENCE: &str = "source = $1 OR target = $1
    OR source LIKE $2 ESCAPE '!' OR source LIKE $3 ESCAPE '!'
    OR target LIKE $2 ESCAPE '!' OR target LIKE $3 ESCAPE '!'";
/// Somebody was refused before there was any content.
const OF_SOMEBODY: &str = "kind = 'refused' AND digest IS NULL AND bundle IS NULL";
/// Within the lists of what bundles have told and of what was refused.
const BY_MENTION: &str = "past LIKE $1 ESCAPE '!' OR artifacts LIKE $1 ESCAPE '!'";

impl Ledger {
    /// What is known of the artifact, the oldest first.
    pub async fn find_history(&self, of: &HistoryOf) -> Result<Vec<TimelineEvent>> {
        let digests = match of {
            HistoryOf::Digest(digest) => BTreeSet::from([digest.clone()]),
            HistoryOf::Reference(reference) => self.find_digests(reference).await?,
        };
        let mut records = BTreeMap::new();
        for digest in &digests {
            let text = digest.to_string();
            let mentioned = like_member("digest", &text, Member::Whole);
            let of_digest = self.find_records(BY_DIGEST, &[&text]).await?;
            let mentioning = self.find_records(BY_MENTION, &[&mentioned]).await?;
            let mentioning = mentioning
                .into_iter()
                .filter(|record| record.kind == AuditKind::Refused);
            keep(&mut records, of_digest.into_iter().chain(mentioning));
        }
        let inventories: BTreeSet<Digest> = records
            .values()
            .filter_map(|record: &AuditRecord| record.inventory.clone())
            .collect();
        for inventory in inventories {
            let text = inventory.to_string();
            keep(
                &mut records,
                self.find_records(BY_INVENTORY, &[&text]).await?,
            );
        }
        if let HistoryOf::Reference(reference) = of {
            let refused = self.find_records(OF_SOMEBODY, &[]).await?;
            let here = |record: &AuditRecord| concerns(record, reference);
            keep(&mut records, refused.into_iter().filter(here));
        }
        Ok(join(&records.into_values().collect::<Vec<_>>(), &digests))
    }

    /// What is known of the artifact with this very digest, apart from bundles that were carried or refused.
    pub async fn find_past(&self, digest: &Digest) -> Result<Vec<TimelineEvent>> {
        let records = self.find_records(BY_DIGEST, &[&digest.to_string()]).await?;
        Ok(join(&records, &BTreeSet::from([digest.clone()])))
    }

    /// Every digest that the reference ever had, as far as is known.
    async fn find_digests(&self, reference: &str) -> Result<BTreeSet<Digest>> {
        let tags = format!("{}:%", escape_like(reference));
        let pins = format!("{}@%", escape_like(reference));
        let direct = self
            .find_records(BY_REFERENCE, &[reference, &tags, &pins])
            .await?;
        let mut digests: BTreeSet<Digest> = BTreeSet::new();
        for record in direct {
            let is_target = record.target.as_deref() == Some(reference);
            digests.extend(record.digest);
            digests.extend(record.replaced.filter(|_| is_target));
        }
        for name in ["source", "target"] {
            for member in [Member::Whole, Member::Start] {
                let pattern = like_member(name, reference, member);
                for record in self.find_records(BY_MENTION, &[&pattern]).await? {
                    let refused = record.artifacts.into_iter();
                    let refused = refused.filter(|it| is_of(&it.target, reference));
                    digests.extend(refused.map(|artifact| artifact.digest));
                    digests.extend(record.digest);
                }
            }
        }
        Ok(digests)
    }

    async fn find_records(&self, condition: &str, values: &[&str]) -> Result<Vec<AuditRecord>> {
        let text = format!("SELECT * FROM audit WHERE {condition} ORDER BY number");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for value in values {
            query = query.bind(*value);
        }
        let rows = query
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("cannot read the audit log"))?;
        rows.iter()
            .map(|row| record_of(row).ok_or_else(|| self.damaged("a record of the audit log")))
            .collect()
    }
}

/// Whether somebody wanted the reference, or what it lies in.
fn concerns(record: &AuditRecord, reference: &str) -> bool {
    let mut ends = record.source.iter().chain(&record.target);
    ends.any(|end| is_of(end, reference) || is_within(reference, end))
}

/// Whether the reference lies in a registry, below a prefix of it, or in a layout.
fn is_within(reference: &str, place: &str) -> bool {
    let separator = match place.starts_with("oci:") {
        true => ':',
        false => '/',
    };
    let rest = reference.strip_prefix(place);
    rest.is_some_and(|rest| rest.starts_with(separator))
}

/// Whether the text is the reference, or one of its tags or digests.
fn is_of(text: &str, reference: &str) -> bool {
    let rest = text.strip_prefix(reference);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
}

fn keep(records: &mut BTreeMap<u64, AuditRecord>, found: impl IntoIterator<Item = AuditRecord>) {
    records.extend(found.into_iter().map(|record| (record.number, record)));
}

#[derive(Clone, Copy)]
enum Member {
    Whole,
    /// A repository: its tags follow.
    Start,
}

/// A pattern for JSON that has this text as the value of a member.
fn like_member(name: &str, text: &str, member: Member) -> String {
    let text = serde_json::to_string(text).unwrap_or_default();
    let text = escape_like(text.trim_matches('"'));
    match member {
        Member::Whole => format!("%\"{name}\":\"{text}\"%"),
        Member::Start => format!("%\"{name}\":\"{text}:%"),
    }
}

fn escape_like(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            escaped.push('!');
        }
        escaped.push(c);
    }
    escaped
}

/// Records and what they have been told, in the order of time. Pure.
pub(super) fn join(records: &[AuditRecord], digests: &BTreeSet<Digest>) -> Vec<TimelineEvent> {
    let mut events: Vec<TimelineEvent> = records.iter().map(of_record).collect();
    let mut told: Vec<TimelineEvent> = Vec::new();
    for record in records {
        let Some(digest) = record.digest.as_ref().filter(|it| digests.contains(it)) else {
            continue;
        };
        for past in &record.past {
            let event = of_past(past, digest, record.inventory.as_ref());
            let is_known = events
                .iter()
                .chain(&told)
                .any(|known| is_same(known, &event));
            if !is_known {
                told.push(event);
            }
        }
    }
    events.extend(told);
    // Bundles tell their time in seconds. In the same one what was told comes first, in the order in which it was
    // told, and then what was recorded.
    events.sort_by_key(|event| (event.time.as_second(), event.number));
    events
}

/// Whether a bundle tells what is known already, from this ledger or from another bundle.
fn is_same(known: &TimelineEvent, told: &TimelineEvent) -> bool {
    let is_same_export = told.kind == AuditKind::Exported && known.inventory == told.inventory;
    known.kind == told.kind
        && known.digest == told.digest
        && known.source == told.source
        && (is_same_export || (known.time == told.time && known.target == told.target))
}

fn of_record(record: &AuditRecord) -> TimelineEvent {
    let record = record.clone();
    TimelineEvent {
        time: record.time,
        kind: record.kind,
        number: Some(record.number),
        told_by: None,
        run: record.run,
        who: Some(record.who),
        comment: record.comment,
        trigger: Some(record.trigger),
        pipeline: record.pipeline,
        source: record.source,
        target: record.target,
        digest: record.digest,
        replaced: record.replaced,
        rollback_tag: record.rollback_tag,
        bundle: record.bundle,
        inventory: record.inventory,
        sequence: record.sequence,
        reason: record.reason,
    }
}

fn of_past(past: &PastEvent, digest: &Digest, teller: Option<&Digest>) -> TimelineEvent {
    let past = past.clone();
    TimelineEvent {
        time: past.time,
        kind: past.kind,
        number: None,
        told_by: teller.cloned(),
        run: None,
        who: past.who,
        comment: past.comment,
        trigger: None,
        pipeline: past.pipeline,
        source: past.source,
        target: past.target,
        digest: Some(digest.clone()),
        replaced: None,
        rollback_tag: None,
        bundle: past.bundle,
        inventory: past.inventory,
        sequence: None,
        reason: None,
    }
}
