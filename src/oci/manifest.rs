//! A read-only view of a manifest or index: what it points to, and nothing that would let us rewrite it.
//!
//! One tolerant view serves Docker schema 2, OCI manifests and indexes of any artifact type, because the
//! questions asked of them are the same: which children, which blobs, which subject. Docker schema 1 is
//! refused by name.
//!
//! Specification: image-spec, manifest.md and image-index.md.

use serde::Deserialize;

use super::{Descriptor, Digest, Platform, media_type};

/// A size is a signed 64-bit number to most programs; this is far above every disk, and sums do not overflow.
const CONTENT_SIZE_MAX_BYTES: u64 = 1 << 50;

/// Whether the document lists manifests (an index) or blobs (a manifest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    Manifest,
    Index,
}

/// One entry of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    pub descriptor: Descriptor,
    pub platform: Option<Platform>,
    /// The manifest that this one attests, as build tools say it (`vnd.docker.reference.digest`).
    pub attests: Option<Digest>,
}

/// What a manifest or index points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub kind: ManifestKind,
    pub media_type: String,
    /// The `artifactType`, or what stands for it: the media type of the config.
    pub artifact_type: Option<String>,
    /// The config of a manifest; its layers follow in `layers`.
    pub config: Option<Descriptor>,
    pub layers: Vec<Descriptor>,
    pub children: Vec<Child>,
    pub subject: Option<Descriptor>,
    /// `org.opencontainers.image.created`, where the manifest says it.
    pub created: Option<String>,
}

/// Bytes that cannot be carried as a manifest.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    #[error("the manifest is not valid JSON of the image specification")]
    Json(#[from] serde_json::Error),
    #[error(
        "the manifest is Docker schema 1, which has no stable digest and cannot be carried; push it again with a current tool"
    )]
    Schema1,
    #[error(
        "the manifest says that its media type is `{inside}`, the registry or index says `{outside}`"
    )]
    MediaTypeDiffers { inside: String, outside: String },
    #[error("the media type `{0}` is not that of a manifest or index")]
    UnknownMediaType(String),
    #[error("a size of {0} bytes is larger than any content")]
    SizeTooLarge(u64),
    /// Consumers would disagree on what such a document is (CVE-2021-41190).
    #[error("the document is both a manifest and an index")]
    Ambiguous,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest {
    schema_version: Option<u32>,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
    subject: Option<RawDescriptor>,
    annotations: Option<RawAnnotations>,
}

#[derive(Deserialize)]
struct RawAnnotations {
    #[serde(rename = "org.opencontainers.image.created")]
    created: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: Option<String>,
    digest: Digest,
    size: u64,
    platform: Option<RawPlatform>,
    annotations: Option<RawChildAnnotations>,
}

#[derive(Deserialize)]
struct RawChildAnnotations {
    #[serde(rename = "vnd.docker.reference.digest")]
    attests: Option<String>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

impl From<RawDescriptor> for Descriptor {
    fn from(raw: RawDescriptor) -> Self {
        let media_type = raw.media_type.as_deref();
        Self::new(
            media_type.unwrap_or(media_type::OCTET_STREAM),
            raw.digest,
            raw.size,
        )
    }
}

impl From<RawDescriptor> for Child {
    fn from(mut raw: RawDescriptor) -> Self {
        let platform = raw
            .platform
            .take()
            .filter(|platform| !platform.os.is_empty() && !platform.architecture.is_empty())
            .map(|raw| Platform {
                os: raw.os,
                architecture: raw.architecture,
                variant: raw.variant.filter(|variant| !variant.is_empty()),
            });
        let attests = raw
            .annotations
            .take()
            .and_then(|annotations| annotations.attests);
        Self {
            descriptor: raw.into(),
            platform,
            attests: attests.and_then(|digest| digest.parse().ok()),
        }
    }
}

impl Manifest {
    /// Reads `bytes`, which the registry or the parent index calls `media_type`.
    ///
    /// An outside type that is not one of a manifest (such as a registry's `application/json`) gives way
    /// to the type inside; two manifest types that disagree are refused, because consumers would disagree too.
    pub fn parse(bytes: &[u8], media_type: &str) -> Result<Self, InvalidManifest> {
        if media_type::is_schema_1(media_type) {
            return Err(InvalidManifest::Schema1);
        }
        let raw: RawManifest = serde_json::from_slice(bytes)?;
        if raw.schema_version == Some(1) {
            return Err(InvalidManifest::Schema1);
        }
        let is_manifest =
            raw.config.is_some() || raw.layers.as_ref().is_some_and(|l| !l.is_empty());
        if is_manifest && raw.manifests.is_some() {
            return Err(InvalidManifest::Ambiguous);
        }
        let media_type = decide_media_type(&raw, media_type)?;
        let manifest = Self::from_raw(raw, media_type);
        match manifest.find_size_above(CONTENT_SIZE_MAX_BYTES) {
            Some(size) => Err(InvalidManifest::SizeTooLarge(size)),
            None => Ok(manifest),
        }
    }

    fn find_size_above(&self, limit: u64) -> Option<u64> {
        let children = self.children.iter().map(|child| &child.descriptor);
        let mut sizes = self
            .blobs()
            .chain(children)
            .map(|descriptor| descriptor.size);
        sizes.find(|size| *size > limit)
    }

    fn from_raw(raw: RawManifest, media_type: String) -> Self {
        let kind = if media_type::is_index(&media_type) {
            ManifestKind::Index
        } else {
            ManifestKind::Manifest
        };
        let config: Option<Descriptor> = raw.config.map(Into::into);
        let config_type = config
            .as_ref()
            .map(|descriptor| descriptor.media_type.to_string());
        let into_descriptors =
            |list: Option<Vec<RawDescriptor>>| list.unwrap_or_default().into_iter().map(Into::into);
        Self {
            kind,
            media_type,
            artifact_type: raw.artifact_type.or(config_type),
            config,
            layers: into_descriptors(raw.layers).collect(),
            children: raw
                .manifests
                .unwrap_or_default()
                .into_iter()
                .map(Into::into)
                .collect(),
            subject: raw.subject.map(Into::into),
            created: raw.annotations.and_then(|annotations| annotations.created),
        }
    }

    /// The blobs that the manifest points to: the config first, then the layers in their order.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }
}

fn decide_media_type(raw: &RawManifest, outside: &str) -> Result<String, InvalidManifest> {
    let outside = outside.split(';').next().unwrap_or_default().trim();
    let inside = raw.media_type.as_deref().filter(|text| !text.is_empty());
    match (inside, media_type::is_manifest(outside)) {
        (Some(inside), _) if !media_type::is_manifest(inside) => {
            Err(InvalidManifest::UnknownMediaType(inside.to_owned()))
        }
        (Some(inside), true) if inside != outside => Err(InvalidManifest::MediaTypeDiffers {
            inside: inside.to_owned(),
            outside: outside.to_owned(),
        }),
        (Some(inside), _) => Ok(inside.to_owned()),
        (None, true) => Ok(outside.to_owned()),
        // Neither side says it: the specification allows a manifest without a media type of its own.
        (None, false) if raw.manifests.is_some() => Ok(media_type::OCI_INDEX.to_owned()),
        (None, false) if raw.config.is_some() => Ok(media_type::OCI_MANIFEST.to_owned()),
        (None, false) => Err(InvalidManifest::UnknownMediaType(outside.to_owned())),
    }
}
