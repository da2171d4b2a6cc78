//! What an import would move, asked of the target and moved nothing: the figures of a dry run.

use std::sync::Arc;

use super::import_plan::ImportPlan;
use super::place::Place;
use crate::content::{
    Error, ErrorKind, MissingProvision, MountSources, Plan, Result, for_each, list_missing,
};
use crate::oci::Repository;

/// What an import would move. Sizes are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    pub to_move_bytes: u64,
    pub to_move_contents: usize,
    pub present_bytes: u64,
    pub present_contents: usize,
    /// What the target would have to create first.
    pub to_create: Vec<MissingProvision>,
}

impl Survey {
    /// What an import into a target that does not exist yet would move.
    pub fn of_empty_target(import: &ImportPlan) -> Self {
        Self {
            to_move_bytes: import.plan.size_bytes(),
            to_move_contents: import.plan.blobs.len() + import.plan.manifests.len(),
            ..Self::default()
        }
    }
}

/// Asks the target what it has, and counts what would be moved.
pub async fn survey_import(
    import: &ImportPlan,
    place: &Place,
    concurrency: usize,
) -> Result<Survey> {
    let copied = (&*import.plan, &import.names[..], &MountSources::Filled);
    survey_copy(copied, place, concurrency).await
}

/// How often a content that is missing is moved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moves {
    /// What one repository has got, the others mount or share.
    Once,
    ToEach,
    /// It is mounted from where it is.
    Never,
}

/// The same for any plan, with the target's names of its repositories.
pub(super) async fn survey_copy(
    (plan, target_names, mounts): (&Plan, &[Repository], &MountSources),
    place: &Place,
    concurrency: usize,
) -> Result<Survey> {
    let blob_moves = match mounts {
        MountSources::Filled | MountSources::Found(_) => Moves::Once,
        MountSources::Source => Moves::Never,
    };
    // A registry takes manifests one by one.
    let manifest_moves = match place {
        Place::Layout(_) => Moves::Once,
        Place::Registry(_) => Moves::ToEach,
    };
    let blobs = plan
        .blobs
        .iter()
        .map(|blob| (&blob.descriptor, &blob.repositories, blob_moves));
    let manifests = plan
        .manifests
        .iter()
        .map(|m| (&m.descriptor, &m.repositories, manifest_moves));
    let asked: Vec<_> = blobs
        .chain(manifests)
        .map(|(descriptor, repositories, moves)| {
            (
                descriptor.clone(),
                names_of(target_names, repositories),
                moves,
            )
        })
        .collect();
    let survey = Arc::new(std::sync::Mutex::new(Survey::default()));
    let counted = Arc::clone(&survey);
    let target = place.as_target();
    for_each(asked, concurrency, move |(descriptor, names, moves)| {
        let target = Arc::clone(&target);
        let counted = Arc::clone(&counted);
        async move {
            for (position, name) in names.iter().enumerate() {
                let is_present = target.exists(name, &descriptor).await?;
                let mut survey = counted
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if is_present {
                    survey.present_bytes += descriptor.size;
                    survey.present_contents += 1;
                } else if moves == Moves::ToEach || (moves == Moves::Once && position == 0) {
                    survey.to_move_bytes += descriptor.size;
                    survey.to_move_contents += 1;
                }
            }
            Ok(())
        }
    })
    .await
    .map_err(|error| error.on_side("target"))?;
    let survey = survey
        .lock()
        .map_err(|_| Error::new(ErrorKind::Failed, "the survey was lost"))?
        .clone();
    let names: Vec<&Repository> = target_names.iter().collect();
    let to_create = list_missing(&*place.as_target(), &names).await?;
    Ok(Survey {
        to_create,
        ..survey
    })
}

/// The target's names of these repositories. Two that were renamed to one are one.
fn names_of(target_names: &[Repository], repositories: &[usize]) -> Vec<Repository> {
    let mut names: Vec<Repository> = Vec::new();
    for position in repositories {
        let name = &target_names[*position];
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
