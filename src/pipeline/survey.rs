//! What an import would move, asked of the target and moved nothing: the figures of a dry run.

use std::sync::Arc;

use super::import::ImportPlan;
use super::place::Place;
use crate::content::{Error, ErrorKind, MissingProvision, Result, for_each, list_missing};
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
    let plan = &import.plan;
    // What one repository has got, the others mount or share; a registry takes manifests one by one.
    let goes_once = matches!(place, Place::Layout(_));
    let blobs = plan
        .blobs
        .iter()
        .map(|blob| (&blob.descriptor, &blob.repositories, true));
    let manifests = plan
        .manifests
        .iter()
        .map(|m| (&m.descriptor, &m.repositories, goes_once));
    let asked: Vec<_> = blobs
        .chain(manifests)
        .map(|(descriptor, repositories, goes_once)| {
            (
                descriptor.clone(),
                names_of(import, repositories),
                goes_once,
            )
        })
        .collect();
    let survey = Arc::new(std::sync::Mutex::new(Survey::default()));
    let counted = Arc::clone(&survey);
    let target = place.as_target();
    for_each(asked, concurrency, move |(descriptor, names, goes_once)| {
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
                } else if position == 0 || !goes_once {
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
    let names: Vec<&Repository> = import.names.iter().collect();
    let to_create = list_missing(&*place.as_target(), &names).await?;
    Ok(Survey {
        to_create,
        ..survey
    })
}

/// The target's names of these repositories. Two that were renamed to one are one.
fn names_of(import: &ImportPlan, repositories: &[usize]) -> Vec<Repository> {
    let mut names: Vec<Repository> = Vec::new();
    for position in repositories {
        let name = &import.names[*position];
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
