//! Where the contents of an import come from: out of the bundle, made again, or from where the target has them.
//!
//! **Invariant.** To the copy it is one source; every content that leaves it is checked by whoever asked for it, so
//! what was made again wrongly is never pushed.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;

use super::assumed::FoundContents;
use super::reconstruct::Reconstruction;
use crate::bundle::Bundle;
use crate::content::{Error, RawDocument, RawStream, Referrer, Result, Source};
use crate::oci::{Descriptor, Digest, Pin, Repository, Tag};

/// A bundle together with what it counts on.
pub(super) struct Supply {
    pub bundle: Arc<Bundle>,
    pub target: Arc<dyn Source>,
    pub found: FoundContents,
    /// `None` where nothing is rebuilt.
    pub reconstruction: Option<Arc<Reconstruction>>,
}

impl Supply {
    async fn open_uncarried(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<RawStream> {
        let digest = &descriptor.digest;
        if let (Some(reconstruction), Some(_)) =
            (&self.reconstruction, self.bundle.find_rebuilt(digest))
        {
            return reconstruction.open(digest, range).await;
        }
        let Some(name) = self.found.get(digest) else {
            let message = format!("the bundle has no `{repository}@{digest}`");
            return Err(Error::not_found(message));
        };
        let opened = self.target.open(name, descriptor, range).await;
        opened.map_err(|error| error.on_side("target"))
    }
}

#[async_trait]
impl Source for Supply {
    async fn manifest(&self, repository: &Repository, pin: &Pin) -> Result<RawDocument> {
        self.bundle.manifest(repository, pin).await
    }

    async fn open(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<RawStream> {
        match self.bundle.carries(&descriptor.digest) {
            true => self.bundle.open(repository, descriptor, range).await,
            false => self.open_uncarried(repository, descriptor, range).await,
        }
    }

    async fn has(&self, repository: &Repository, descriptor: &Descriptor) -> Result<bool> {
        self.bundle.has(repository, descriptor).await
    }

    async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>> {
        self.bundle.tags(repository).await
    }

    async fn repositories(&self) -> Result<Vec<Repository>> {
        self.bundle.repositories().await
    }

    async fn referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
        self.bundle.referrers(repository, subject).await
    }
}
