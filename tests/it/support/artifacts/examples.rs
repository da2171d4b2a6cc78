//! Artifacts made by hand, and the five-node graph that the documents use as their example.

use airlift::content::{Document, Memory};
use airlift::oci::{Algorithm, Descriptor, Repository, Tag, media_type};
use serde_json::{Value, json};

use super::document::{ManifestText, blob, descriptor_json};

pub(crate) const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const HELM_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
pub(crate) const SIGNATURE: &str = "application/vnd.example.signature.v1";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A Linux image of one platform with these layers, untagged.
pub(crate) fn image(
    memory: &Memory,
    repository: &Repository,
    architecture: &str,
    layers: &[&[u8]],
) -> Document {
    let config = json!({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}});
    let config = blob(memory, repository, IMAGE_CONFIG, config.to_string());
    let layers: Vec<Descriptor> = layers
        .iter()
        .map(|layer| blob(memory, repository, LAYER, layer.to_vec()))
        .collect();
    let text = ManifestText::new(media_type::OCI_MANIFEST)
        .config(&config)
        .layers(&layers);
    put(memory, repository, &text)
}

/// A Linux image of one platform that says when it was created, untagged.
pub(crate) fn dated_image(
    memory: &Memory,
    repository: &Repository,
    architecture: &str,
    created: &str,
) -> Document {
    let config = json!({"created": created, "os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}});
    let config = blob(memory, repository, IMAGE_CONFIG, config.to_string());
    let layer = blob(memory, repository, LAYER, format!("layer of {created}"));
    let text = ManifestText::new(media_type::OCI_MANIFEST)
        .config(&config)
        .layers(&[layer]);
    put(memory, repository, &text)
}

/// An index of images, each with the platform `linux/ARCHITECTURE`, untagged.
pub(crate) fn index(
    memory: &Memory,
    repository: &Repository,
    children: &[(&str, &Document)],
) -> Document {
    let entry = |(architecture, child): &(&str, &Document)| {
        let mut entry = descriptor_json(&child.descriptor);
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    };
    let entries: Vec<Value> = children.iter().map(entry).collect();
    let text = ManifestText::new(media_type::OCI_INDEX).with("manifests", entries);
    put(memory, repository, &text)
}

/// A Helm chart as `helm push` makes it, untagged.
pub(crate) fn helm_chart(memory: &Memory, repository: &Repository, name: &str) -> Document {
    let config = json!({"name": name, "version": "1.2.3", "apiVersion": "v2"});
    let config = blob(memory, repository, HELM_CONFIG, config.to_string());
    let layer = blob(memory, repository, HELM_LAYER, format!("chart {name}"));
    let text = ManifestText::new(media_type::OCI_MANIFEST)
        .config(&config)
        .layers(&[layer])
        .with(
            "annotations",
            json!({"org.opencontainers.image.title": name}),
        );
    put(memory, repository, &text)
}

/// An artifact of `artifact_type` about `subject`, with the empty config, untagged.
pub(crate) fn referrer_of(
    memory: &Memory,
    repository: &Repository,
    subject: &Descriptor,
    artifact_type: &str,
) -> Document {
    let config = blob(memory, repository, EMPTY, "{}");
    let statement = format!("{artifact_type} of {}", subject.digest);
    let layer = blob(memory, repository, artifact_type, statement);
    let text = ManifestText::new(media_type::OCI_MANIFEST)
        .with("artifactType", artifact_type)
        .config(&config)
        .layers(&[layer])
        .subject(subject);
    put(memory, repository, &text)
}

/// Writes the manifest, puts it and hands it back.
fn put(memory: &Memory, repository: &Repository, text: &ManifestText) -> Document {
    let document = text.document(Algorithm::Sha256);
    memory.put_manifest(repository, document.clone(), None);
    document
}

/// The example of the documents: the index `m0` has the manifests `m1` and `m2`, which share the layer
/// `b0`, and the signature `s` refers to `m0`. `m0` is tagged `apps/web:1.4`.
pub(crate) struct FiveNodes {
    pub(crate) memory: Memory,
    pub(crate) repository: Repository,
    pub(crate) tag: Tag,
    pub(crate) m0: Document,
    pub(crate) m1: Document,
    pub(crate) m2: Document,
    pub(crate) b0: Descriptor,
    pub(crate) s: Document,
}

pub(crate) fn five_nodes() -> FiveNodes {
    let memory = Memory::new();
    let repository: Repository = "apps/web".parse().expect("a repository name");
    let tag: Tag = "1.4".parse().expect("a tag");
    let shared = b"the layer that both platforms share";
    let m1 = image(&memory, &repository, "amd64", &[shared]);
    let m2 = image(&memory, &repository, "arm64", &[shared]);
    let m0 = index(&memory, &repository, &[("amd64", &m1), ("arm64", &m2)]);
    memory.put_manifest(&repository, m0.clone(), Some(&tag));
    let s = referrer_of(&memory, &repository, &m0.descriptor, SIGNATURE);
    FiveNodes {
        b0: Descriptor::of(LAYER, shared),
        memory,
        repository,
        tag,
        m0,
        m1,
        m2,
        s,
    }
}
