//! Which entries a volume's tar stream consists of, computed from its inventory alone.
//!
//! **Invariant.** The contents and voids of an inventory tile the tar stream from its first byte to the
//! first byte behind them, without gap or overlap; an inventory whose offsets do not is refused.
//! Pure. Specification: FORMAT.md, "Entries and their order".

use super::inventory::{Encoding, InvalidInventory, Inventory};
use super::tar_entry;
use crate::oci::{Descriptor, Digest};

/// One entry that holds a content or a void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedEntry {
    pub name: String,
    /// Of the first data byte.
    pub offset: u64,
    pub encoding: Encoding,
    /// Digest and size of the bytes that stand in the entry.
    pub stored: Descriptor,
    pub is_void: bool,
}

impl PlannedEntry {
    /// The first byte of the header in the tar stream.
    pub fn start(&self) -> u64 {
        self.offset - tar_entry::header_size(&self.name)
    }

    /// The first byte behind the padding.
    pub fn end(&self) -> u64 {
        self.offset + self.stored.size + tar_entry::padding_size(self.stored.size)
    }
}

/// The name of the entry that holds the content, or one part of it.
pub(super) fn entry_name(digest: &Digest, part: Option<u32>) -> String {
    match part {
        Some(number) => tar_entry::part_name(digest, number),
        None => tar_entry::blob_name(digest),
    }
}

/// The content and void entries of a volume, in order.
pub(super) fn planned_entries(
    inventory: &Inventory,
) -> Result<Vec<PlannedEntry>, InvalidInventory> {
    let contents = inventory.contents.iter().map(|row| PlannedEntry {
        name: entry_name(&row.digest, row.part.as_ref().map(|part| part.number)),
        offset: row.offset,
        encoding: row.encoding,
        stored: row.stored(),
        is_void: false,
    });
    let voids = inventory.voids.iter().map(|void| PlannedEntry {
        name: entry_name(&void.digest, void.part),
        offset: void.offset,
        encoding: void.encoding,
        stored: Descriptor::new("", void.found.clone(), void.size),
        is_void: true,
    });
    let mut entries: Vec<PlannedEntry> = contents.chain(voids).collect();
    entries.sort_by_key(|entry| entry.offset);
    check_tiling(&entries)?;
    check_unique(&entries)?;
    Ok(entries)
}

fn check_tiling(entries: &[PlannedEntry]) -> Result<(), InvalidInventory> {
    let mut position = 0_u64;
    for entry in entries {
        let expected = position.checked_add(tar_entry::header_size(&entry.name));
        let end = entry
            .offset
            .checked_add(entry.stored.size)
            .and_then(|end| end.checked_next_multiple_of(tar_entry::BLOCK_BYTES));
        match (expected == Some(entry.offset), end) {
            (true, Some(end)) => position = end,
            _ => return Err(InvalidInventory::Misplaced(entry.name.clone())),
        }
    }
    Ok(())
}

fn check_unique(entries: &[PlannedEntry]) -> Result<(), InvalidInventory> {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(InvalidInventory::ListedTwice(pair[0].to_owned())),
        None => Ok(()),
    }
}
