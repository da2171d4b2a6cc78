//! Finds artifacts and referrers of an inventory by repository, tag and subject, without searching.
//!
//! Positions only: the rows stay in the inventory.

use std::collections::HashMap;

use super::inventory::Inventory;
use crate::oci::{Descriptor, Digest, Repository, Tag};

/// An artifact, or one of its referrers.
#[derive(Clone, Copy, Debug)]
struct Named {
    artifact: usize,
    referrer: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct NameIndex {
    repositories: HashMap<Repository, u32>,
    /// Artifacts by the position of their repository.
    artifacts: HashMap<u32, Vec<usize>>,
    tags: HashMap<(u32, Tag), Named>,
    /// Referrers without a tag of their own.
    subjects: HashMap<(u32, Digest), Vec<Named>>,
}

impl NameIndex {
    pub(super) fn new(inventory: &Inventory) -> Self {
        let mut index = Self {
            repositories: (0..)
                .zip(&inventory.repositories)
                .map(|(n, name)| (name.clone(), n))
                .collect(),
            ..Self::default()
        };
        for (position, artifact) in inventory.artifacts.iter().enumerate() {
            let repository = artifact.repository;
            index
                .artifacts
                .entry(repository)
                .or_default()
                .push(position);
            if let Some(tag) = &artifact.tag {
                index
                    .tags
                    .entry((repository, tag.clone()))
                    .or_insert(Named {
                        artifact: position,
                        referrer: None,
                    });
            }
            for (referrer, row) in artifact.referrers.iter().enumerate() {
                let named = Named {
                    artifact: position,
                    referrer: Some(referrer),
                };
                if let Some(tag) = &row.tag {
                    index.tags.entry((repository, tag.clone())).or_insert(named);
                } else {
                    let key = (repository, row.subject.clone());
                    index.subjects.entry(key).or_default().push(named);
                }
            }
        }
        index
    }

    /// The position by which rows name the repository.
    pub(super) fn repository(&self, name: &Repository) -> Option<u32> {
        self.repositories.get(name).copied()
    }

    /// What the tag points to.
    pub(super) fn tagged(
        &self,
        inventory: &Inventory,
        repository: u32,
        tag: &Tag,
    ) -> Option<Descriptor> {
        let named = self.tags.get(&(repository, tag.clone()))?;
        let artifact = &inventory.artifacts[named.artifact];
        Some(match named.referrer {
            Some(referrer) => artifact.referrers[referrer].descriptor(),
            None => artifact.root.descriptor(),
        })
    }

    /// The tags of a repository, those of its referrers included.
    pub(super) fn tags(&self, inventory: &Inventory, repository: u32) -> Vec<Tag> {
        let positions = self
            .artifacts
            .get(&repository)
            .map_or(&[][..], Vec::as_slice);
        let artifacts = positions
            .iter()
            .map(|position| &inventory.artifacts[*position]);
        let mut tags: Vec<Tag> = artifacts
            .flat_map(|artifact| {
                let attached = artifact.referrers.iter().filter_map(|row| row.tag.clone());
                artifact.tag.iter().cloned().chain(attached)
            })
            .collect();
        tags.sort();
        tags.dedup();
        tags
    }

    /// The referrers of a subject that have no tag: descriptor and artifact type.
    pub(super) fn referrers(
        &self,
        inventory: &Inventory,
        repository: u32,
        subject: &Digest,
    ) -> Vec<(Descriptor, Option<String>)> {
        let named = self.subjects.get(&(repository, subject.clone()));
        let rows = named.into_iter().flatten().filter_map(|named| {
            let row = &inventory.artifacts[named.artifact].referrers[named.referrer?];
            Some((
                row.descriptor(),
                row.artifact_type.as_deref().map(str::to_owned),
            ))
        });
        let mut listed: Vec<_> = rows.collect();
        listed.sort_by(|a, b| a.0.digest.cmp(&b.0.digest));
        listed.dedup();
        listed
    }
}
