//! What is kept of a delivery for good: one entry of the audit log for each artifact that is at the target now.
//!
//! Pure. What failed is in the run's record; what was kept as it was has no event.

use super::export_past::past_events;
use super::import::{ImportReport, ImportedArtifact};
use super::import_plan::ImportPlan;
use crate::bundle::{Artifact, Inventory};
use crate::content::ArtifactOutcome;
use crate::history::{AuditEntry, AuditKind, RefusedArtifact, reference_at};
use crate::oci::Digest;

/// Artifacts that are named in the record of a refusal; a bundle may have more of them.
const REFUSED_ARTIFACTS_MAX: usize = 1_000;

pub(super) fn events_of(
    import: &ImportPlan,
    report: &ImportReport,
    target: &str,
) -> Vec<AuditEntry> {
    let inventory = import.bundle.inventory();
    let inventory_digest = import.bundle.last().inventory_digest();
    let planned = import.listed().zip(&import.plan.artifacts);
    planned
        .zip(&report.artifacts)
        .filter_map(|((listed, planned), done)| {
            let entry = event_of((inventory, inventory_digest), listed, done)?;
            // Where the name stays with what it stood for, the content is there under its digest.
            let name = match &done.outcome {
                ArtifactOutcome::Held(_) => {
                    format!("{}@{}", import.names[planned.repository], done.digest)
                }
                _ => done.name.clone(),
            };
            Some(AuditEntry {
                target: Some(reference_at(target, &name)),
                ..entry
            })
        })
        .collect()
}

fn event_of(
    (inventory, inventory_digest): (&Inventory, &Digest),
    listed: &Artifact,
    done: &ImportedArtifact,
) -> Option<AuditEntry> {
    let (replaced, reason) = match &done.outcome {
        ArtifactOutcome::Delivered => (done.replaced.clone(), None),
        ArtifactOutcome::Unchanged => (Some(done.digest.clone()), None),
        ArtifactOutcome::Held(reason) => (None, Some(reason.clone())),
        ArtifactOutcome::Kept | ArtifactOutcome::Failed(_) => return None,
    };
    let source = source_of(inventory, listed, &done.digest);
    Some(AuditEntry {
        source: Some(source.clone()),
        digest: Some(done.digest.clone()),
        replaced,
        rollback_tag: done.rollback_tag.clone(),
        reason,
        past: past_events(inventory, inventory_digest, &listed.root.digest, &source),
        ..AuditEntry::new(AuditKind::Imported)
    })
}

/// `REGISTRY/REPOSITORY:TAG` where it was exported from, or with the digest where it has no tag, or where it has
/// another one at the target: its index was rebuilt.
pub(super) fn source_of(inventory: &Inventory, artifact: &Artifact, delivered: &Digest) -> String {
    let source = &artifact.source;
    let repository = inventory.repository(artifact.repository);
    let root = &artifact.root.digest;
    match &artifact.tag {
        Some(tag) if root == delivered => format!("{source}/{repository}:{tag}"),
        _ => format!("{source}/{repository}@{root}"),
    }
}

/// What a bundle would have brought.
pub(super) fn refused_artifacts(import: &ImportPlan, target: &str) -> Vec<RefusedArtifact> {
    let artifacts = import.artifact_names().take(REFUSED_ARTIFACTS_MAX);
    artifacts
        .map(|(name, digest)| RefusedArtifact {
            target: reference_at(target, &name),
            digest: digest.clone(),
        })
        .collect()
}
