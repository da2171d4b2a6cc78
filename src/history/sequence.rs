//! The rules of sequences: what a bundle of a pipeline is to a lane that has accepted others.
//!
//! Pure. Who was trusted, whether it has expired and whom it is meant for was decided before.
//!
//! **Invariants.** Whatever the order in which bundles of a pipeline arrive, the tags end as if they had
//! arrived in order; a bundle that was accepted changes nothing; two bundles that cannot both be of one
//! chain are never both accepted. Specification: design.md, "Sequence".

use std::ops::RangeInclusive;

use super::id::PipelineId;
use crate::oci::Digest;

/// One pipeline's stream of bundles to one target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    pub pipeline: PipelineId,
    /// The importer's lane name; empty where it has none.
    pub name: String,
    /// The target as people write it, paths absolute.
    pub target: String,
}

/// A bundle's place in the chain of its pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub sequence: u64,
    pub inventory: Digest,
    /// The inventory that it says came before it.
    pub previous: Option<Digest>,
}

/// What a bundle is to the lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It belongs to no pipeline.
    OneOff,
    New,
    /// Accepted before: nothing is to be done.
    Replay,
    /// Never accepted, and a newer one was: its content is delivered, tags are asked for one by one.
    Late {
        newest: u64,
    },
    /// Two bundles claim the place `sequence`: `accepted` has it here, and `other` would have it too.
    Fork {
        sequence: u64,
        accepted: Digest,
        other: Digest,
    },
}

impl Decision {
    /// One word, as the ledger and machines have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::OneOff => "one-off",
            Self::New => "new",
            Self::Replay => "replay",
            Self::Late { .. } => "late",
            Self::Fork { .. } => "fork",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub decision: Decision,
    /// Numbers that never arrived, between the lowest and the highest that did, this one included.
    pub missing: Vec<RangeInclusive<u64>>,
}

/// Judges a bundle by what its lane has accepted; `None` is a bundle without a pipeline.
pub fn judge(accepted: &[Link], bundle: Option<&Link>) -> Judgement {
    let Some(bundle) = bundle else {
        return Judgement {
            decision: Decision::OneOff,
            missing: Vec::new(),
        };
    };
    Judgement {
        decision: decide(accepted, bundle),
        missing: find_missing(accepted, bundle.sequence),
    }
}

fn decide(accepted: &[Link], bundle: &Link) -> Decision {
    let at = |sequence: u64| accepted.iter().find(|link| link.sequence == sequence);
    if let Some(same) = at(bundle.sequence) {
        return match same.inventory == bundle.inventory {
            true => Decision::Replay,
            false => fork(bundle.sequence, &same.inventory, &bundle.inventory),
        };
    }
    let before = bundle.sequence.checked_sub(1).and_then(at);
    if let (Some(before), Some(named)) = (before, &bundle.previous)
        && before.inventory != *named
    {
        return fork(before.sequence, &before.inventory, named);
    }
    let after = bundle.sequence.checked_add(1).and_then(at);
    if let Some(named) = after.and_then(|after| after.previous.as_ref())
        && *named != bundle.inventory
    {
        return fork(bundle.sequence, named, &bundle.inventory);
    }
    match accepted.iter().map(|link| link.sequence).max() {
        Some(newest) if newest > bundle.sequence => Decision::Late { newest },
        _ => Decision::New,
    }
}

fn fork(sequence: u64, accepted: &Digest, other: &Digest) -> Decision {
    Decision::Fork {
        sequence,
        accepted: accepted.clone(),
        other: other.clone(),
    }
}

fn find_missing(accepted: &[Link], sequence: u64) -> Vec<RangeInclusive<u64>> {
    let mut known: Vec<u64> = accepted.iter().map(|link| link.sequence).collect();
    known.push(sequence);
    known.sort_unstable();
    known
        .windows(2)
        .filter(|pair| pair[1] > pair[0] + 1)
        .map(|pair| pair[0] + 1..=pair[1] - 1)
        .collect()
}

/// Whether a bundle may move a tag that `newest` has set or removed last.
pub fn may_move_tag(newest: Option<u64>, sequence: u64) -> bool {
    newest.is_none_or(|newest| newest <= sequence)
}
