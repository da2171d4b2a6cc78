//! The lanes of what is exported here, for people: what was sent to each, and what it has confirmed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::Timestamp;

use super::payload::is_meant_for;
use super::receipts::ReceiptBasis;
use crate::content::Result;
use crate::history::id::PipelineId;
use crate::history::ledger::{Ledger, count, time};

/// What was sent to one lane, and what it has confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneState {
    pub pipeline: String,
    pub pipeline_id: PipelineId,
    /// Empty for bundles that are meant for any lane, where none has answered.
    pub lane: String,
    /// The newest bundle that is visible and meant for it.
    pub sent: Option<u64>,
    /// The newest bundle that it has confirmed completely.
    pub confirmed: Option<u64>,
    /// Bundles that were sent and are not confirmed completely.
    pub missing: Vec<RangeInclusive<u64>>,
    /// By what the newest answer was known.
    pub basis: Option<ReceiptBasis>,
    pub answered: Option<Timestamp>,
    /// Who has brought it.
    pub answered_by: Option<String>,
    /// Contents that it has reported missing and that no later bundle has.
    pub missing_contents: u64,
    /// What bundles did not have to carry because it is assumed to be there.
    pub saved_bytes: u64,
}

struct SentBundle {
    sequence: u64,
    audience: Option<String>,
    saved_bytes: u64,
}

#[derive(sqlx::FromRow)]
struct AnswerRow {
    lane: String,
    basis: String,
    sequence: i64,
    is_complete: bool,
    confirmed_by: String,
    confirmed_ms: i64,
}

const DOING: &str = "cannot read the lanes";

impl Ledger {
    /// All lanes of all pipelines that are exported here, by their names.
    pub async fn list_lanes(&self) -> Result<Vec<LaneState>> {
        let pipelines: Vec<(String, String)> =
            sqlx::query_as("SELECT id, name FROM pipeline ORDER BY name")
                .fetch_all(self.pool())
                .await
                .map_err(self.failed(DOING))?;
        let mut lanes = Vec::new();
        for (id, name) in pipelines {
            let id = id.parse().map_err(|_| self.damaged("a pipeline id"))?;
            lanes.extend(self.list_lanes_of(&id, &name).await?);
        }
        Ok(lanes)
    }

    async fn list_lanes_of(&self, pipeline: &PipelineId, name: &str) -> Result<Vec<LaneState>> {
        let sent = self.list_sent(pipeline).await?;
        let answers: Vec<AnswerRow> = sqlx::query_as(
            "SELECT lane, basis, sequence, is_complete, confirmed_by, confirmed_ms FROM receipt
             WHERE pipeline = $1 ORDER BY confirmed_ms, created_ms",
        )
        .bind(pipeline.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        let missing = self.count_missing(pipeline).await?;
        let lanes = name_lanes(&sent, &answers, missing.keys());
        lanes
            .into_iter()
            .map(|lane| {
                let state = LaneState {
                    missing_contents: missing.get(&lane).copied().unwrap_or(0),
                    ..state_of((pipeline, name), lane, &sent)
                };
                self.with_answers(state, &answers)
            })
            .collect()
    }

    async fn list_sent(&self, pipeline: &PipelineId) -> Result<Vec<SentBundle>> {
        let rows: Vec<(i64, Option<String>, i64)> = sqlx::query_as(
            "SELECT sequence, audience, saved_bytes FROM exported
             WHERE pipeline = $1 AND published_ms IS NOT NULL ORDER BY sequence",
        )
        .bind(pipeline.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        let bundle = |(sequence, audience, saved_bytes)| SentBundle {
            sequence: count(sequence),
            audience,
            saved_bytes: count(saved_bytes),
        };
        Ok(rows.into_iter().map(bundle).collect())
    }

    async fn count_missing(&self, pipeline: &PipelineId) -> Result<BTreeMap<String, u64>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT lane, COUNT(*) FROM missing WHERE pipeline = $1 AND NOT EXISTS (
                SELECT 1 FROM delivers WHERE delivers.pipeline = $1 AND delivers.digest = missing.digest
                    AND delivers.last_sequence > missing.after_sequence
             ) GROUP BY lane",
        )
        .bind(pipeline.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        let counted = |(lane, contents)| (lane, count(contents));
        Ok(rows.into_iter().map(counted).collect())
    }

    fn with_answers(&self, mut state: LaneState, answers: &[AnswerRow]) -> Result<LaneState> {
        let own: Vec<&AnswerRow> = answers.iter().filter(|it| it.lane == state.lane).collect();
        let complete: BTreeSet<u64> = own
            .iter()
            .filter(|it| it.is_complete)
            .map(|it| count(it.sequence))
            .collect();
        state.confirmed = complete.last().copied();
        state.missing = state
            .missing
            .into_iter()
            .flatten()
            .filter(|sequence| !complete.contains(sequence))
            .fold(Vec::new(), add_to_ranges);
        if let Some(newest) = own.last() {
            let basis = ReceiptBasis::parse(&newest.basis);
            state.basis = Some(basis.ok_or_else(|| self.damaged("the basis of a receipt"))?);
            state.answered = Some(time(newest.confirmed_ms));
            state.answered_by = Some(newest.confirmed_by.clone());
        }
        Ok(state)
    }
}

/// The names of all lanes that bundles are meant for, or that have answered; none is one that may be anybody's.
fn name_lanes<'a>(
    sent: &[SentBundle],
    answers: &[AnswerRow],
    missing: impl Iterator<Item = &'a String>,
) -> BTreeSet<String> {
    let audiences = sent.iter().filter_map(|bundle| bundle.audience.as_deref());
    let mut lanes: BTreeSet<String> = audiences
        .flat_map(|names| serde_json::from_str::<Vec<String>>(names).unwrap_or_default())
        .collect();
    lanes.extend(answers.iter().map(|it| it.lane.clone()));
    lanes.extend(missing.cloned());
    if lanes.is_empty() {
        lanes.insert(String::new());
    }
    lanes
}

/// What was sent to the lane; each bundle of it stands in `missing` as long as nothing is known of answers.
fn state_of((pipeline, name): (&PipelineId, &str), lane: String, sent: &[SentBundle]) -> LaneState {
    let is_for_it = |it: &&SentBundle| is_meant_for(it.audience.as_deref(), &lane);
    let own: Vec<&SentBundle> = sent.iter().filter(is_for_it).collect();
    LaneState {
        pipeline: name.to_owned(),
        pipeline_id: pipeline.clone(),
        sent: own.last().map(|it| it.sequence),
        confirmed: None,
        missing: own
            .iter()
            .map(|it| it.sequence)
            .fold(Vec::new(), add_to_ranges),
        basis: None,
        answered: None,
        answered_by: None,
        missing_contents: 0,
        saved_bytes: own
            .iter()
            .fold(0, |sum, it| sum.saturating_add(it.saved_bytes)),
        lane,
    }
}

/// Adds a number that is higher than all before.
fn add_to_ranges(mut ranges: Vec<RangeInclusive<u64>>, number: u64) -> Vec<RangeInclusive<u64>> {
    match ranges.last_mut() {
        Some(last) if last.end().checked_add(1) == Some(number) => *last = *last.start()..=number,
        _ => ranges.push(number..=number),
    }
    ranges
}
