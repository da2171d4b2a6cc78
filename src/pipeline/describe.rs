//! What people want to see of an image and what only its config knows: platform and creation time.

use serde::Deserialize;

use crate::content::{Content, Plan, Source};
use crate::oci::{ManifestKind, Platform};

const CONFIG_TYPES: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];
const CONFIG_SIZE_MAX_BYTES: u64 = 1 << 20;

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
    sources: &[std::sync::Arc<dyn Source>],
    kind_of: impl Fn(usize) -> Option<ManifestKind>,
) {
    for position in 0..plan.artifacts.len() {
        let artifact = &plan.artifacts[position];
        if kind_of(position) != Some(ManifestKind::Manifest) {
            continue;
        }
        let Some(blob) = plan.manifests[artifact.root].blobs.first() else {
            continue;
        };
        let blob = &plan.blobs[*blob];
        let is_config = CONFIG_TYPES.contains(&&*blob.descriptor.media_type)
            && blob.descriptor.size <= CONFIG_SIZE_MAX_BYTES;
        if !is_config {
            continue;
        }
        let source = sources[blob.place.source].clone();
        let content = Content::new(
            source,
            blob.place.repository.clone(),
            blob.descriptor.clone(),
        );
        let Ok(stream) = content.open(0).await else {
            continue;
        };
        let Ok(bytes) = stream.into_bytes().await else {
            continue;
        };
        let (platform, created) = read_config(&bytes);
        let artifact = &mut plan.artifacts[position];
        artifact.platforms.extend(platform);
        artifact.created = artifact.created.take().or(created);
    }
}
