//! The plan: everything that a copy will carry, in order, before the first byte moves.
//!
//! [`assemble`] is pure: it turns what the walk has found into lists without duplicates, children before
//! parents, with the repositories that each content belongs to. Two walks that found the same give the
//! same plan, whatever the order in which answers arrived.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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
        blobs.chain(manifests).sum()
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

/// Lists what was found, without duplicates and children first.
pub fn assemble(nodes: &HashMap<Digest, Arc<Node>>, found: Vec<FoundArtifact>) -> Plan {
    let mut assembly = Assembly {
        nodes,
        plan: Plan::default(),
        repositories: HashMap::new(),
        blobs: HashMap::new(),
        manifests: HashMap::new(),
        placed: HashSet::new(),
        placed_blobs: HashSet::new(),
    };
    for artifact in found {
        assembly.add_artifact(artifact);
    }
    assembly.plan
}

struct Assembly<'a> {
    nodes: &'a HashMap<Digest, Arc<Node>>,
    plan: Plan,
    repositories: HashMap<Repository, usize>,
    blobs: HashMap<Digest, usize>,
    manifests: HashMap<Digest, usize>,
    /// Manifests whose whole sub-graph is known to belong to a repository, and blobs that do.
    placed: HashSet<(usize, usize)>,
    placed_blobs: HashSet<(usize, usize)>,
}

impl Assembly<'_> {
    fn add_artifact(&mut self, found: FoundArtifact) {
        let absent: HashSet<&Digest> = found.absent.iter().map(|(digest, _)| digest).collect();
        let Some(root) = self.add_manifest(&found.root, &absent) else {
            return;
        };
        let referrers: Vec<PlannedReferrer> = found
            .referrers
            .iter()
            .filter_map(|referrer| {
                Some(PlannedReferrer {
                    subject: referrer.subject.clone(),
                    manifest: self.add_manifest(&referrer.digest, &absent)?,
                    artifact_type: referrer.artifact_type.clone(),
                    tag: referrer.tag.clone(),
                })
            })
            .collect();
        let repository = self.add_repository(&found.place.repository);
        self.place(root, repository);
        for referrer in &referrers {
            self.place(referrer.manifest, repository);
        }
        let node = &self.nodes[&found.root];
        self.plan.artifacts.push(PlannedArtifact {
            source: found.place.source,
            repository,
            tag: found.tag,
            root,
            artifact_type: node.manifest.artifact_type.clone(),
            platforms: carried_platforms(&node.manifest, &absent),
            created: node.manifest.created.clone(),
            referrers,
            absent: found.absent,
        });
    }

    fn add_repository(&mut self, repository: &Repository) -> usize {
        let list = &mut self.plan.repositories;
        *self
            .repositories
            .entry(repository.clone())
            .or_insert_with(|| {
                list.push(repository.clone());
                list.len() - 1
            })
    }

    /// Depth is bounded by the walk, so the recursion is.
    fn add_manifest(&mut self, digest: &Digest, absent: &HashSet<&Digest>) -> Option<usize> {
        if let Some(position) = self.manifests.get(digest) {
            return Some(*position);
        }
        let node = Arc::clone(self.nodes.get(digest)?);
        let is_carried = |digest: &Digest| !absent.contains(digest);
        let listed = &node.manifest.children;
        let is_sparse = listed
            .iter()
            .any(|child| absent.contains(&child.descriptor.digest));
        let children = node
            .manifest
            .children
            .iter()
            .map(|child| &child.descriptor.digest);
        let children: Vec<usize> = children
            .filter(|digest| is_carried(digest))
            .filter_map(|digest| self.add_manifest(digest, absent))
            .collect();
        let blobs = node
            .manifest
            .blobs()
            .filter(|blob| is_carried(&blob.digest));
        let blobs = blobs.map(|blob| self.add_blob(blob, &node.place)).collect();
        self.plan.manifests.push(PlannedManifest {
            descriptor: node.descriptor.clone(),
            place: node.place.clone(),
            repositories: Vec::new(),
            bytes: node.bytes.clone(),
            is_sparse,
            blobs,
            children,
            subject: node.manifest.subject.as_ref().map(|s| s.digest.clone()),
            artifact_type: node.manifest.artifact_type.clone(),
        });
        let position = self.plan.manifests.len() - 1;
        self.manifests.insert(digest.clone(), position);
        Some(position)
    }

    fn add_blob(&mut self, descriptor: &Descriptor, place: &Place) -> usize {
        let list = &mut self.plan.blobs;
        *self
            .blobs
            .entry(descriptor.digest.clone())
            .or_insert_with(|| {
                list.push(PlannedBlob {
                    descriptor: descriptor.clone(),
                    place: place.clone(),
                    repositories: Vec::new(),
                });
                list.len() - 1
            })
    }

    /// Notes that the manifest and everything below it belongs to the repository.
    fn place(&mut self, manifest: usize, repository: usize) {
        if !self.placed.insert((manifest, repository)) {
            return;
        }
        self.plan.manifests[manifest].repositories.push(repository);
        for blob in self.plan.manifests[manifest].blobs.clone() {
            if self.placed_blobs.insert((blob, repository)) {
                self.plan.blobs[blob].repositories.push(repository);
            }
        }
        for child in self.plan.manifests[manifest].children.clone() {
            self.place(child, repository);
        }
    }
}

fn carried_platforms(manifest: &Manifest, absent: &HashSet<&Digest>) -> Vec<Platform> {
    let carried = manifest
        .children
        .iter()
        .filter(|child| !absent.contains(&child.descriptor.digest));
    let mut platforms: Vec<Platform> = carried
        .filter_map(|child| child.platform.clone())
        .filter(|platform| !platform.is_unknown())
        .collect();
    platforms.dedup();
    platforms
}
