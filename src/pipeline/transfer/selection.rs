//! Which bundles of the source travel.
//!
//! Pure. A filter that names a bundle which is not there is an error, not an empty transfer.

use super::refusal::CannotTransfer;
use super::stored::StoredSet;
use crate::content::{Error, ErrorKind, Result};

/// Whether all selected bundles travel, or the newest of each pipeline and of the one-offs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    #[default]
    All,
    Newest,
}

/// What was asked for. The default is everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names of bundles or of their objects; empty means all.
    pub bundles: Vec<String>,
    pub pipeline: Option<String>,
    pub extent: Extent,
    /// Only this volume, and its countersignatures.
    pub volume: Option<u32>,
}

impl Selection {
    /// The selected sets, in their order. `Demand::Some` where what was named must be there now.
    pub fn apply(&self, sets: Vec<StoredSet>, demand: Demand) -> Result<Vec<StoredSet>> {
        if demand == Demand::Now {
            self.check_names(&sets)?;
        }
        let mut sets: Vec<StoredSet> = sets.into_iter().filter(|set| self.takes(set)).collect();
        if self.extent == Extent::Newest {
            sets = newest(sets);
        }
        match self.volume {
            Some(number) => one_volume(sets, number, demand),
            None => Ok(sets),
        }
    }

    fn takes(&self, set: &StoredSet) -> bool {
        let is_named = self.bundles.is_empty() || self.bundles.iter().any(|n| has_name(set, n));
        let pipeline = &set.first().pipeline;
        is_named && (self.pipeline.is_none() || self.pipeline == *pipeline)
    }

    fn check_names(&self, sets: &[StoredSet]) -> Result<()> {
        for name in &self.bundles {
            if !sets.iter().any(|set| has_name(set, name)) {
                let known = sets.iter().map(|set| set.first().bundle.clone()).collect();
                let message = format!("cannot transfer `{name}`");
                return Err(
                    Error::not_found(message).with_cause(CannotTransfer::UnknownBundle { known })
                );
            }
        }
        Ok(())
    }

    /// Whether an object that cannot be read could have been asked for.
    pub(super) fn may_take(&self, object: &str) -> bool {
        self.bundles.is_empty() || self.bundles.iter().any(|name| object.starts_with(&**name))
    }
}

/// Whether what was named must be there now, or may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    Now,
    WhenItComes,
}

fn has_name(set: &StoredSet, name: &str) -> bool {
    set.first().bundle == name || set.volumes.iter().any(|volume| volume.object == name)
}

/// The last set of each pipeline, and the last of those without one; the order stays.
fn newest(sets: Vec<StoredSet>) -> Vec<StoredSet> {
    let pipelines: Vec<Option<String>> = sets
        .iter()
        .map(|set| set.first().pipeline.clone())
        .collect();
    let is_last = |position: usize| !pipelines[position + 1..].contains(&pipelines[position]);
    let numbered = sets.into_iter().enumerate();
    numbered
        .filter_map(|(position, set)| is_last(position).then_some(set))
        .collect()
}

fn one_volume(mut sets: Vec<StoredSet>, number: u32, demand: Demand) -> Result<Vec<StoredSet>> {
    let failed = |cause| {
        let message = format!("cannot transfer volume {number}");
        Err(Error::new(ErrorKind::NotFound, message).with_cause(cause))
    };
    if sets.len() > 1 || (sets.is_empty() && demand == Demand::Now) {
        return failed(CannotTransfer::ManyForVolume(sets.len()));
    }
    for set in &mut sets {
        let present = set.numbers().iter().map(ToString::to_string).collect();
        set.volumes.retain(|volume| volume.volume == number);
        let Some(volume) = set.volumes.first() else {
            return match demand {
                Demand::Now => failed(CannotTransfer::UnknownVolume { present }),
                Demand::WhenItComes => Ok(Vec::new()),
            };
        };
        set.signatures
            .retain(|signature| signature.of == volume.object);
    }
    Ok(sets)
}
