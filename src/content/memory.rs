//! Artifacts in memory: the smallest complete [`Source`] and [`Target`].
//!
//! It passes the same conformance suite as every other place, which is what makes it a fair stand-in.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;

use super::{
    BlobOutcome, Content, Document, Error, RawDocument, RawStream, Referrer, Result, Source, Target,
};
use crate::oci::{Descriptor, Digest, Manifest, Pin, Repository, Tag};

#[derive(Default)]
struct Store {
    blobs: BTreeMap<Digest, Bytes>,
    manifests: BTreeMap<Digest, Document>,
    tags: BTreeMap<Tag, Digest>,
}

/// A registry's worth of repositories in memory.
#[derive(Default)]
pub struct Memory {
    repositories: Mutex<BTreeMap<Repository, Store>>,
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Repository, Store>> {
        self.repositories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a blob, and says its descriptor.
    pub fn put_blob(
        &self,
        repository: &Repository,
        media_type: &str,
        digest: Digest,
        bytes: impl Into<Bytes>,
    ) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        let mut repositories = self.lock();
        let store = repositories.entry(repository.clone()).or_default();
        store.blobs.insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    /// Puts a manifest, tagged or not.
    pub fn put_manifest(&self, repository: &Repository, document: Document, tag: Option<&Tag>) {
        let mut repositories = self.lock();
        let store = repositories.entry(repository.clone()).or_default();
        let digest = document.descriptor.digest.clone();
        store.manifests.insert(digest.clone(), document);
        if let Some(tag) = tag {
            store.tags.insert(tag.clone(), digest);
        }
    }

    /// Everything as (repository, tag) → digest, and (repository, digest) → bytes; for comparison.
    #[expect(
        clippy::type_complexity,
        reason = "two plain maps, compared as a whole"
    )]
    pub fn snapshot(
        &self,
    ) -> (
        BTreeMap<(Repository, Tag), Digest>,
        BTreeMap<(Repository, Digest), Bytes>,
    ) {
        let repositories = self.lock();
        let mut tags = BTreeMap::new();
        let mut contents = BTreeMap::new();
        for (name, store) in repositories.iter() {
            let tagged = store.tags.iter();
            tags.extend(tagged.map(|(tag, digest)| ((name.clone(), tag.clone()), digest.clone())));
            let blobs = store.blobs.iter();
            let manifests = store
                .manifests
                .iter()
                .map(|(digest, document)| (digest, &document.bytes));
            contents.extend(
                blobs
                    .chain(manifests)
                    .map(|(digest, bytes)| ((name.clone(), digest.clone()), bytes.clone())),
            );
        }
        (tags, contents)
    }
}

fn not_found(repository: &Repository, what: &dyn std::fmt::Display) -> Error {
    Error::not_found(format!("`{repository}` has no `{what}`"))
}

#[async_trait]
impl Source for Memory {
    async fn manifest(&self, repository: &Repository, pin: &Pin) -> Result<RawDocument> {
        let repositories = self.lock();
        let find = || {
            let store = repositories.get(repository)?;
            let digest = match pin {
                Pin::Tag(tag) => store.tags.get(tag)?,
                Pin::Digest(digest) => digest,
            };
            store.manifests.get(digest)
        };
        let document = find().ok_or_else(|| not_found(repository, pin))?;
        Ok(RawDocument {
            bytes: document.bytes.clone(),
            media_type: document.descriptor.media_type.to_string(),
            claimed: Some(document.descriptor.digest.clone()),
        })
    }

    async fn open(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<RawStream> {
        let repositories = self.lock();
        let bytes = repositories
            .get(repository)
            .and_then(|store| {
                let manifest = store.manifests.get(&descriptor.digest);
                let blob = store.blobs.get(&descriptor.digest);
                blob.or(manifest.map(|document| &document.bytes))
            })
            .ok_or_else(|| not_found(repository, &descriptor.digest))?;
        let length = bytes.len() as u64;
        let [start, end] = [range.start, range.end].map(|at| usize::try_from(at.min(length)));
        let bytes = bytes.slice(start.unwrap_or(0)..end.unwrap_or(0));
        Ok(RawStream::new(stream::iter([Ok(bytes)])))
    }

    async fn has(&self, repository: &Repository, descriptor: &Descriptor) -> Result<bool> {
        Target::exists(self, repository, descriptor).await
    }

    async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>> {
        let repositories = self.lock();
        let store = repositories
            .get(repository)
            .ok_or_else(|| not_found(repository, &"tag"))?;
        Ok(store.tags.keys().cloned().collect())
    }

    async fn repositories(&self) -> Result<Vec<Repository>> {
        Ok(self.lock().keys().cloned().collect())
    }

    async fn referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
        let repositories = self.lock();
        let manifests = repositories
            .get(repository)
            .map(|store| store.manifests.values());
        let refers = |document: &Document| {
            let manifest =
                Manifest::parse(&document.bytes, &document.descriptor.media_type).ok()?;
            (manifest.subject?.digest == *subject).then(|| Referrer {
                descriptor: document.descriptor.clone(),
                artifact_type: manifest.artifact_type,
            })
        };
        Ok(manifests.into_iter().flatten().filter_map(refers).collect())
    }
}

#[async_trait]
impl Target for Memory {
    async fn exists(&self, repository: &Repository, descriptor: &Descriptor) -> Result<bool> {
        let repositories = self.lock();
        Ok(repositories.get(repository).is_some_and(|store| {
            store.blobs.contains_key(&descriptor.digest)
                || store.manifests.contains_key(&descriptor.digest)
        }))
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        content: &Content,
        mount_from: Option<&Repository>,
    ) -> Result<BlobOutcome> {
        let descriptor = content.descriptor().clone();
        let mounted = mount_from.and_then(|from| {
            let repositories = self.lock();
            repositories
                .get(from)?
                .blobs
                .get(&descriptor.digest)
                .cloned()
        });
        let (bytes, outcome) = match mounted {
            Some(bytes) => (bytes, BlobOutcome::Mounted),
            None => (
                content.open(0).await?.into_bytes().await?,
                BlobOutcome::Pushed,
            ),
        };
        self.put_blob(repository, &descriptor.media_type, descriptor.digest, bytes);
        Ok(outcome)
    }

    async fn push_manifest(&self, repository: &Repository, document: &Document) -> Result<()> {
        self.put_manifest(repository, document.clone(), None);
        Ok(())
    }

    async fn resolve_tag(&self, repository: &Repository, tag: &Tag) -> Result<Option<Digest>> {
        let repositories = self.lock();
        Ok(repositories
            .get(repository)
            .and_then(|store| store.tags.get(tag).cloned()))
    }

    async fn tag(&self, repository: &Repository, document: &Document, tag: &Tag) -> Result<()> {
        self.put_manifest(repository, document.clone(), Some(tag));
        Ok(())
    }

    async fn link_referrer(&self, _: &Repository, _: &Digest, _: &Referrer) -> Result<()> {
        Ok(())
    }
}
