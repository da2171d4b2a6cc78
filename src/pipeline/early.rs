//! Brings the blobs of a volume to the target before its set is complete.
//!
//! Nobody can pull them by a name: manifests and tags wait for the last volume. When that has come the whole set
//! is delivered as ever, and blobs that the target has collected meanwhile are pushed again.
//! Specification: design.md, "Volumes"; FORMAT.md, "Volumes".

use std::sync::Arc;

use super::place::{Place, TargetReference};
use super::target_names::name_at_target;
use crate::bundle::{EarlyVolume, Volume};
use crate::content::{
    Copy, CopyOptions, CopyReport, MountSources, Place as SourcePlace, Plan, PlannedBlob,
    PresentBlobs, Result,
};
use crate::oci::Repository;
use crate::selection::RenameRules;

/// Pushes what is missing at the target. `None`: it is the last volume, and waits for the others.
pub(super) async fn push_early(
    volume: Volume,
    (target, renames): (&TargetReference, &RenameRules),
    place: &Place,
    options: &CopyOptions,
) -> Result<Option<CopyReport>> {
    let Some(early) = EarlyVolume::new(volume)? else {
        return Ok(None);
    };
    let names = early.repositories().iter();
    let names: Result<Vec<Repository>> = names
        .map(|name| name_at_target(name, target, renames))
        .collect();
    let copy = Copy {
        names: names?,
        plan: Arc::new(plan_blobs(&early)),
        sources: vec![early.into_source()],
        target: place.as_target(),
        mounts: MountSources::Filled,
        options: options.clone(),
    };
    copy.run_blobs(PresentBlobs::Spared).await.map(Some)
}

/// Blobs alone, each read from the first repository that uses it.
fn plan_blobs(early: &EarlyVolume) -> Plan {
    let repositories = early.repositories().to_vec();
    let blobs = early.blobs().filter_map(|(descriptor, positions)| {
        let repository = repositories.get(*positions.first()?)?.clone();
        Some(PlannedBlob {
            descriptor,
            place: SourcePlace {
                source: 0,
                repository,
            },
            repositories: positions,
        })
    });
    Plan {
        blobs: blobs.collect(),
        repositories: repositories.clone(),
        ..Plan::default()
    }
}
