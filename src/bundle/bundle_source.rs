//! A whole bundle, all its volumes, as a [`Source`].
//!
//! **Invariants.** Volumes belong together only if the last one names the inventories of the others. What
//! an inventory does not list is not there. A repository holds only what its rows say.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::error::BundleError;
use super::inventory::{InvalidInventory, Inventory};
use super::name_index::NameIndex;
use super::version_2::{AssumedRow, MEDIA_TYPE_2, RebuiltRow};
use super::volume::Volume;
use crate::content::{
    Error, ErrorKind, MANIFEST_SIZE_MAX_BYTES, RawDocument, RawStream, Referrer, Result, Source,
    VerifiedStream,
};
use crate::oci::{Descriptor, Digest, Pin, Repository, Tag};

/// Where a content, or one part of it, stands.
#[derive(Clone, Copy, Debug)]
struct Location {
    volume: u32,
    row: u32,
}

/// A complete set of volumes.
pub struct Bundle {
    volumes: Vec<Volume>,
    /// One location for a whole content, all of them in order for one in parts.
    contents: HashMap<Digest, Vec<Location>>,
    names: NameIndex,
    /// Positions in the inventory's lists.
    assumed: HashMap<Digest, usize>,
    rebuilt: HashMap<Digest, usize>,
}

/// Why volumes are not one complete bundle.
#[derive(Debug, thiserror::Error)]
pub enum IncompleteSet {
    #[error("the bundle `{name}` has {of} volumes, and {} missing: {}", if missing.len() == 1 { "one is" } else { "some are" }, join(missing))]
    Missing {
        name: String,
        of: u32,
        missing: Vec<u32>,
    },
    #[error("volume {volume} of `{name}` is from another export")]
    Foreign { name: String, volume: u32 },
}

fn join(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

impl Bundle {
    /// Puts the volumes of one set together. They may come in any order, and one may come twice.
    pub fn assemble(mut volumes: Vec<Volume>) -> Result<Self> {
        volumes.sort_by_key(|volume| volume.inventory().volume);
        volumes.dedup_by(|a, b| a.inventory_digest() == b.inventory_digest());
        check_set(&volumes).map_err(|incomplete| {
            let kind = match incomplete {
                IncompleteSet::Missing { .. } => ErrorKind::Incomplete,
                IncompleteSet::Foreign { .. } => ErrorKind::Unverified,
            };
            Error::new(kind, "the bundle is not complete").with_cause(incomplete)
        })?;
        let bundle = Self::index(volumes)?;
        bundle.check_derived()?;
        Ok(bundle)
    }

    /// Indexes the contents of volumes, the last of which may carry artifacts.
    pub(super) fn index(volumes: Vec<Volume>) -> Result<Self> {
        let contents = index_contents(&volumes)?;
        let last = &volumes[volumes.len() - 1];
        let names = NameIndex::new(last.inventory());
        let rows = |rows: &mut dyn Iterator<Item = &Digest>| -> HashMap<Digest, usize> {
            rows.cloned().zip(0..).collect()
        };
        let inventory = last.inventory();
        Ok(Self {
            assumed: rows(&mut inventory.assumed.iter().map(|row| &row.digest)),
            rebuilt: rows(&mut inventory.rebuilt.iter().map(|row| &row.digest)),
            volumes,
            contents,
            names,
        })
    }

    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// The last volume, which carries the artifacts.
    pub fn last(&self) -> &Volume {
        &self.volumes[self.volumes.len() - 1]
    }

    /// The inventory of the last volume.
    pub fn inventory(&self) -> &Inventory {
        self.last().inventory()
    }

    /// The rows of a content that belongs to the repository.
    fn locate(&self, repository: &Repository, digest: &Digest) -> Result<&[Location]> {
        let absent = || Error::not_found(format!("the bundle has no `{repository}@{digest}`"));
        let locations = self.contents.get(digest).ok_or_else(absent)?;
        let first = locations.first().ok_or_else(absent)?;
        let volume = &self.volumes[first.volume as usize];
        let row = &volume.inventory().contents[first.row as usize];
        let position = self.names.repository(repository).ok_or_else(absent)?;
        if row.repositories.contains(&position) {
            Ok(locations)
        } else {
            Err(absent())
        }
    }

    /// Whether any volume carries the content.
    pub fn carries(&self, digest: &Digest) -> bool {
        self.contents.contains_key(digest)
    }

    /// What is not carried, and expected at the target.
    pub fn find_assumed(&self, digest: &Digest) -> Option<&AssumedRow> {
        Some(&self.inventory().assumed[*self.assumed.get(digest)?])
    }

    /// What is made again from a recipe.
    pub fn find_rebuilt(&self, digest: &Digest) -> Option<&RebuiltRow> {
        Some(&self.inventory().rebuilt[*self.rebuilt.get(digest)?])
    }

    /// Where it stands among what is made again: what leads to it comes later.
    pub fn position_of_rebuilt(&self, digest: &Digest) -> Option<usize> {
        self.rebuilt.get(digest).copied()
    }

    /// A recipe or a segment, whole and checked.
    pub async fn read_derived(&self, digest: &Digest) -> Result<Bytes> {
        let absent = || Error::unverified(format!("the bundle lacks `{digest}`"));
        let locations = self.contents.get(digest).ok_or_else(absent)?;
        let descriptor = self.describe(digest).ok_or_else(absent)?;
        let raw = self.open_range(locations, 0..descriptor.size).await?;
        VerifiedStream::new(raw, descriptor).into_bytes().await
    }

    /// Every recipe and segment that is named is there, and each that is there is named.
    fn check_derived(&self) -> Result<()> {
        let rebuilt = self.inventory().rebuilt.iter();
        let named: HashSet<&Digest> = rebuilt
            .flat_map(|row| row.segments.iter().chain([&row.recipe]))
            .collect();
        let rows = self.volumes.iter().flat_map(|volume| {
            let inventory = volume.inventory();
            let is_version_2 = inventory.media_type == MEDIA_TYPE_2;
            inventory.contents.iter().filter(move |_| is_version_2)
        });
        let derived: HashSet<&Digest> = rows
            .filter(|row| row.is_derived())
            .map(|row| &row.digest)
            .collect();
        if named == derived && named.iter().all(|digest| self.carries(digest)) {
            return Ok(());
        }
        let wrong = InvalidInventory::Inconsistent("its recipes and segments");
        Err(BundleError::Inventory(wrong).into())
    }

    fn describe(&self, digest: &Digest) -> Option<Descriptor> {
        let location = self.contents.get(digest)?.first()?;
        let inventory = self.volumes[location.volume as usize].inventory();
        Some(inventory.contents[location.row as usize].descriptor())
    }

    /// The raw bytes `range` of a content, across its parts.
    async fn open_range(&self, locations: &[Location], range: Range<u64>) -> Result<RawStream> {
        let mut start = 0;
        let mut pieces = Vec::new();
        for location in locations {
            let volume = &self.volumes[location.volume as usize];
            let entry = volume.entry(&volume.inventory().contents[location.row as usize]);
            let end = start + entry.stored.size;
            let wanted = range.start.clamp(start, end) - start..range.end.clamp(start, end) - start;
            if !wanted.is_empty() || locations.len() == 1 {
                let opened = volume.stream().open_entry(&entry, wanted).await;
                let within = move |error: Error| {
                    error.within(format!("cannot read the entry `{}`", entry.name))
                };
                pieces.push(opened.map_err(&within)?.map_err(within));
            }
            start = end;
        }
        Ok(RawStream::new(stream::iter(pieces).flatten()))
    }
}

fn check_set(volumes: &[Volume]) -> Result<(), IncompleteSet> {
    let Some(last) = volumes.last() else {
        return Err(IncompleteSet::Missing {
            name: String::new(),
            of: 0,
            missing: Vec::new(),
        });
    };
    let inventory = last.inventory();
    let present: HashSet<u32> = volumes
        .iter()
        .map(|volume| volume.inventory().volume)
        .collect();
    let missing: Vec<u32> = (1..=inventory.volumes)
        .filter(|number| !present.contains(number))
        .collect();
    if !missing.is_empty() {
        return Err(IncompleteSet::Missing {
            name: inventory.name.clone(),
            of: inventory.volumes,
            missing,
        });
    }
    for (number, volume) in (1..).zip(volumes) {
        let expected = inventory.volume_inventories.get(number as usize - 1);
        let is_last = number == inventory.volumes;
        if volume.inventory().volume != number
            || !is_last && expected != Some(volume.inventory_digest())
            || volume.inventory().repositories != inventory.repositories
        {
            return Err(IncompleteSet::Foreign {
                name: inventory.name.clone(),
                volume: volume.inventory().volume,
            });
        }
    }
    Ok(())
}

fn index_contents(volumes: &[Volume]) -> Result<HashMap<Digest, Vec<Location>>> {
    let mut contents: HashMap<Digest, Vec<Location>> = HashMap::new();
    for (number, volume) in (0..).zip(volumes) {
        for (position, row) in (0..).zip(&volume.inventory().contents) {
            let location = Location {
                volume: number,
                row: position,
            };
            contents
                .entry(row.digest.clone())
                .or_default()
                .push(location);
        }
    }
    let row_at = |location: &Location| {
        &volumes[location.volume as usize].inventory().contents[location.row as usize]
    };
    let is_whole = |locations: &Vec<Location>| {
        let rows: Vec<_> = locations.iter().map(row_at).collect();
        match rows.as_slice() {
            [row] if row.part.is_none() => true,
            rows => (1..).zip(rows).all(|(number, row)| {
                row.part
                    .as_ref()
                    .is_some_and(|part| part.number == number && part.of as usize == rows.len())
            }),
        }
    };
    // A blob whose last part became a void is in the set, and not in the bundle.
    contents.retain(|_, locations| is_whole(locations));
    let total = |locations: &Vec<Location>| {
        locations
            .iter()
            .map(|l| row_at(l).stored().size)
            .sum::<u64>()
    };
    let wrong = contents
        .iter()
        .find(|(_, locations)| total(locations) != row_at(&locations[0]).size);
    if let Some((digest, _)) = wrong {
        let wrong = InvalidInventory::PartSizes(digest.clone());
        return Err(BundleError::Inventory(wrong).into());
    }
    Ok(contents)
}

#[async_trait]
impl Source for Bundle {
    async fn manifest(&self, repository: &Repository, pin: &Pin) -> Result<RawDocument> {
        let found = match pin {
            Pin::Tag(tag) => self
                .names
                .repository(repository)
                .and_then(|position| self.names.tagged(self.inventory(), position, tag)),
            Pin::Digest(digest) => self.describe(digest),
        };
        let absent = || Error::not_found(format!("the bundle has no `{repository}` at `{pin}`"));
        let descriptor = found.ok_or_else(absent)?;
        if descriptor.size > MANIFEST_SIZE_MAX_BYTES {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("manifest `{repository}` at `{pin}` is larger than 4 MiB"),
            ));
        }
        let raw = self
            .open(repository, &descriptor, 0..descriptor.size)
            .await?;
        Ok(RawDocument {
            bytes: VerifiedStream::new(raw, descriptor.clone())
                .into_bytes()
                .await?,
            media_type: descriptor.media_type.to_string(),
            claimed: Some(descriptor.digest),
        })
    }

    async fn open(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<RawStream> {
        let locations = self.locate(repository, &descriptor.digest)?;
        self.open_range(locations, range).await
    }

    /// What is assumed or rebuilt belongs to its artifacts like what is carried.
    async fn has(&self, repository: &Repository, descriptor: &Descriptor) -> Result<bool> {
        let digest = &descriptor.digest;
        Ok(self.locate(repository, digest).is_ok()
            || self.find_assumed(digest).is_some()
            || self.find_rebuilt(digest).is_some())
    }

    async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>> {
        match self.names.repository(repository) {
            Some(position) => Ok(self.names.tags(self.inventory(), position)),
            None => Err(Error::not_found(format!(
                "the bundle has no repository `{repository}`"
            ))),
        }
    }

    async fn repositories(&self) -> Result<Vec<Repository>> {
        Ok(self.inventory().repositories.clone())
    }

    async fn referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
        let Some(position) = self.names.repository(repository) else {
            return Ok(Vec::new());
        };
        let listed = self.names.referrers(self.inventory(), position, subject);
        let describe = |(descriptor, artifact_type)| Referrer {
            descriptor,
            artifact_type,
        };
        Ok(listed.into_iter().map(describe).collect())
    }
}
