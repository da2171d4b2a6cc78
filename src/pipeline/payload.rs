//! What a bundle brings to its target, content by content: for the ledger of an export, and for an import's answer.
//!
//! Pure. Contents count by the artifacts that need them and by the names of repositories at the source, so both
//! sides say the same of the same bundle, whatever its target calls them.

use std::collections::{BTreeSet, HashMap};

use crate::content::Plan;
use crate::history::{ContentKind, PayloadContent};
use crate::oci::Digest;

/// What the artifacts at these positions consist of, with their referrers; in the order of digests.
pub(super) fn contents_of(plan: &Plan, artifacts: &[usize]) -> Vec<PayloadContent> {
    let mut contents: HashMap<&Digest, PayloadContent> = HashMap::new();
    for artifact in artifacts.iter().map(|position| &plan.artifacts[*position]) {
        let repository = plan.repositories[artifact.repository].to_string();
        for manifest in plan.manifests_of(artifact) {
            let manifest = &plan.manifests[manifest];
            let own = (&manifest.descriptor, ContentKind::Manifest);
            let blobs = manifest.blobs.iter();
            let blobs = blobs.map(|blob| (&plan.blobs[*blob].descriptor, ContentKind::Blob));
            for (descriptor, kind) in blobs.chain([own]) {
                let content =
                    contents
                        .entry(&descriptor.digest)
                        .or_insert_with(|| PayloadContent {
                            digest: descriptor.digest.clone(),
                            size_bytes: descriptor.size,
                            kind,
                            repositories: BTreeSet::new(),
                        });
                content.repositories.insert(repository.clone());
            }
        }
    }
    let mut contents: Vec<PayloadContent> = contents.into_values().collect();
    contents.sort_by(|one, other| one.digest.cmp(&other.digest));
    contents
}

/// The blobs of a plan that has no artifacts; in the order of digests.
pub(super) fn contents_alone(plan: &Plan) -> Vec<PayloadContent> {
    let named = |positions: &[usize]| {
        let names = positions
            .iter()
            .map(|it| plan.repositories[*it].to_string());
        names.collect::<BTreeSet<String>>()
    };
    let contents = plan.blobs.iter().map(|blob| PayloadContent {
        digest: blob.descriptor.digest.clone(),
        size_bytes: blob.descriptor.size,
        kind: ContentKind::Blob,
        repositories: named(&blob.repositories),
    });
    let mut contents: Vec<PayloadContent> = contents.collect();
    contents.sort_by(|one, other| one.digest.cmp(&other.digest));
    contents
}
