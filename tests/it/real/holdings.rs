//! Everything that a registry holds below its tags, read through its API and checked by digest.

use std::sync::Arc;

use airlift::content::{Content, Source, fetch_document};
use airlift::oci::{Descriptor, Manifest, Pin, Repository, media_type};

use crate::road::Journey;
use crate::support::snapshot::Snapshot;

/// Tags, and the bytes of everything below them.
pub(super) async fn holdings(address: &str) -> Snapshot {
    let registry = Journey::new().connections().registry(address).unwrap();
    let source: Arc<dyn Source> = Arc::new(registry);
    let mut found = Snapshot::default();
    for repository in source.repositories().await.unwrap() {
        for tag in source.tags(&repository).await.unwrap() {
            let pin = Pin::Tag(tag.clone());
            let document = fetch_document(&*source, &repository, &pin).await.unwrap();
            let digest = document.descriptor.digest.clone();
            found.0.insert((repository.clone(), tag), digest);
            read_tree(&source, &repository, document.descriptor, &mut found).await;
        }
    }
    found
}

/// Reads the manifest, what it lists, and its blobs; each once.
async fn read_tree(
    source: &Arc<dyn Source>,
    repository: &Repository,
    root: Descriptor,
    found: &mut Snapshot,
) {
    let mut open = vec![root];
    while let Some(descriptor) = open.pop() {
        let key = (repository.clone(), descriptor.digest.clone());
        if found.1.contains_key(&key) {
            continue;
        }
        let content = Content::new(source.clone(), repository.clone(), descriptor.clone());
        let bytes = content.open(0).await.unwrap().into_bytes().await.unwrap();
        if descriptor.is_manifest() {
            let manifest = Manifest::parse(&bytes, &descriptor.media_type).unwrap();
            for blob in manifest.blobs() {
                // A foreign layer may be held by nobody here.
                let may_be_absent = media_type::is_foreign(&blob.media_type);
                if !may_be_absent || source.has(repository, blob).await.unwrap() {
                    open.push(blob.clone());
                }
            }
            open.extend(manifest.children.into_iter().map(|child| child.descriptor));
        }
        found.1.insert(key, bytes);
    }
}
