//! Where artifacts come from, and manifests as documents whose bytes have been checked.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Error, ErrorKind, RawStream, Result};
use crate::oci::{Algorithm, Descriptor, Digest, Pin, Repository, Tag};

/// No registry has to accept a larger manifest. Source: distribution-spec, "Pushing Manifests".
pub const MANIFEST_SIZE_MAX_BYTES: u64 = 4 << 20;

/// A place that holds artifacts: a registry, a layout directory, a bundle, memory.
///
/// **Contract.** Methods answer `NotFound` only when the place has definitely said so. Bytes and lists may
/// be hostile: callers reach the bytes through [`fetch_document`] and `VerifiedStream` alone.
#[async_trait]
pub trait Source: Send + Sync {
    /// The manifest that `pin` names, as bytes, with what the place says about it.
    /// At most [`MANIFEST_SIZE_MAX_BYTES`] are read.
    async fn manifest(&self, repository: &Repository, pin: &Pin) -> Result<RawDocument>;

    /// The digest that the place claims for the tag, where it tells that without handing the manifest over. A claim:
    /// the bytes are checked when they are read.
    async fn claimed_digest(&self, _repository: &Repository, _tag: &Tag) -> Result<Option<Digest>> {
        Ok(None)
    }

    /// The bytes `range` of the content `descriptor` (a blob or a manifest), without verification.
    async fn open(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<RawStream>;

    /// Whether the blob or manifest is there, without reading it.
    async fn has(&self, repository: &Repository, descriptor: &Descriptor) -> Result<bool>;

    /// All tags of the repository, in no promised order.
    async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>>;

    /// All repositories of the place. `Unsupported` where it has no catalog.
    async fn repositories(&self) -> Result<Vec<Repository>>;

    /// What the place lists as referring to `subject`, complete or an error. A claim: each referrer's own
    /// `subject` is checked when its manifest is read.
    /// Specification: distribution-spec, "Listing Referrers", with its tag schema as the fallback.
    async fn referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>>;
}

/// An entry of a list of referrers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    pub descriptor: Descriptor,
    pub artifact_type: Option<String>,
}

/// A manifest as a source delivers it.
pub struct RawDocument {
    pub bytes: Bytes,
    pub media_type: String,
    /// The digest that the place claims for it; it also says in which algorithm the place addresses it.
    pub claimed: Option<Digest>,
}

/// A manifest or index whose bytes are those of its descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub descriptor: Descriptor,
    pub bytes: Bytes,
}

impl Document {
    /// A document addressed by the SHA-256 of `bytes`.
    pub fn of(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            descriptor: Descriptor::of(media_type, &bytes),
            bytes,
        }
    }
}

/// Reads the manifest that `pin` names and checks it: against the digest of `pin`, or against the digest
/// that the source claims for a tag.
pub async fn fetch_document(
    source: &dyn Source,
    repository: &Repository,
    pin: &Pin,
) -> Result<Document> {
    let raw = source.manifest(repository, pin).await?;
    if raw.bytes.len() as u64 > MANIFEST_SIZE_MAX_BYTES {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("manifest `{repository}` at `{pin}` is larger than 4 MiB"),
        ));
    }
    let expected = match pin {
        Pin::Digest(digest) => Some(digest.clone()),
        Pin::Tag(_) => raw.claimed,
    };
    let algorithm = expected
        .as_ref()
        .map_or(Algorithm::Sha256, Digest::algorithm);
    let found = Digest::of(algorithm, &raw.bytes);
    if let Some(expected) = expected
        && expected != found
    {
        return Err(Error::unverified(format!(
            "manifest `{repository}` at `{pin}` should have the digest `{expected}`, but its bytes have `{found}`"
        )));
    }
    Ok(Document {
        descriptor: Descriptor::new(&raw.media_type, found, raw.bytes.len() as u64),
        bytes: raw.bytes,
    })
}
