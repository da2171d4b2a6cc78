//! Whether a signed bundle may be imported here and now: audience, expiry, forks.
//!
//! Pure: time is given, nothing is read. Signatures are `bundle`'s business and were decided before.
//! Specification: FORMAT.md, "Inventory".

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::bundle::Inventory;
use crate::history::Decision;
use crate::oci::Digest;

/// Clocks on the two sides of a gap differ; expiry is forgiven this long.
const CLOCK_ALLOWANCE: SignedDuration = SignedDuration::from_hours(24);

/// What this importer is and accepts.
#[derive(Clone, Debug)]
pub struct AdmissionRules {
    /// The lane that this import belongs to.
    pub lane: Option<String>,
    pub now: Timestamp,
    /// Bundles of a pipeline below this sequence are refused.
    pub sequence_min: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotAdmit {
    #[error("it is meant for {}, and this is {}", join(.audience), lane.as_ref().map_or("no lane".to_owned(), |lane| format!("`{lane}`")))]
    WrongAudience {
        audience: Vec<String>,
        lane: Option<String>,
    },
    #[error("it expired at {0}")]
    Expired(Timestamp),
    #[error("its sequence {found} is below the lowest accepted one, {minimum}: it is a replay")]
    Replay { found: u64, minimum: u64 },
    #[error(
        "the pipeline `{pipeline}` has two bundles with the sequence {sequence}: inventories `{one}` and `{other}`"
    )]
    Fork {
        pipeline: String,
        sequence: u64,
        one: Digest,
        other: Digest,
    },
    #[error(
        "the pipeline `{pipeline}` is forked: the sequence {sequence} was accepted as the inventory `{accepted}`, and this would have it be `{other}`"
    )]
    AcceptedFork {
        pipeline: String,
        sequence: u64,
        accepted: Digest,
        other: Digest,
    },
}

impl CannotAdmit {
    /// What the ledger's decision refuses, if it does.
    pub(super) fn from_decision(inventory: &Inventory, decision: &Decision) -> Option<Self> {
        let Decision::Fork {
            sequence,
            accepted,
            other,
        } = decision
        else {
            return None;
        };
        let pipeline = inventory.pipeline.as_ref();
        Some(Self::AcceptedFork {
            pipeline: pipeline.map(|p| p.name.clone()).unwrap_or_default(),
            sequence: *sequence,
            accepted: accepted.clone(),
            other: other.clone(),
        })
    }
}

fn join(lanes: &[String]) -> String {
    let lanes: Vec<String> = lanes.iter().map(|lane| format!("`{lane}`")).collect();
    lanes.join(", ")
}

impl AdmissionRules {
    /// Refuses, or says what a person should know.
    pub fn check(&self, inventory: &Inventory) -> Result<Vec<String>, CannotAdmit> {
        let is_meant = inventory.audience.is_empty()
            || self
                .lane
                .as_ref()
                .is_some_and(|lane| inventory.audience.contains(lane));
        if !is_meant {
            return Err(CannotAdmit::WrongAudience {
                audience: inventory.audience.clone(),
                lane: self.lane.clone(),
            });
        }
        if let Some(expires) = inventory.expires
            && is_after(self.now, expires)
        {
            return Err(CannotAdmit::Expired(expires));
        }
        if let (Some(found), Some(minimum)) = (inventory.sequence, self.sequence_min)
            && found < minimum
        {
            return Err(CannotAdmit::Replay { found, minimum });
        }
        let mut warnings = Vec::new();
        if is_after(inventory.created, self.now) {
            warnings.push(format!(
                "`{}` says that it was made at {}, which is in the future here",
                inventory.name, inventory.created
            ));
        }
        Ok(warnings)
    }
}

/// Whether `later` is after `earlier` by more than clocks may differ.
fn is_after(later: Timestamp, earlier: Timestamp) -> bool {
    earlier
        .checked_add(CLOCK_ALLOWANCE)
        .is_ok_and(|latest| later > latest)
}

/// Refuses two bundles that claim the same place in a pipeline.
pub(super) fn check_forks<'a>(
    bundles: impl IntoIterator<Item = (&'a Inventory, &'a Digest)>,
) -> Result<(), CannotAdmit> {
    let mut places: HashMap<(&str, u64), &Digest> = HashMap::new();
    for (inventory, digest) in bundles {
        let (Some(pipeline), Some(sequence)) = (&inventory.pipeline, inventory.sequence) else {
            continue;
        };
        let before = places.insert((pipeline.id.as_str(), sequence), digest);
        if let Some(before) = before.filter(|before| *before != digest) {
            return Err(CannotAdmit::Fork {
                pipeline: pipeline.name.clone(),
                sequence,
                one: before.clone(),
                other: digest.clone(),
            });
        }
    }
    Ok(())
}
