//! Makes a plan of what the walk has found.
//!
//! Pure: two walks that found the same give the same plan, whatever the order in which answers arrived.
//!
//! **Invariant.** Absence is a property of the whole plan: what one artifact leaves out and another carries
//! is carried, for both. So a digest is never in the plan and listed as absent at the same time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::plan::{
    FoundArtifact, Node, Place, Plan, PlannedArtifact, PlannedBlob, PlannedManifest,
    PlannedReferrer,
};
use crate::oci::{Descriptor, Digest, Manifest, Platform, Repository};

/// Lists what was found, without duplicates and children first.
pub fn assemble(nodes: &HashMap<Digest, Arc<Node>>, found: Vec<FoundArtifact>) -> Plan {
    let held = found.iter().flat_map(|artifact| {
        let at = |digest: &Digest| (digest.clone(), artifact.place.clone());
        artifact.held_foreign.iter().map(at)
    });
    let mut assembly = Assembly {
        nodes,
        absent: find_absent(nodes, &found),
        foreign_places: held.collect(),
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
    /// What no artifact carries.
    absent: HashSet<Digest>,
    /// Where a foreign layer is held, which may not be where its manifest was read.
    foreign_places: HashMap<Digest, Place>,
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
        let Some(root) = self.add_manifest(&found.root) else {
            return;
        };
        let referrers: Vec<PlannedReferrer> = found
            .referrers
            .iter()
            .filter_map(|referrer| {
                Some(PlannedReferrer {
                    subject: referrer.subject.clone(),
                    manifest: self.add_manifest(&referrer.digest)?,
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
            platforms: carried_platforms(&node.manifest, &self.absent),
            created: node.manifest.created.clone(),
            referrers,
            absent: found
                .absent
                .into_iter()
                .filter(|(digest, _)| self.absent.contains(digest))
                .collect(),
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
    fn add_manifest(&mut self, digest: &Digest) -> Option<usize> {
        if let Some(position) = self.manifests.get(digest) {
            return Some(*position);
        }
        let node = Arc::clone(self.nodes.get(digest)?);
        let mut children = Vec::new();
        let mut is_sparse = false;
        for child in &node.manifest.children {
            if self.absent.contains(&child.descriptor.digest) {
                is_sparse = true;
            } else {
                children.extend(self.add_manifest(&child.descriptor.digest));
            }
        }
        let mut blobs = Vec::new();
        for blob in node.manifest.blobs() {
            if !self.absent.contains(&blob.digest) {
                blobs.push(self.add_blob(blob, &node.place));
            }
        }
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
        let place = self.foreign_places.get(&descriptor.digest).unwrap_or(place);
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

fn carried_platforms(manifest: &Manifest, absent: &HashSet<Digest>) -> Vec<Platform> {
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

/// What some artifact leaves out and none carries.
fn find_absent(nodes: &HashMap<Digest, Arc<Node>>, found: &[FoundArtifact]) -> HashSet<Digest> {
    let listed = found.iter().flat_map(|artifact| &artifact.absent);
    let mut absent: HashSet<Digest> = listed.map(|(digest, _)| digest.clone()).collect();
    if absent.is_empty() {
        return absent;
    }
    for artifact in found {
        let own: HashSet<&Digest> = artifact.absent.iter().map(|(digest, _)| digest).collect();
        let referrers = artifact.referrers.iter().map(|referrer| &referrer.digest);
        let mut open: Vec<&Digest> = referrers.chain([&artifact.root]).collect();
        let mut seen: HashSet<&Digest> = open.iter().copied().collect();
        while let Some(digest) = open.pop() {
            let Some(node) = nodes.get(digest) else {
                continue;
            };
            absent.remove(&node.descriptor.digest);
            for blob in node
                .manifest
                .blobs()
                .filter(|blob| !own.contains(&blob.digest))
            {
                absent.remove(&blob.digest);
            }
            let children = node
                .manifest
                .children
                .iter()
                .map(|child| &child.descriptor.digest);
            open.extend(children.filter(|child| !own.contains(child) && seen.insert(child)));
        }
    }
    absent
}
