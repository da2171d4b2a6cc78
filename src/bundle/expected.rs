//! The entries that a volume must consist of, computed from its inventory, and where each must stand.
//!
//! Opening a volume checks the places; `verify` reads what stands there. So nothing that the inventory does
//! not list is between two entries, and the seek table cuts frames where the writer does.
//! Specification: FORMAT.md, "Entries and their order" and "Frames".

use bytes::Bytes;

use super::end_entry;
use super::error::{BundleError, Part};
use super::inventory::{self, Encoding, InvalidInventory, Profile};
use super::layout_files;
use super::limits::FRAME_SIZE_MAX_BYTES;
use super::reader::{INVENTORY_NAME, signature_name};
use super::seek_table::SeekTable;
use super::stream_plan::planned_entries;
use super::tar_entry;
use super::volume::Volume;
use super::writer::encoding_of;
use crate::oci::Descriptor;

/// What the data of an entry must be.
pub(super) enum Expected {
    Bytes(Bytes),
    Hash(Descriptor),
}

pub(super) struct ExpectedEntry {
    pub name: String,
    /// Of the data.
    pub size: u64,
    pub encoding: Encoding,
    pub expected: Expected,
}

/// Every entry but `airlift/end`, in order.
pub(super) fn expected_entries(volume: &Volume) -> Result<Vec<ExpectedEntry>, BundleError> {
    let inventory = volume.inventory();
    let of_bytes = |name: String, bytes: Bytes, encoding| ExpectedEntry {
        name,
        size: bytes.len() as u64,
        encoding,
        expected: Expected::Bytes(bytes),
    };
    let mut entries: Vec<ExpectedEntry> = planned_entries(inventory)?
        .into_iter()
        .map(|entry| ExpectedEntry {
            name: entry.name,
            size: entry.stored.size,
            encoding: entry.encoding,
            expected: Expected::Hash(entry.stored),
        })
        .collect();
    let text = encoding_of("application/json", inventory.profile);
    let raw = match inventory.profile {
        Profile::Plain | Profile::Dense => Encoding::Raw,
        Profile::Guard => Encoding::Tar,
    };
    if inventory.volume == inventory.volumes {
        let layout = Bytes::from_static(layout_files::OCI_LAYOUT.as_bytes());
        entries.push(of_bytes(
            layout_files::OCI_LAYOUT_NAME.to_owned(),
            layout,
            text,
        ));
        let index = layout_files::encode_index(inventory)
            .map_err(|cause| BundleError::Inventory(inventory::InvalidInventory::Json(cause)))?;
        entries.push(of_bytes(
            layout_files::INDEX_NAME.to_owned(),
            index.into(),
            text,
        ));
    }
    entries.push(of_bytes(
        INVENTORY_NAME.to_owned(),
        volume.inventory_bytes().clone(),
        text,
    ));
    for signature in &volume.tail().signatures {
        let name = signature_name(&signature.key_id);
        entries.push(of_bytes(name, signature.bytes.clone().into(), raw));
    }
    Ok(entries)
}

/// Refuses a volume whose entries or frames do not stand where its inventory puts them.
pub(super) async fn check_places(volume: &Volume) -> Result<(), BundleError> {
    let entries = expected_entries(volume)?;
    let mut position = 0_u64;
    let mut frame = 0;
    for entry in &entries {
        let data = tar_entry::header_size(&entry.name).checked_add(position);
        let end = data.and_then(|data| data.checked_add(entry.size)?.checked_next_multiple_of(512));
        // Sizes in an inventory are claims; what is behind the stream's end is not there.
        let end = end
            .filter(|end| *end <= volume.stream().size())
            .ok_or_else(|| InvalidInventory::Misplaced(entry.name.clone()))?;
        if entry.name == INVENTORY_NAME && data != Some(volume.tail().end.inventory_offset) {
            return Err(name_intruder(volume, &entries).await?);
        }
        if let Some(table) = volume.stream().seek_table() {
            match count_frames(table, frame, position..end) {
                Some(next) => frame = next,
                None => return Err(name_intruder(volume, &entries).await?),
            }
        }
        position = end;
    }
    let end = position + end_entry::TAIL_BYTES as u64;
    let has_right_end = match volume.stream().seek_table() {
        None => true,
        Some(table) => count_frames(table, frame, position..end) == Some(table.frame_count()),
    };
    if has_right_end && end == volume.stream().size() {
        Ok(())
    } else {
        Err(BundleError::Damaged(Part::SeekTable))
    }
}

/// The position behind the frames that hold exactly `range`, beginning with the one at `frame`; `None`
/// where they are cut at other places than the writer's.
fn count_frames(table: &SeekTable, mut frame: usize, range: std::ops::Range<u64>) -> Option<usize> {
    let mut position = range.start;
    while position < range.end {
        let size = (range.end - position).min(FRAME_SIZE_MAX_BYTES as u64);
        let found = table.frame(frame)?;
        if found.offset != position || found.size as u64 != size {
            return None;
        }
        position += size;
        frame += 1;
    }
    Some(frame)
}

/// What stands at the first place where an entry should begin and another one does.
async fn name_intruder(
    volume: &Volume,
    entries: &[ExpectedEntry],
) -> Result<BundleError, BundleError> {
    let mut position = 0;
    for entry in entries {
        let header = tar_entry::encode_header(&entry.name, entry.size);
        let found = volume.stream().read(position, header.len() as u64).await?;
        if found != header {
            return Ok(BundleError::wrong_header(&found, &entry.name));
        }
        position += tar_entry::entry_size(&entry.name, entry.size);
    }
    Ok(BundleError::Damaged(Part::SeekTable))
}
