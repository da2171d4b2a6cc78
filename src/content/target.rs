//! Where artifacts go.

use async_trait::async_trait;

use super::{Content, Document, Presence, Provision, Referrer, Result};
use crate::oci::{Descriptor, Digest, Repository, Tag};

/// How a blob came to be at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobOutcome {
    Pushed,
    Mounted,
}

/// A place that takes artifacts.
///
/// **Contract.** Content that was pushed is stored under its digest or not at all: no reader ever sees a
/// part of it, and repeating a push is harmless. Callers push children before parents, and tags last.
#[async_trait]
pub trait Target: Send + Sync {
    /// Whether `repository` holds the content already. Asks about this repository only.
    async fn exists(&self, repository: &Repository, descriptor: &Descriptor) -> Result<bool>;

    /// Stores the blob. Where the place can link a blob from another repository, it does so from
    /// `mount_from` and reads nothing.
    async fn push_blob(
        &self,
        repository: &Repository,
        content: &Content,
        mount_from: Option<&Repository>,
    ) -> Result<BlobOutcome>;

    /// Stores the manifest under its digest.
    async fn push_manifest(&self, repository: &Repository, document: &Document) -> Result<()>;

    /// The digest that `tag` points to now, `None` where there is no such tag.
    async fn resolve_tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<Digest>>;

    /// Points `tag` to a manifest that was pushed before.
    async fn tag(&self, repository: &Repository, document: &Document, tag: &Tag) -> Result<()>;

    /// Makes `referrer`, whose manifest was pushed before, findable from `subject`. A place that finds
    /// referrers by itself does nothing; another keeps a lookup table and merges into it.
    /// Specification: distribution-spec, "Pushing Manifests with Subject".
    async fn link_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        referrer: &Referrer,
    ) -> Result<()>;

    /// What has to be there before anything is pushed into `repository`, where the place does not make that by itself
    /// and somebody has asked for it to be created.
    fn provision_of(&self, _repository: &Repository) -> Result<Option<Provision>> {
        Ok(None)
    }

    async fn find_provision(&self, _provision: &Provision) -> Result<Presence> {
        Ok(Presence::There)
    }

    /// Creates it; `false` where somebody else has created it meanwhile.
    async fn create_provision(&self, _provision: &Provision) -> Result<bool> {
        Ok(false)
    }
}
