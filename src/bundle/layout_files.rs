//! `oci-layout` and `index.json` of a bundle: pure functions of the inventory.
//!
//! Written after the contents and checked by `verify`, byte for byte.
//! Specification: image-spec, image-layout.md; FORMAT.md, "Entries and their order".

use std::collections::HashSet;

use serde::Serialize;

use super::inventory::{Artifact, DescriptorRow, Inventory};
use crate::oci::{Digest, media_type};

pub(super) const OCI_LAYOUT_NAME: &str = "oci-layout";
pub(super) const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
pub(super) const INDEX_NAME: &str = "index.json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u32,
    media_type: &'a str,
    manifests: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    media_type: &'a str,
    digest: &'a Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Annotations>,
}

#[derive(Serialize)]
struct Annotations {
    #[serde(rename = "io.containerd.image.name")]
    image_name: String,
    #[serde(rename = "org.opencontainers.image.ref.name")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ref_name: Option<String>,
}

/// The `index.json` of the volume that carries the artifacts.
pub(super) fn encode_index(inventory: &Inventory) -> Result<Vec<u8>, serde_json::Error> {
    let mut listed: HashSet<&Digest> = HashSet::new();
    let mut manifests = Vec::with_capacity(inventory.artifacts.len());
    for artifact in &inventory.artifacts {
        listed.insert(&artifact.root.digest);
        manifests.push(entry_of_artifact(inventory, artifact));
    }
    for artifact in &inventory.artifacts {
        for referrer in &artifact.referrers {
            if listed.insert(&referrer.digest) {
                manifests.push(Entry {
                    media_type: &referrer.media_type,
                    digest: &referrer.digest,
                    size: referrer.size,
                    artifact_type: referrer.artifact_type.as_deref(),
                    annotations: None,
                });
            }
        }
    }
    serde_json::to_vec(&Index {
        schema_version: 2,
        media_type: media_type::OCI_INDEX,
        manifests,
    })
}

fn entry_of_artifact<'a>(inventory: &Inventory, artifact: &'a Artifact) -> Entry<'a> {
    let repository = inventory.repository(artifact.repository);
    let DescriptorRow {
        media_type,
        digest,
        size,
    } = &artifact.root;
    let tail = match &artifact.tag {
        Some(tag) => format!(":{tag}"),
        None => format!("@{digest}"),
    };
    Entry {
        media_type,
        digest,
        size: *size,
        artifact_type: None,
        annotations: Some(Annotations {
            image_name: format!("{}/{repository}{tail}", artifact.source),
            ref_name: artifact
                .tag
                .as_ref()
                .map(|tag| format!("{repository}:{tag}")),
        }),
    }
}
