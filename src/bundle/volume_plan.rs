//! Which blob, or which part of one, goes into which volume.
//!
//! Pure. Volumes are filled in plan order by the largest size that an entry can have, so the number of
//! volumes is known before the first byte, and no volume is larger than asked for.
//! Specification: FORMAT.md, "Volumes".

use std::ops::Range;

use super::end_entry::TAIL_BYTES;
use super::frame;
use super::inventory::Profile;
use super::limits::{
    FRAME_SIZE_MAX_BYTES, INVENTORY_ROWS_MAX, PARTS_MAX, SIGNATURE_SIZE_MAX_BYTES, VOLUMES_MAX,
};
use super::tar_entry;
use crate::content::Plan;
use crate::oci::Digest;

/// The most that one row of the inventory adds, beside its media type and repositories.
const ROW_MAX_BYTES: u64 = 900;
const REPOSITORY_POSITION_MAX_BYTES: u64 = 8;
/// The fields of an inventory that are not lists.
const INVENTORY_HEAD_MAX_BYTES: u64 = 4096;
/// What an artifact and each of its lists add to inventory and `index.json` together.
const ARTIFACT_MAX_BYTES: u64 = 2048;
const ARTIFACT_LIST_ROW_MAX_BYTES: u64 = 1024;
/// The digest of another volume's inventory, as JSON.
const VOLUME_DIGEST_BYTES: u64 = 80;

/// A blob, or a part of one, in a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Position in [`Plan::blobs`].
    pub blob: usize,
    pub part: Option<SlicePart>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePart {
    pub number: u32,
    pub of: u32,
    pub range: Range<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotSplit {
    #[error("the volume size is too small: manifests and lists alone need {needed} bytes")]
    TooSmall { needed: u64 },
    #[error(
        "the plan does not fit {VOLUMES_MAX} volumes, or a blob {PARTS_MAX} parts, of this size"
    )]
    TooMany,
    #[error("the plan has more than {INVENTORY_ROWS_MAX} contents; cut it with `--max-artifacts`")]
    TooManyRows,
}

/// What is to be put into volumes.
pub struct Load<'a> {
    pub plan: &'a Plan,
    /// The blobs of the plan that are carried, in the order in which they are written.
    pub blobs: &'a [usize],
    /// What the lists of contents that are not carried add to the last inventory, at most.
    pub lists_bytes: u64,
    pub profile: Profile,
    pub signatures: usize,
}

/// Assigns blobs to volumes of at most `volume_size` bytes.
pub fn plan_volumes(
    load: &Load<'_>,
    volume_size: Option<u64>,
) -> Result<Vec<Vec<Slice>>, CannotSplit> {
    let whole = |blob: &usize| Slice {
        blob: *blob,
        part: None,
    };
    let (plan, profile, signatures) = (load.plan, load.profile, load.signatures);
    if load.blobs.len() + plan.manifests.len() > INVENTORY_ROWS_MAX {
        return Err(CannotSplit::TooManyRows);
    }
    let Some(volume_size) = volume_size else {
        return Ok(vec![load.blobs.iter().map(whole).collect()]);
    };
    let mut filling = Filling {
        profile,
        room: volume_size.saturating_sub(frame_cost(plan, signatures)),
        volumes: vec![Vec::new()],
        left: 0,
    };
    filling.left = filling.room;
    for blob in load.blobs {
        filling.add(plan, *blob)?;
    }
    let volumes_max = filling.volumes.len() as u64 + 1;
    let last = last_volume_cost(load) + volumes_max * VOLUME_DIGEST_BYTES;
    if last > filling.room {
        return Err(CannotSplit::TooSmall {
            needed: last + frame_cost(plan, signatures),
        });
    }
    if last > filling.left {
        filling.open_volume()?;
    }
    Ok(filling.volumes)
}

/// The bytes that the last volume of such a plan has left for what is not planned.
pub fn room_in_last(load: &Load<'_>, volume_size: u64, volumes: &[Vec<Slice>]) -> u64 {
    let (plan, profile, signatures) = (load.plan, load.profile, load.signatures);
    let slices = volumes.last().into_iter().flatten();
    let contents = slices.map(|slice| {
        let descriptor = &plan.blobs[slice.blob].descriptor;
        let (name, size) = match &slice.part {
            None => (tar_entry::blob_name(&descriptor.digest), descriptor.size),
            Some(part) => {
                let size = part.range.end - part.range.start;
                (tar_entry::part_name(&descriptor.digest, part.number), size)
            }
        };
        row_max(plan, slice.blob) + stored_max(&name, size, profile)
    });
    let taken = frame_cost(plan, signatures)
        + last_volume_cost(load)
        + volumes.len() as u64 * VOLUME_DIGEST_BYTES
        + contents.sum::<u64>();
    volume_size.saturating_sub(taken)
}

fn row_max(plan: &Plan, blob: usize) -> u64 {
    let planned = &plan.blobs[blob];
    ROW_MAX_BYTES
        + planned.descriptor.media_type.len() as u64
        + planned.repositories.len() as u64 * REPOSITORY_POSITION_MAX_BYTES
}

struct Filling {
    profile: Profile,
    room: u64,
    volumes: Vec<Vec<Slice>>,
    left: u64,
}

impl Filling {
    fn open_volume(&mut self) -> Result<(), CannotSplit> {
        if self.volumes.len() == VOLUMES_MAX as usize {
            return Err(CannotSplit::TooMany);
        }
        self.volumes.push(Vec::new());
        self.left = self.room;
        Ok(())
    }

    fn put(&mut self, slice: Slice, cost: u64) -> Result<(), CannotSplit> {
        if cost > self.left {
            self.open_volume()?;
        }
        self.left = self.left.saturating_sub(cost);
        if let Some(volume) = self.volumes.last_mut() {
            volume.push(slice);
        }
        Ok(())
    }

    fn add(&mut self, plan: &Plan, blob: usize) -> Result<(), CannotSplit> {
        let planned = &plan.blobs[blob];
        let size = planned.descriptor.size;
        let row = row_max(plan, blob);
        let cost = row
            + stored_max(
                &tar_entry::blob_name(&planned.descriptor.digest),
                size,
                self.profile,
            );
        if cost <= self.room {
            return self.put(Slice { blob, part: None }, cost);
        }
        self.add_parts(blob, &planned.descriptor.digest, size, row)
    }

    fn add_parts(
        &mut self,
        blob: usize,
        digest: &Digest,
        size: u64,
        row: u64,
    ) -> Result<(), CannotSplit> {
        let name = tar_entry::part_name(digest, 1);
        let part_size = largest_part(&name, self.room.saturating_sub(row), self.profile);
        if part_size == 0 {
            return Err(CannotSplit::TooMany);
        }
        let of = u32::try_from(size.div_ceil(part_size)).map_err(|_| CannotSplit::TooMany)?;
        if of > PARTS_MAX {
            return Err(CannotSplit::TooMany);
        }
        for number in 1..=of {
            let start = u64::from(number - 1) * part_size;
            let range = start..size.min(start + part_size);
            let cost = row + stored_max(&name, range.end - range.start, self.profile);
            let part = Some(SlicePart { number, of, range });
            self.put(Slice { blob, part }, cost)?;
        }
        Ok(())
    }
}

/// The most bytes that an entry takes in the object, with its line in the seek table.
fn stored_max(name: &str, size: u64, profile: Profile) -> u64 {
    let entry = tar_entry::entry_size(name, size);
    match profile {
        Profile::Guard => entry,
        Profile::Plain | Profile::Dense => {
            let frames = entry.div_ceil(FRAME_SIZE_MAX_BYTES as u64);
            let full = frame::raw_frame_size(FRAME_SIZE_MAX_BYTES) - FRAME_SIZE_MAX_BYTES;
            entry + frames * (full as u64 + 8)
        }
    }
}

/// The largest multiple of 1 MiB (or, for tiny volumes, of 512 bytes) that fits `room` as a part.
fn largest_part(name: &str, room: u64, profile: Profile) -> u64 {
    let fits = |size: &u64| *size > 0 && stored_max(name, *size, profile) <= room;
    let candidates = [1 << 20, 512].map(|unit: u64| {
        let overhead = stored_max(name, room, profile) - room;
        room.saturating_sub(overhead) / unit * unit
    });
    candidates.into_iter().find(fits).unwrap_or(0)
}

/// What every volume has besides its entries of content.
fn frame_cost(plan: &Plan, signatures: usize) -> u64 {
    let repositories: u64 = plan
        .repositories
        .iter()
        .map(|name| name.as_str().len() as u64 + 3)
        .sum();
    let signature = SIGNATURE_SIZE_MAX_BYTES + 512 + 64;
    INVENTORY_HEAD_MAX_BYTES
        + repositories
        + signatures as u64 * signature
        + TAIL_BYTES as u64
        + 512
}

/// What the last volume has besides: manifests, artifacts, `oci-layout` and `index.json`.
fn last_volume_cost(load: &Load<'_>) -> u64 {
    let (plan, profile) = (load.plan, load.profile);
    let manifests = plan.manifests.iter().map(|manifest| {
        let name = tar_entry::blob_name(&manifest.descriptor.digest);
        stored_max(&name, manifest.descriptor.size, profile)
            + ROW_MAX_BYTES
            + manifest.repositories.len() as u64 * REPOSITORY_POSITION_MAX_BYTES
    });
    let artifacts = plan.artifacts.iter().map(|artifact| {
        let rows = artifact.absent.len() + artifact.referrers.len() + artifact.platforms.len();
        ARTIFACT_MAX_BYTES + rows as u64 * ARTIFACT_LIST_ROW_MAX_BYTES
    });
    manifests.sum::<u64>() + artifacts.sum::<u64>() + load.lists_bytes + 4096
}
