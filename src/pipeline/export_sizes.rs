//! How large contents are that a receipt has told without a size: `airlift receipts make` knows digests alone.
//!
//! Bases of deltas are chosen by size, and the sizes of layers stand in the manifests above them, which the source may
//! still have. **Invariant.** What the source does not tell stays as it is, and serves no delta.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::export_plan::ExportPlan;
use super::export_thin::KnownContents;
use crate::content::{ErrorKind, Result, Source, fetch_document};
use crate::history::Known;
use crate::oci::{Descriptor, Digest, Manifest, Pin, Repository};

/// How many manifests are read for the sizes of their layers.
const MANIFESTS_MAX: usize = 1024;
const MANIFESTS_AT_ONCE: usize = 8;

/// Sets the sizes of `known` layers that have none, where one of the known `manifests` is at the source and tells them.
pub(super) async fn learn_sizes(
    export: &ExportPlan,
    known: &mut KnownContents,
    manifests: &KnownContents,
) -> Result<()> {
    if !known.values().any(is_without_size) {
        return Ok(());
    }
    let chosen = choose_manifests(export, manifests).into_iter();
    let reading = chosen.map(|(source, repository, digest)| {
        let source = Arc::clone(&export.sources[source]);
        async move { read_layers(&*source, &repository, &digest).await }
    });
    let mut reading = stream::iter(reading).buffered(MANIFESTS_AT_ONCE);
    while let Some(layers) = reading.next().await {
        for described in layers? {
            let layer = known.get_mut(&described.digest);
            if let Some(layer) = layer.filter(|it| is_without_size(it)) {
                layer.size_bytes = described.size;
            }
        }
    }
    Ok(())
}

fn is_without_size(content: &Known) -> bool {
    content.size_bytes == 0
}

/// Those told without a size in the repositories that carried contents are needed in, with where they may be read.
fn choose_manifests(
    export: &ExportPlan,
    manifests: &KnownContents,
) -> BTreeSet<(usize, Repository, Digest)> {
    let mut chosen = BTreeSet::new();
    for position in &export.carriage.blobs {
        let blob = &export.plan.blobs[*position];
        for repository in &blob.repositories {
            let repository = &export.plan.repositories[*repository];
            for (digest, manifest) in manifests {
                if is_without_size(manifest)
                    && manifest.repositories.contains(repository.as_str())
                    && chosen.len() < MANIFESTS_MAX
                {
                    chosen.insert((blob.place.source, repository.clone(), digest.clone()));
                }
            }
        }
    }
    chosen
}

/// The layers of a manifest; none where the source has it no more, or where it is no manifest.
async fn read_layers(
    source: &dyn Source,
    repository: &Repository,
    digest: &Digest,
) -> Result<Vec<Descriptor>> {
    let pin = Pin::Digest(digest.clone());
    match fetch_document(source, repository, &pin).await {
        Ok(document) => {
            let manifest = Manifest::parse(&document.bytes, &document.descriptor.media_type);
            Ok(manifest.map_or_else(|_| Vec::new(), |it| it.layers))
        }
        Err(error) => match error.kind() {
            ErrorKind::NotFound
            | ErrorKind::Denied
            | ErrorKind::Unverified
            | ErrorKind::Refused
            | ErrorKind::Unsupported => Ok(Vec::new()),
            _ => Err(error.on_side("source")),
        },
    }
}
