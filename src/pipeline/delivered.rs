//! What became of a bundle that the ledger was asked about, and what a person should know of it.

use std::ops::RangeInclusive;

use super::import::{ImportReport, Replays};
use crate::history::{Decision, RunId};

/// What became of a bundle that the ledger was asked about.
pub struct Delivered {
    pub decision: Decision,
    /// Numbers of the pipeline that never arrived.
    pub missing: Vec<RangeInclusive<u64>>,
    /// Of a replay it says that everything is unchanged: the target was not asked.
    pub report: ImportReport,
    pub run: RunId,
    pub replays: Replays,
}

impl Delivered {
    /// Whether it was a replay, of which nothing was delivered.
    pub fn was_skipped(&self) -> bool {
        self.decision == Decision::Replay && self.replays == Replays::Skip
    }

    /// What a person should know: that nothing was done, that it came late, which numbers never came.
    pub fn notes(&self, name: &str) -> Vec<String> {
        notes_on(&self.decision, &self.missing, name, self.replays)
    }
}

pub(super) fn notes_on(
    decision: &Decision,
    missing: &[RangeInclusive<u64>],
    name: &str,
    replays: Replays,
) -> Vec<String> {
    let mut notes = Vec::new();
    match decision {
        Decision::Replay if replays == Replays::Deliver => {
            notes.push(format!("`{name}` was delivered before, and is again"));
        }
        Decision::Replay => notes.push(format!(
            "`{name}` was delivered before, so nothing was to be done"
        )),
        Decision::Late { newest } => notes.push(format!(
            "`{name}` comes late: the sequence {newest} of its pipeline was delivered before it"
        )),
        Decision::New | Decision::OneOff | Decision::Fork { .. } => {}
    }
    if !missing.is_empty() {
        let shown = missing.iter().take(RANGES_SHOWN_MAX);
        let shown: Vec<String> = shown.map(show_range).collect();
        let rest = match missing.len() > RANGES_SHOWN_MAX {
            true => " and more",
            false => "",
        };
        notes.push(format!(
            "the pipeline of `{name}` has sequences that never arrived: {}{rest}",
            shown.join(", ")
        ));
    }
    notes
}

/// Missing numbers are told as ranges, and not more of them than a person reads.
const RANGES_SHOWN_MAX: usize = 5;

fn show_range(range: &RangeInclusive<u64>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{} to {}", range.start(), range.end()),
    }
}
