//! What is known of a pipeline before an export adds to it: from the ledger, or from the container.
//!
//! The ledger counts. Where it knows nothing of the pipeline, the bundles in the container do, as far as the
//! export's own keys have signed them. What follows from it is decided here without I/O.
//! Specification: design.md, "Sequence"; src/history/SCHEMA.md.

use futures_util::TryStreamExt;

use super::export_plan::PipelineRequest;
use super::export_room::policy_of;
use super::open_bundles::{is_volume_name, open_volume};
use crate::bundle::{SigningKey, Volume};
use crate::content::{Error, ErrorKind, Result};
use crate::history::{ExportPosition, ExportedBundle, Ledger, PipelineId};
use crate::oci::Digest;
use crate::storage::StorageContainer;

/// The ledger stores numbers with a sign.
const SEQUENCE_MAX: u64 = i64::MAX as u64;

/// A bundle of the pipeline that was made before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownBundle {
    pub sequence: u64,
    pub set: String,
    pub name: String,
    /// Of the last volume; `None` where that is not there.
    pub inventory: Option<Digest>,
}

/// The pipeline as it is known, newest bundle first, and not more of them than an export asks for.
pub(super) struct KnownPipeline {
    pub id: PipelineId,
    pub bundles: Vec<KnownBundle>,
}

/// Where an export finds what is known.
pub(super) struct Knowledge<'a> {
    pub ledger: Option<&'a Ledger>,
    /// `None` where the container is not made yet.
    pub container: Option<&'a dyn StorageContainer>,
    pub keys: &'a [SigningKey],
}

impl Knowledge<'_> {
    /// Looks up the pipeline, with its newest `count` bundles.
    pub(super) async fn find(&self, name: &str, count: usize) -> Result<Option<KnownPipeline>> {
        let mut known = None;
        if let Some(ledger) = self.ledger
            && let Some(pipeline) = ledger.find_pipeline(name).await?
        {
            let limit = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
            let bundles = ledger.list_exported(&pipeline.id, limit).await?;
            known = Some(KnownPipeline {
                id: pipeline.id,
                bundles: bundles.into_iter().map(KnownBundle::from).collect(),
            });
        }
        // Where the ledger has only the id, no export has come to its end with it.
        let is_told = known.as_ref().is_some_and(|it| !it.bundles.is_empty());
        match self.container {
            Some(container) if !is_told => {
                let found = find_in_container(name, container, self.keys).await?;
                Ok(found.or(known))
            }
            _ => Ok(known),
        }
    }
}

impl From<ExportedBundle> for KnownBundle {
    fn from(bundle: ExportedBundle) -> Self {
        Self {
            sequence: bundle.sequence,
            set: bundle.set,
            name: bundle.bundle,
            inventory: Some(bundle.inventory),
        }
    }
}

async fn find_in_container(
    name: &str,
    container: &dyn StorageContainer,
    keys: &[SigningKey],
) -> Result<Option<KnownPipeline>> {
    let policy = policy_of(keys);
    let mut volumes = Vec::new();
    let mut objects = container.list("");
    while let Some(object) = objects.try_next().await? {
        if !is_volume_name(&object.name) {
            continue;
        }
        match open_volume(container, &object.name, &[], &policy).await {
            Ok(volume) if is_of(&volume, name) && volume.admit(&policy).is_ok() => {
                volumes.push(volume);
            }
            Ok(_) => {}
            Err(error) => pass_over(error.into())?,
        }
    }
    Ok(know(&volumes))
}

/// What is not a bundle by these keys says nothing; what could not be read might.
pub(super) fn pass_over(error: Error) -> Result<()> {
    match error.kind() {
        ErrorKind::Unverified
        | ErrorKind::Incomplete
        | ErrorKind::Refused
        | ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    }
}

fn is_of(volume: &Volume, name: &str) -> bool {
    let pipeline = volume.inventory().pipeline.as_ref();
    pipeline.is_some_and(|pipeline| pipeline.name == name)
}

/// Where several pipelines had the name, the one that was exported last goes on.
fn know(volumes: &[Volume]) -> Option<KnownPipeline> {
    let id_of = |volume: &Volume| volume.inventory().pipeline.as_ref().map(|p| p.id.clone());
    let latest = volumes
        .iter()
        .max_by_key(|volume| (volume.inventory().created, volume.inventory().sequence))?;
    let id = id_of(latest)?;
    let mut bundles: Vec<KnownBundle> = Vec::new();
    for volume in volumes
        .iter()
        .filter(|volume| id_of(volume).as_ref() == Some(&id))
    {
        let inventory = volume.inventory();
        let sequence = inventory.sequence.unwrap_or_default();
        let is_last = inventory.volume == inventory.volumes;
        let digest = is_last.then(|| volume.inventory_digest().clone());
        let known = bundles
            .iter_mut()
            .find(|known| (known.sequence, &known.name) == (sequence, &inventory.name));
        match known {
            Some(known) => known.inventory = known.inventory.take().or(digest),
            None => bundles.push(KnownBundle {
                sequence,
                set: inventory.set.clone(),
                name: inventory.name.clone(),
                inventory: digest,
            }),
        }
    }
    bundles.sort_by_key(|known| std::cmp::Reverse(known.sequence));
    Some(KnownPipeline {
        id: id.parse().ok()?,
        bundles,
    })
}

/// How many plans, from the first, may be the newest bundles of the pipeline, in that order; the best answer
/// first. Only then is nothing between them that has moved one of their tags since.
pub(super) fn find_repeated(sets: &[&str], newest: &[KnownBundle]) -> Vec<usize> {
    let is_repeated = |count: &usize| {
        let bundles = newest[..*count].iter().rev().map(|bundle| &*bundle.set);
        bundles.eq(sets[..*count].iter().copied())
    };
    let most = sets.len().min(newest.len());
    (1..=most).rev().filter(is_repeated).collect()
}

/// The place of the next bundle of the pipeline.
pub(super) fn next_position(
    request: &PipelineRequest,
    known: Option<&KnownPipeline>,
    has_ledger: bool,
) -> Result<ExportPosition> {
    let newest = known.and_then(|known| known.bundles.first());
    let last = newest.map_or(0, |newest| newest.sequence);
    let sequence = match request.sequence {
        Some(asked) if asked <= last => {
            return Err(refuse(&request.name, CannotNumber::TooLow { asked, last }));
        }
        Some(asked) => asked,
        None if newest.is_none() && !has_ledger => {
            return Err(refuse(&request.name, CannotNumber::Unknown));
        }
        None => last.saturating_add(1),
    };
    if sequence > SEQUENCE_MAX {
        return Err(refuse(&request.name, CannotNumber::Exhausted(last)));
    }
    Ok(ExportPosition {
        pipeline: match known {
            Some(known) => known.id.clone(),
            None => PipelineId::generate()?,
        },
        name: request.name.clone(),
        sequence,
        previous: newest.and_then(|newest| newest.inventory.clone()),
    })
}

/// Why a pipeline has no next number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotNumber {
    #[error("the sequence {asked} is not above {last}, the last one that is known")]
    TooLow { asked: u64, last: u64 },
    #[error(
        "nothing is known of it: there is no state directory, and no bundle of it by these keys in the container"
    )]
    Unknown,
    #[error("there is no sequence above {0}")]
    Exhausted(u64),
}

fn refuse(name: &str, cause: CannotNumber) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("cannot number the next bundle of the pipeline `{name}`"),
    )
    .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(sets: &[&str]) -> Vec<KnownBundle> {
        let bundle = |(sequence, set): (u64, &&str)| KnownBundle {
            sequence,
            set: (*set).to_owned(),
            name: String::new(),
            inventory: None,
        };
        let mut bundles: Vec<_> = (1..).zip(sets).map(bundle).collect();
        bundles.reverse();
        bundles
    }

    #[test]
    fn only_the_newest_bundles_in_their_order_are_repeated() {
        for (made, plans, expected) in [
            (&["a"][..], &["a"][..], &[1][..]),
            (&["a", "b"], &["a"], &[]),
            (&["a", "b"], &["a", "b"], &[2]),
            (&["a", "b"], &["b", "a"], &[1]),
            (&["x", "a"], &["a", "b"], &[1]),
            (&["a", "a"], &["a", "a"], &[2, 1]),
            (&["a", "c"], &["a", "b", "c"], &[]),
            (&[], &["a"], &[]),
        ] {
            assert_eq!(find_repeated(plans, &known(made)), expected, "{made:?}");
        }
    }

    #[test]
    fn a_sequence_goes_on_and_never_back() {
        let request = |sequence| PipelineRequest {
            name: "plant".to_owned(),
            sequence,
        };
        let pipeline = KnownPipeline {
            id: PipelineId::generate().unwrap(),
            bundles: known(&["a", "b", "c"]),
        };
        let next = |asked, known: Option<&KnownPipeline>, has_ledger| {
            next_position(&request(asked), known, has_ledger)
                .map(|position| position.sequence)
                .map_err(|error| error.kind())
        };
        assert_eq!(next(None, Some(&pipeline), false), Ok(4));
        assert_eq!(next(Some(9), Some(&pipeline), true), Ok(9));
        assert_eq!(
            next(Some(3), Some(&pipeline), true),
            Err(ErrorKind::Refused)
        );
        assert_eq!(next(None, None, true), Ok(1));
        assert_eq!(next(None, None, false), Err(ErrorKind::Refused));
        assert_eq!(next(Some(1), None, false), Ok(1));
    }
}
