//! The plan: everything that a copy will carry, in order, before the first byte moves.
//!
//! Lists without duplicates, children before parents, with the repositories that each content belongs to.
//! Pure; `assemble` makes it of what the walk has found.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::oci::{Descriptor, Digest, Manifest, Platform, Repository, Tag};

/// Why a child of a carried manifest is not carried itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AbsentReason {
    /// The platform was not selected; the index is sparse.
    Platform,
    /// A foreign layer that the source does not hold.
    Foreign,
}

/// A manifest that was read during the walk.
#[derive(Debug)]
pub struct Node {
    pub descriptor: Descriptor,
    pub manifest: Manifest,
    /// Where it was read.
    pub place: Place,
    /// Kept while the walk's budget lasts; read again by digest otherwise.
    pub bytes: Option<Bytes>,
}

/// A repository of one of the sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub source: usize,
    pub repository: Repository,
}

/// A referrer that was found, and whose manifest was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundReferrer {
    pub subject: Digest,
    pub digest: Digest,
    pub artifact_type: Option<String>,
    /// The tag by which it was found, for cosign's tags.
    pub tag: Option<Tag>,
}

/// What the walk found below one root.
#[derive(Debug)]
pub struct FoundArtifact {
    pub place: Place,
    pub tag: Option<Tag>,
    pub root: Digest,
    pub absent: Vec<(Digest, AbsentReason)>,
    /// Foreign layers that this place holds itself.
    pub held_foreign: Vec<Digest>,
    pub referrers: Vec<FoundReferrer>,
}

#[derive(Debug, Default)]
pub struct Plan {
    pub repositories: Vec<Repository>,
    pub artifacts: Vec<PlannedArtifact>,
    pub blobs: Vec<PlannedBlob>,
    /// Children before parents.
    pub manifests: Vec<PlannedManifest>,
}

/// Positions are those of the lists in [`Plan`].
#[derive(Debug)]
pub struct PlannedArtifact {
    pub source: usize,
    pub repository: usize,
    pub tag: Option<Tag>,
    pub root: usize,
    pub artifact_type: Option<String>,
    pub platforms: Vec<Platform>,
    pub created: Option<String>,
    pub absent: Vec<(Digest, AbsentReason)>,
    pub referrers: Vec<PlannedReferrer>,
}

#[derive(Debug)]
pub struct PlannedReferrer {
    pub subject: Digest,
    pub manifest: usize,
    pub artifact_type: Option<String>,
    pub tag: Option<Tag>,
}

#[derive(Clone, Debug)]
pub struct PlannedBlob {
    pub descriptor: Descriptor,
    /// Where it is fetched.
    pub place: Place,
    pub repositories: Vec<usize>,
}

#[derive(Debug)]
pub struct PlannedManifest {
    pub descriptor: Descriptor,
    pub place: Place,
    pub repositories: Vec<usize>,
    pub bytes: Option<Bytes>,
    pub blobs: Vec<usize>,
    pub children: Vec<usize>,
    /// What it refers to, carried or not.
    pub subject: Option<Digest>,
    pub artifact_type: Option<String>,
    /// Some of its children are not carried, by choice.
    pub is_sparse: bool,
}

impl Plan {
    /// The bytes of all blobs and manifests, each counted once.
    pub fn size_bytes(&self) -> u64 {
        let blobs = self.blobs.iter().map(|blob| blob.descriptor.size);
        let manifests = self
            .manifests
            .iter()
            .map(|manifest| manifest.descriptor.size);
        // Sizes are what manifests claim; a sum that is too large for everything is large enough.
        blobs.chain(manifests).fold(0, u64::saturating_add)
    }

    /// A digest can be a manifest and, elsewhere, a blob. Where content is kept by digest alone it is
    /// kept once, as the manifest, which the other one then has below it like a child.
    pub fn keep_each_digest_once(&mut self) {
        let manifests: HashMap<Digest, usize> = self
            .manifests
            .iter()
            .enumerate()
            .map(|(position, manifest)| (manifest.descriptor.digest.clone(), position))
            .collect();
        let mut moved: HashMap<usize, usize> = HashMap::new();
        let mut kept = Vec::new();
        let mut positions = HashMap::new();
        for (position, blob) in std::mem::take(&mut self.blobs).into_iter().enumerate() {
            let Some(manifest) = manifests.get(&blob.descriptor.digest) else {
                positions.insert(position, kept.len());
                kept.push(blob);
                continue;
            };
            moved.insert(position, *manifest);
            let repositories = &mut self.manifests[*manifest].repositories;
            let new = blob
                .repositories
                .iter()
                .filter(|r| !repositories.contains(r));
            let new: Vec<usize> = new.copied().collect();
            repositories.extend(new);
        }
        self.blobs = kept;
        for manifest in &mut self.manifests {
            let children = manifest.blobs.iter().filter_map(|blob| moved.get(blob));
            manifest.children.extend(children);
            manifest.blobs = manifest
                .blobs
                .iter()
                .filter_map(|blob| positions.get(blob).copied())
                .collect();
        }
    }

    /// The manifests that the artifact's tag needs: its root and everything below it.
    pub fn manifests_below(&self, root: usize) -> Vec<usize> {
        let mut found = vec![root];
        let mut seen = HashSet::from([root]);
        let mut next = 0;
        while let Some(position) = found.get(next).copied() {
            next += 1;
            let children = self.manifests[position].children.iter().copied();
            found.extend(children.filter(|child| seen.insert(*child)));
        }
        found
    }

    /// All manifests of the artifact, with those of its referrers.
    pub fn manifests_of(&self, artifact: &PlannedArtifact) -> Vec<usize> {
        let mut found = self.manifests_below(artifact.root);
        for referrer in &artifact.referrers {
            found.extend(self.manifests_below(referrer.manifest));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The manifests of the artifact that refer to something, each with its subject. Whoever asks the
    /// target for the referrers of a subject must find them, even where the subject is not carried.
    pub fn links_of(&self, artifact: &PlannedArtifact) -> Vec<(&Digest, &PlannedManifest)> {
        let manifests = self.manifests_of(artifact).into_iter();
        manifests
            .filter_map(|position| {
                let manifest = &self.manifests[position];
                Some((manifest.subject.as_ref()?, manifest))
            })
            .collect()
    }

    /// The first blob or manifest that the artifact needs and for which `is_missing` holds.
    pub fn find_missing(
        &self,
        artifact: &PlannedArtifact,
        is_missing: impl Fn(&Digest) -> bool,
    ) -> Option<&Digest> {
        self.manifests_of(artifact)
            .into_iter()
            .find_map(|position| {
                let manifest = &self.manifests[position];
                let blobs = manifest
                    .blobs
                    .iter()
                    .map(|blob| &self.blobs[*blob].descriptor.digest);
                blobs
                    .chain([&manifest.descriptor.digest])
                    .find(|digest| is_missing(digest))
            })
    }
}
