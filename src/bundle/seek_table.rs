//! The seek table: which stored bytes hold which bytes of the tar stream.
//!
//! A hint, unsigned: it can send a reader to the wrong frame, and then headers and digests do not agree.
//! Pure. Specification: zstd's `contrib/seekable_format`, version 0.1.1.

use super::limits::{FRAME_SIZE_MAX_BYTES, FRAME_STORED_SIZE_MAX_BYTES, FRAMES_MAX};

const SKIPPABLE_MAGIC: u32 = 0x184d_2a5e;
const FOOTER_MAGIC: u32 = 0x8f92_eab1;
/// Magic and length before the entries.
const HEADER_BYTES: usize = 8;
pub(super) const FOOTER_BYTES: usize = 9;
const CHECKSUM_FLAG: u8 = 0x80;
const RESERVED_FLAGS: u8 = 0x7c;

/// Why bytes are not a seek table of this format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSeekTable {
    #[error("there is no seek table at the end")]
    Missing,
    #[error("the seek table is damaged")]
    Damaged,
    #[error("the seek table has more than {FRAMES_MAX} frames")]
    TooLong,
}

/// Stored and uncompressed size of each frame, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct SeekTableBuilder {
    frames: Vec<(u32, u32)>,
}

impl From<Vec<(u32, u32)>> for SeekTableBuilder {
    fn from(frames: Vec<(u32, u32)>) -> Self {
        Self { frames }
    }
}

impl SeekTableBuilder {
    pub(super) fn frames(&self) -> &[(u32, u32)] {
        &self.frames
    }

    pub(super) fn push(&mut self, stored_size: usize, size: usize) {
        let narrow = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        self.frames.push((narrow(stored_size), narrow(size)));
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let length = self.frames.len() * 8 + FOOTER_BYTES;
        let narrow = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + length);
        bytes.extend_from_slice(&SKIPPABLE_MAGIC.to_le_bytes());
        bytes.extend_from_slice(&narrow(length));
        for (stored, size) in &self.frames {
            bytes.extend_from_slice(&stored.to_le_bytes());
            bytes.extend_from_slice(&size.to_le_bytes());
        }
        bytes.extend_from_slice(&narrow(self.frames.len()));
        bytes.push(0);
        bytes.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
        bytes
    }
}

/// What a footer says: how long the whole table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    frames: u32,
    has_checksums: bool,
}

impl Footer {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, InvalidSeekTable> {
        let bytes: &[u8; FOOTER_BYTES] = bytes.try_into().map_err(|_| InvalidSeekTable::Missing)?;
        let [a, b, c, d, descriptor, magic @ ..] = *bytes;
        if u32::from_le_bytes(magic) != FOOTER_MAGIC {
            return Err(InvalidSeekTable::Missing);
        }
        if descriptor & RESERVED_FLAGS != 0 {
            return Err(InvalidSeekTable::Damaged);
        }
        let frames = u32::from_le_bytes([a, b, c, d]);
        if frames > FRAMES_MAX {
            return Err(InvalidSeekTable::TooLong);
        }
        Ok(Self {
            frames,
            has_checksums: descriptor & CHECKSUM_FLAG != 0,
        })
    }

    fn entry_bytes(self) -> usize {
        if self.has_checksums { 12 } else { 8 }
    }

    /// The whole table with header and footer, in bytes.
    pub(super) fn table_size(self) -> usize {
        HEADER_BYTES + self.frames as usize * self.entry_bytes() + FOOTER_BYTES
    }
}

/// One frame: where it is stored, and which bytes of the tar stream it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub stored_offset: u64,
    pub stored_size: usize,
    pub offset: u64,
    pub size: usize,
}

/// A parsed seek table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeekTable {
    /// Stored offset and tar stream offset where each frame begins, and at last where the last one ends.
    starts: Vec<(u64, u64)>,
}

impl SeekTable {
    /// Parses the whole table, from its magic to the end of the footer.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidSeekTable> {
        let split = bytes
            .len()
            .checked_sub(FOOTER_BYTES)
            .ok_or(InvalidSeekTable::Missing)?;
        let footer = Footer::parse(&bytes[split..])?;
        let length = u32::try_from(footer.table_size() - HEADER_BYTES);
        let mut header = SKIPPABLE_MAGIC.to_le_bytes().to_vec();
        header.extend(length.map_err(|_| InvalidSeekTable::TooLong)?.to_le_bytes());
        if bytes.len() != footer.table_size() || bytes[..HEADER_BYTES] != header {
            return Err(InvalidSeekTable::Damaged);
        }
        let mut starts = Vec::with_capacity(footer.frames as usize + 1);
        let mut end = (0, 0);
        starts.push(end);
        for entry in bytes[HEADER_BYTES..split].chunks_exact(footer.entry_bytes()) {
            let number = |at: usize| {
                let field = entry[at..at + 4].try_into().unwrap_or_default();
                u64::from(u32::from_le_bytes(field))
            };
            let (stored, size) = (number(0), number(4));
            if stored > FRAME_STORED_SIZE_MAX_BYTES as u64 || size > FRAME_SIZE_MAX_BYTES as u64 {
                return Err(InvalidSeekTable::Damaged);
            }
            end = (end.0 + stored, end.1 + size);
            starts.push(end);
        }
        Ok(Self { starts })
    }

    /// The length of the tar stream, in bytes.
    pub fn size(&self) -> u64 {
        self.starts.last().map_or(0, |start| start.1)
    }

    /// The length of all frames as stored, in bytes.
    pub fn stored_size(&self) -> u64 {
        self.starts.last().map_or(0, |start| start.0)
    }

    pub fn frame_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The frame at position `index`, `None` behind the last one.
    pub fn frame(&self, index: usize) -> Option<Frame> {
        let (stored_offset, offset) = *self.starts.get(index)?;
        let (stored_end, end) = *self.starts.get(index + 1)?;
        Some(Frame {
            stored_offset,
            stored_size: usize::try_from(stored_end - stored_offset).ok()?,
            offset,
            size: usize::try_from(end - offset).ok()?,
        })
    }

    /// The position of the frame that holds byte `offset` of the tar stream.
    pub fn find(&self, offset: u64) -> usize {
        self.starts
            .partition_point(|start| start.1 <= offset)
            .saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_the_frame_of_every_byte() {
        let mut builder = SeekTableBuilder::default();
        for (stored, size) in [(20, 10), (9, 0), (5, 100)] {
            builder.push(stored, size);
        }
        let bytes = builder.encode();
        assert_eq!(
            Footer::parse(&bytes[bytes.len() - 9..])
                .unwrap()
                .table_size(),
            bytes.len()
        );
        let table = SeekTable::parse(&bytes).unwrap();
        assert_eq!((table.size(), table.stored_size()), (110, 34));
        assert_eq!([0, 9, 10, 109].map(|at| table.find(at)), [0, 0, 2, 2]);
        assert_eq!(table.frame(2).unwrap().stored_offset, 29);
        assert_eq!(table.frame(3), None);
    }

    #[test]
    fn every_flipped_byte_of_a_footer_or_header_is_noticed_or_changes_sizes() {
        let mut builder = SeekTableBuilder::default();
        builder.push(20, 10);
        let bytes = builder.encode();
        let table = SeekTable::parse(&bytes).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            // The lowest bits of the descriptor are unused by the format; a verify compares the bytes.
            let is_unused_bit = at == bytes.len() - 5;
            assert!(
                is_unused_bit || SeekTable::parse(&flipped).as_ref() != Ok(&table),
                "byte {at}"
            );
        }
    }
}
