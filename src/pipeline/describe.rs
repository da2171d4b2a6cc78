//! What people want to see of an image and what only its config knows: platform and creation time.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde::Deserialize;

use crate::content::{Content, Plan, Source};
use crate::oci::{Descriptor, ManifestKind, Platform};

const CONFIG_TYPES: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];
const CONFIG_SIZE_MAX_BYTES: u64 = 1 << 20;
const CONCURRENT_READS: usize = 8;

#[derive(Deserialize)]
struct Config {
    created: Option<String>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// Platform and creation time from the bytes of an image config. Nothing where it is not one.
pub(super) fn read_config(bytes: &[u8]) -> (Option<Platform>, Option<String>) {
    let Ok(config) = serde_json::from_slice::<Config>(bytes) else {
        return (None, None);
    };
    let has_platform = !config.os.is_empty() && !config.architecture.is_empty();
    let text = match config.variant.filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{}/{}/{variant}", config.os, config.architecture),
        None => format!("{}/{}", config.os, config.architecture),
    };
    let platform = if has_platform {
        text.parse().ok()
    } else {
        None
    };
    (platform, config.created)
}

/// Fills in what the configs of images without an index say. A config that cannot be read is left to the
/// copy, which will say so.
pub(super) async fn describe_images(
    plan: &mut Plan,
    sources: &[Arc<dyn Source>],
    kinds: &[ManifestKind],
) {
    let reads: Vec<_> = (0..plan.artifacts.len())
        .filter(|position| kinds.get(*position) == Some(&ManifestKind::Manifest))
        .filter_map(|position| Some((position, find_config(plan, sources, position)?)))
        .map(|(position, config)| async move { (position, read_quietly(&config).await) })
        .collect();
    let mut described = stream::iter(reads).buffered(CONCURRENT_READS);
    let mut found = Vec::new();
    while let Some((position, config)) = described.next().await {
        found.push((position, config));
    }
    drop(described);
    for (position, (platform, created)) in found {
        let artifact = &mut plan.artifacts[position];
        artifact.platforms.extend(platform);
        artifact.created = artifact.created.take().or(created);
    }
}

/// Whether it is the config of an image, and of a size to be read.
pub(super) fn is_image_config(descriptor: &Descriptor) -> bool {
    CONFIG_TYPES.contains(&&*descriptor.media_type) && descriptor.size <= CONFIG_SIZE_MAX_BYTES
}

fn find_config(plan: &Plan, sources: &[Arc<dyn Source>], position: usize) -> Option<Content> {
    let root = plan.artifacts[position].root;
    let blob = &plan.blobs[*plan.manifests[root].blobs.first()?];
    is_image_config(&blob.descriptor).then(|| {
        let source = Arc::clone(&sources[blob.place.source]);
        Content::new(
            source,
            blob.place.repository.clone(),
            blob.descriptor.clone(),
        )
    })
}

async fn read_quietly(config: &Content) -> (Option<Platform>, Option<String>) {
    let Ok(stream) = config.open(0).await else {
        return (None, None);
    };
    match stream.into_bytes().await {
        Ok(bytes) => read_config(&bytes),
        Err(_) => (None, None),
    }
}
