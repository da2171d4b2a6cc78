//! The names that a bundle's repositories get at the target: renamed, and then below the prefix.
//!
//! **Invariant.** No two different contents are given one name: that is refused with both names before anything
//! moves. Referrers by tag count; they stand where their subjects do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::import_plan::ImportPlan;
use super::place::TargetReference;
use crate::content::{Error, ErrorKind, Plan, Result};
use crate::oci::{Digest, Repository, Tag};
use crate::selection::RenameRules;

/// Two sources would be one tag at the target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{one}` and `{other}` would both be `{name}` at the target, and they differ: `{one_digest}` and `{other_digest}`"
)]
pub struct NameCollision {
    pub one: String,
    pub other: String,
    pub name: String,
    one_digest: Digest,
    other_digest: Digest,
}

/// The target's name of a repository.
pub(super) fn name_at_target(
    repository: &Repository,
    target: &TargetReference,
    renames: &RenameRules,
) -> Result<Repository> {
    let renamed = renames.apply(repository).map_err(|cause| {
        let message = format!("target: `{repository}` cannot be renamed");
        Error::new(ErrorKind::Refused, message).with_cause(cause)
    })?;
    target.name_of(&renamed)
}

/// Refuses names that two repositories of the source would share for different content.
pub(super) fn check_collisions(plans: &[ImportPlan]) -> Result<()> {
    let mut taken: HashMap<(&Repository, &Tag), (&Repository, &Digest)> = HashMap::new();
    for import in plans {
        for (position, tag, digest) in list_tags(&import.plan) {
            let source = &import.plan.repositories[position];
            let name = &import.names[position];
            match taken.entry((name, tag)) {
                Entry::Vacant(entry) => {
                    entry.insert((source, digest));
                }
                // Bundles of one source may bring a tag again: the later one counts.
                Entry::Occupied(mut entry) if entry.get().0 == source => {
                    entry.insert((source, digest));
                }
                Entry::Occupied(entry) => {
                    let (other, other_digest) = entry.get();
                    if *other_digest != digest {
                        let collision = NameCollision {
                            one: format!("{other}:{tag}"),
                            other: format!("{source}:{tag}"),
                            name: format!("{name}:{tag}"),
                            one_digest: (*other_digest).clone(),
                            other_digest: digest.clone(),
                        };
                        let message = "the names at the target are not one to one";
                        let error = Error::new(ErrorKind::Refused, message);
                        return Err(error.with_cause(collision));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Every tag that a plan sets: its repository by position, and what it stands for.
fn list_tags(plan: &Plan) -> impl Iterator<Item = (usize, &Tag, &Digest)> {
    let digest = |manifest: usize| &plan.manifests[manifest].descriptor.digest;
    plan.artifacts.iter().flat_map(move |artifact| {
        let own = artifact.tag.iter().map(|tag| (tag, artifact.root));
        let attached = artifact
            .referrers
            .iter()
            .filter_map(|it| Some((it.tag.as_ref()?, it.manifest)));
        own.chain(attached)
            .map(move |(tag, manifest)| (artifact.repository, tag, digest(manifest)))
    })
}
