//! What every one of some lanes has, as far as it is known: what the next export need not carry.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::payload::{ContentKind, is_meant_for};
use crate::content::Result;
use crate::history::id::PipelineId;
use crate::history::ledger::{Ledger, count};
use crate::oci::Digest;

/// On what the knowledge may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// What the lanes have confirmed.
    #[default]
    Confirmed,
    /// Also what was sent to them and has not been answered, for links that go one way.
    AssumeDelivered,
}

/// A content that is known to be at all of the lanes' targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub size_bytes: u64,
    pub kind: ContentKind,
    /// By their names at the source: those in which every one of the lanes has it.
    pub repositories: BTreeSet<String>,
    /// The first bundle that has brought it; where the lanes got it at different times, the last of these. 0 where no
    /// bundle has.
    pub sequence: u64,
    pub why: Why,
}

/// Why something is known to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    Sent,
    Confirmed,
}

/// A bundle that was sent, and what decides whether a lane may be thought to have it.
struct Sent {
    sequence: u64,
    audience: Option<String>,
}

#[derive(sqlx::FromRow)]
struct ContentRow {
    digest: String,
    repository: String,
    kind: String,
    size_bytes: i64,
    first_sequence: i64,
    last_sequence: i64,
}

type KnownContents = BTreeMap<Digest, Known>;

impl Ledger {
    /// What all of the lanes have, by digest; nothing where no lane is named.
    pub async fn list_known(
        &self,
        pipeline: &PipelineId,
        lanes: &[String],
        basis: Basis,
    ) -> Result<KnownContents> {
        let mut common: Option<KnownContents> = None;
        for lane in lanes {
            let known = self.list_known_of(pipeline, lane, basis).await?;
            common = Some(match common {
                None => known,
                Some(others) => intersect(others, &known),
            });
        }
        Ok(common.unwrap_or_default())
    }

    async fn list_known_of(
        &self,
        pipeline: &PipelineId,
        lane: &str,
        basis: Basis,
    ) -> Result<KnownContents> {
        let mut known = KnownContents::new();
        if basis == Basis::AssumeDelivered {
            self.add_sent(&mut known, pipeline, lane).await?;
        }
        let rows: Vec<ContentRow> = sqlx::query_as(
            "SELECT digest, repository, kind, size_bytes, since_sequence AS first_sequence,
                since_sequence AS last_sequence
             FROM confirmed WHERE pipeline = $1 AND lane = $2",
        )
        .bind(pipeline.as_str())
        .bind(lane)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read what the lanes have"))?;
        for row in rows {
            let sequence = count(row.first_sequence);
            self.add(&mut known, row, (sequence, Why::Confirmed))?;
        }
        Ok(known)
    }

    async fn add_sent(
        &self,
        known: &mut KnownContents,
        pipeline: &PipelineId,
        lane: &str,
    ) -> Result<()> {
        let sent = self.list_unanswered(pipeline, lane).await?;
        let missing = self.list_missing(pipeline, lane).await?;
        let rows: Vec<ContentRow> = sqlx::query_as(
            "SELECT digest, repository, kind, size_bytes, first_sequence, last_sequence
             FROM delivers WHERE pipeline = $1 ORDER BY first_sequence",
        )
        .bind(pipeline.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read what was sent"))?;
        for row in rows {
            let after = missing.get(&row.digest).copied().unwrap_or(0);
            let range = count(row.first_sequence).max(after + 1)..=count(row.last_sequence);
            // Sequences are in order.
            let first = sent.partition_point(|it| it.sequence < *range.start());
            if let Some(first) = sent.get(first).filter(|it| range.contains(&it.sequence)) {
                let sequence = first.sequence;
                self.add(known, row, (sequence, Why::Sent))?;
            }
        }
        Ok(())
    }

    /// Bundles that are visible, meant for the lane, and of which it has not said what it took; lowest first.
    async fn list_unanswered(&self, pipeline: &PipelineId, lane: &str) -> Result<Vec<Sent>> {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
            "SELECT sequence, audience FROM exported
             WHERE pipeline = $1 AND published_ms IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM receipt WHERE receipt.pipeline = $1 AND receipt.lane = $2
                    AND receipt.sequence = exported.sequence
             ) ORDER BY sequence",
        )
        .bind(pipeline.as_str())
        .bind(lane)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read what was sent"))?;
        let sent = rows.into_iter().map(|(sequence, audience)| Sent {
            sequence: count(sequence),
            audience,
        });
        let sent = sent.filter(|it| is_meant_for(it.audience.as_deref(), lane));
        Ok(sent.collect())
    }

    async fn list_missing(
        &self,
        pipeline: &PipelineId,
        lane: &str,
    ) -> Result<HashMap<String, u64>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT digest, after_sequence FROM missing WHERE pipeline = $1 AND lane = $2",
        )
        .bind(pipeline.as_str())
        .bind(lane)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read what is missing"))?;
        let after = |(digest, after)| (digest, count(after));
        Ok(rows.into_iter().map(after).collect())
    }

    /// What is confirmed of a content takes the place of what is only thought; its repositories are added up.
    fn add(
        &self,
        known: &mut KnownContents,
        row: ContentRow,
        (sequence, why): (u64, Why),
    ) -> Result<()> {
        let digest: Digest = row.digest.parse().map_err(|_| self.damaged("a digest"))?;
        let kind = ContentKind::parse(&row.kind);
        let kind = kind.ok_or_else(|| self.damaged("a kind of content"))?;
        let entry = known.entry(digest).or_insert_with(|| Known {
            size_bytes: count(row.size_bytes),
            kind,
            repositories: BTreeSet::new(),
            sequence,
            why,
        });
        if why > entry.why {
            (entry.why, entry.sequence) = (why, sequence);
        }
        if why == entry.why {
            entry.sequence = entry.sequence.min(sequence);
        }
        entry.repositories.insert(row.repository);
        Ok(())
    }
}

/// What both have, in the repositories in which both have it.
fn intersect(one: KnownContents, other: &KnownContents) -> KnownContents {
    let both = one.into_iter().filter_map(|(digest, mut known)| {
        let also = other.get(&digest)?;
        known
            .repositories
            .retain(|repository| also.repositories.contains(repository));
        known.sequence = known.sequence.max(also.sequence);
        known.why = known.why.min(also.why);
        (!known.repositories.is_empty()).then_some((digest, known))
    });
    both.collect()
}
