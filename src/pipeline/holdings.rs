//! What a registry has that was filled otherwise: everything that its tags lead to, by the names of the source.
//!
//! It reads manifests and no blobs: what a manifest names is taken to be there, and the import that counts on it looks
//! first. Specification: src/bundle/RECEIPTS.md, "Without a bundle".

use super::answer::list_delivered;
use super::export_plan::{Walking, walk_roots};
use super::payload::contents_of;
use super::place::{Connections, SourceReference, TargetReference};
use super::select::select;
use super::select_tags::TagSelection;
use crate::bundle::DeliveredIn;
use crate::content::{Error, ErrorKind, OnError, ReferrerPolicy, Result};
use crate::oci::Repository;

/// What the target has, and what could not be read.
pub struct Holdings {
    pub delivered: Vec<DeliveredIn>,
    /// References and reasons.
    pub failures: Vec<(String, String)>,
}

/// Lists what the tags lead to in the repositories that match one of the globs, below the target's prefix.
pub async fn list_holdings(
    target: &TargetReference,
    globs: &[String],
    connections: &Connections,
) -> Result<Holdings> {
    let (references, prefix) = references_of(target, globs)?;
    let everything = TagSelection::all(ReferrerPolicy::Carry, OnError::Continue);
    let selected = select(&references, connections, &everything).await?;
    if selected.roots.is_empty() {
        let failures = selected.failures;
        let delivered = Vec::new();
        return Ok(Holdings {
            delivered,
            failures,
        });
    }
    let walking = Walking {
        platforms: Vec::new(),
        referrers: ReferrerPolicy::Carry,
        on_error: OnError::Continue,
    };
    let (mut plan, _, failures) = walk_roots(&walking, &selected, &selected.roots).await?;
    if let Some(prefix) = prefix {
        for repository in &mut plan.repositories {
            *repository = without_prefix(repository, prefix)?;
        }
    }
    let all: Vec<usize> = (0..plan.artifacts.len()).collect();
    Ok(Holdings {
        delivered: list_delivered(&contents_of(&plan, &all)),
        failures: selected.failures.into_iter().chain(failures).collect(),
    })
}

fn references_of<'t>(
    target: &'t TargetReference,
    globs: &[String],
) -> Result<(Vec<SourceReference>, Option<&'t Repository>)> {
    match target {
        TargetReference::Layout { path } => {
            let whole = SourceReference::Layout {
                path: path.clone(),
                name: None,
            };
            Ok((vec![whole], None))
        }
        TargetReference::Registry { prefix, .. } => {
            let references = globs.iter().map(|glob| {
                let text = format!("{target}/{glob}");
                text.parse().map_err(|cause| {
                    let message = format!("`{glob}` is not a glob of repositories");
                    Error::new(ErrorKind::Refused, message).with_cause(cause)
                })
            });
            Ok((references.collect::<Result<_>>()?, prefix.as_ref()))
        }
    }
}

/// As the source calls it.
fn without_prefix(repository: &Repository, prefix: &Repository) -> Result<Repository> {
    let name = repository.to_string();
    let rest = name.strip_prefix(&format!("{prefix}/"));
    rest.and_then(|rest| rest.parse().ok()).ok_or_else(|| {
        let message = format!("`{repository}` is not below `{prefix}`");
        Error::new(ErrorKind::Refused, message)
    })
}
