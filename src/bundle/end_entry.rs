//! `airlift/end`: 512 bytes that say where the inventory and the signatures are.
//!
//! Pure. Specification: FORMAT.md, "`airlift/end`".

use super::limits::{INVENTORY_SIZE_MAX_BYTES, SIGNATURE_SIZE_MAX_BYTES, SIGNATURES_MAX};
use super::tar_entry::{self, BLOCK_BYTES};

pub(super) const NAME: &str = "airlift/end";
/// Header, data and the two zero blocks that close the archive.
pub(super) const TAIL_BYTES: usize = 2048;
const DATA_BYTES: usize = 512;

/// Offsets and sizes in the tar stream, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Of the inventory's first data byte.
    pub inventory_offset: u64,
    pub inventory_size: u64,
    /// Of the first signature's header.
    pub signatures_offset: u64,
    /// Up to the header of `airlift/end`.
    pub signatures_size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnd {
    #[error("there is no end entry")]
    Missing,
    #[error("the end entry is damaged")]
    Damaged,
    #[error("the end entry is of format version `{0}`, and this program reads version 1")]
    UnknownVersion(String),
}

impl End {
    /// The last 2,048 bytes of a tar stream.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = format!(
            "airlift 1\ninventory {} {}\nsignatures {} {}\n",
            self.inventory_offset,
            self.inventory_size,
            self.signatures_offset,
            self.signatures_size
        )
        .into_bytes();
        data.resize(DATA_BYTES - 1, b' ');
        data.push(b'\n');
        let mut tail = tar_entry::encode_header(NAME, DATA_BYTES as u64);
        tail.extend_from_slice(&data);
        tail.resize(TAIL_BYTES, 0);
        tail
    }

    /// Parses the last 2,048 bytes of a tar stream that is `stream_size` bytes long.
    pub fn parse(tail: &[u8], stream_size: u64) -> Result<Self, InvalidEnd> {
        let header = tar_entry::encode_header(NAME, DATA_BYTES as u64);
        let data = tail.strip_prefix(&*header).ok_or(InvalidEnd::Missing)?;
        let text = data
            .get(..DATA_BYTES)
            .and_then(|data| std::str::from_utf8(data).ok())
            .ok_or(InvalidEnd::Damaged)?;
        let version = text.lines().next().unwrap_or_default();
        match version.strip_prefix("airlift ") {
            Some("1") => {}
            Some(other) => {
                return Err(InvalidEnd::UnknownVersion(
                    other.escape_default().to_string(),
                ));
            }
            None => return Err(InvalidEnd::Damaged),
        }
        let (inventory_offset, inventory_size) = parse_line(text, 1, "inventory")?;
        let (signatures_offset, signatures_size) = parse_line(text, 2, "signatures")?;
        let end = Self {
            inventory_offset,
            inventory_size,
            signatures_offset,
            signatures_size,
        };
        if end.encode() == tail && end.is_within(stream_size) {
            Ok(end)
        } else {
            Err(InvalidEnd::Damaged)
        }
    }

    fn is_within(&self, stream_size: u64) -> bool {
        let signature_entry = 2 * BLOCK_BYTES + SIGNATURE_SIZE_MAX_BYTES;
        let after_inventory = self
            .inventory_offset
            .checked_add(self.inventory_size)
            .map(|end| end.next_multiple_of(BLOCK_BYTES));
        self.inventory_size <= INVENTORY_SIZE_MAX_BYTES
            && self.inventory_offset >= BLOCK_BYTES
            && self.signatures_size <= SIGNATURES_MAX as u64 * signature_entry
            && after_inventory == Some(self.signatures_offset)
            && self.signatures_offset + self.signatures_size + TAIL_BYTES as u64 == stream_size
    }
}

fn parse_line(text: &str, line: usize, word: &str) -> Result<(u64, u64), InvalidEnd> {
    let words: Vec<&str> = text
        .lines()
        .nth(line)
        .unwrap_or_default()
        .split(' ')
        .collect();
    let number = |text: &str| text.parse().map_err(|_| InvalidEnd::Damaged);
    match words.as_slice() {
        [first, offset, size] if *first == word => Ok((number(offset)?, number(size)?)),
        _ => Err(InvalidEnd::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: End = End {
        inventory_offset: 1024,
        inventory_size: 700,
        signatures_offset: 2048,
        signatures_size: 1024,
    };
    const STREAM_SIZE: u64 = 2048 + 1024 + 2048;

    #[test]
    fn an_end_comes_back() {
        let tail = END.encode();
        assert_eq!(tail.len(), TAIL_BYTES);
        assert_eq!(End::parse(&tail, STREAM_SIZE), Ok(END));
        assert_eq!(End::parse(&tail, STREAM_SIZE + 1), Err(InvalidEnd::Damaged));
    }

    #[test]
    fn every_flipped_byte_is_refused_or_points_elsewhere() {
        let tail = END.encode();
        for at in 0..tail.len() {
            let mut flipped = tail.clone();
            flipped[at] ^= 1;
            assert_ne!(End::parse(&flipped, STREAM_SIZE), Ok(END), "byte {at}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let tail = String::from_utf8_lossy(&END.encode()).replace("airlift 1\n", "airlift 2\n");
        assert_eq!(
            End::parse(tail.as_bytes(), STREAM_SIZE),
            Err(InvalidEnd::UnknownVersion("2".to_owned()))
        );
    }
}
