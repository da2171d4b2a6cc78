//! What the fake registry holds: repositories with blobs, manifests and tags, and open upload sessions.

use std::collections::{BTreeMap, BTreeSet};

use airlift::content::Document;
use airlift::oci::{Descriptor, Digest, Manifest, Repository, Tag, media_type};
use bytes::Bytes;

use crate::support::snapshot::Snapshot;

#[derive(Default)]
pub(super) struct Shelf {
    pub(super) blobs: BTreeMap<Digest, Bytes>,
    pub(super) manifests: BTreeMap<Digest, Document>,
    pub(super) tags: BTreeMap<Tag, Digest>,
    /// What HEAD says is here, and GET says is not.
    pub(super) lost: BTreeSet<Digest>,
    /// What is never written again, as registries do whose storage knows content by its digest alone.
    pub(super) kept: BTreeSet<Digest>,
}

/// Bytes of a blob that are still arriving.
pub(super) struct Session {
    pub(super) repository: Repository,
    pub(super) bytes: Vec<u8>,
    /// A chunk was shorter than the announced minimum: it must have been the last.
    pub(super) had_short_chunk: bool,
}

#[derive(Default)]
pub(super) struct Store {
    pub(super) shelves: BTreeMap<Repository, Shelf>,
    pub(super) sessions: BTreeMap<String, Session>,
    sessions_opened: usize,
    /// Every time that a tag was written while something below it was missing.
    pub(super) violations: Vec<String>,
}

impl Store {
    pub(super) fn shelf(&mut self, repository: &Repository) -> &mut Shelf {
        self.shelves.entry(repository.clone()).or_default()
    }

    pub(super) fn open_session(&mut self, repository: &Repository) -> String {
        self.sessions_opened += 1;
        let id = format!("session-{}", self.sessions_opened);
        let session = Session {
            repository: repository.clone(),
            bytes: Vec::new(),
            had_short_chunk: false,
        };
        self.sessions.insert(id.clone(), session);
        id
    }

    pub(super) fn blob(&self, repository: &Repository, digest: &Digest) -> Option<&Bytes> {
        self.shelves.get(repository)?.blobs.get(digest)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, shelf) in &self.shelves {
            let tags = shelf.tags.iter();
            snapshot
                .0
                .extend(tags.map(|(tag, digest)| ((name.clone(), tag.clone()), digest.clone())));
            let manifests = shelf.manifests.iter();
            let manifests = manifests.map(|(digest, document)| (digest, &document.bytes));
            let contents = shelf.blobs.iter().chain(manifests);
            snapshot.1.extend(
                contents.map(|(digest, bytes)| ((name.clone(), digest.clone()), bytes.clone())),
            );
        }
        snapshot
    }

    pub(super) fn missing_content(&self) -> Vec<String> {
        let tags = self.shelves.iter().flat_map(|(name, shelf)| {
            let tags = shelf.tags.iter();
            tags.map(move |(tag, digest)| (name, tag, shelf.missing_below(digest)))
        });
        tags.flat_map(|(name, tag, missing)| {
            let missing = missing.into_iter();
            missing.map(move |digest| format!("`{name}:{tag}` lacks `{digest}`"))
        })
        .collect()
    }

    /// Points `tag` to `digest`, and notes what of it is missing at this moment.
    pub(super) fn tag(
        &mut self,
        repository: &Repository,
        tag: &Tag,
        digest: &Digest,
        watched: bool,
    ) {
        let missing = if watched {
            self.shelf(repository).missing_below(digest)
        } else {
            Vec::new()
        };
        let violations = missing
            .iter()
            .map(|missing| format!("`{repository}:{tag}` appeared without `{missing}`"));
        self.violations.extend(violations);
        self.shelf(repository)
            .tags
            .insert(tag.clone(), digest.clone());
    }
}

impl Shelf {
    /// All content reachable from the manifest `digest` that is not here. Foreign layers may stay away.
    pub(super) fn missing_below(&self, digest: &Digest) -> Vec<Digest> {
        let mut missing = Vec::new();
        let mut open = vec![digest.clone()];
        let mut seen = BTreeSet::new();
        while let Some(digest) = open.pop() {
            if !seen.insert(digest.clone()) {
                continue;
            }
            let Some(document) = self.manifests.get(&digest) else {
                missing.push(digest);
                continue;
            };
            let media_type = &document.descriptor.media_type;
            if let Ok(manifest) = Manifest::parse(&document.bytes, media_type) {
                let children = manifest.children.iter();
                open.extend(children.map(|child| child.descriptor.digest.clone()));
                missing.extend(self.missing_blobs(&manifest));
            }
        }
        missing
    }

    pub(super) fn missing_blobs(&self, manifest: &Manifest) -> Vec<Digest> {
        let is_missing = |blob: &&Descriptor| {
            !media_type::is_foreign(&blob.media_type) && !self.blobs.contains_key(&blob.digest)
        };
        let missing = manifest.blobs().filter(is_missing);
        missing.map(|blob| blob.digest.clone()).collect()
    }

    pub(super) fn missing_children(&self, manifest: &Manifest) -> Vec<Digest> {
        let children = manifest.children.iter().map(|child| &child.descriptor);
        children
            .filter(|child| !self.manifests.contains_key(&child.digest))
            .map(|child| child.digest.clone())
            .collect()
    }
}
