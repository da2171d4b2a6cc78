//! A sketch of a layer: 512 bytes from which the likeness of two layers is estimated without opening them.
//!
//! It holds the smallest 64 hashes of the 512-byte blocks of the layer (a bottom-k sketch, Broder 1997). A tar aligns the
//! bodies of files to such blocks, so that files that moved, or got other times in their headers, still count as the
//! same. It chooses references and proves nothing.
//!
//! Sketches are kept between exports, so the hash is part of a stored format: it does not change.

use super::error::Result;
use super::source::{ReadAt, for_each_block};

/// How many hashes a sketch holds at most.
const HASHES: usize = 64;

/// The block of a tar, in bytes.
const BLOCK_BYTES: usize = 512;

/// How many bytes are read at once.
const READ_BYTES: usize = 1 << 20;

/// The smallest block hashes of one layer, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    smallest: Vec<u64>,
}

impl Sketch {
    /// Sketches `layer` in one pass.
    pub fn of(layer: &dyn ReadAt) -> Result<Self> {
        let mut sketch = Self::default();
        for_each_block(layer, 0, READ_BYTES, |_, bytes| {
            sketch.add(bytes);
            Ok(())
        })?;
        Ok(sketch)
    }

    /// Takes in `bytes` that start at a multiple of the block size.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK_BYTES) {
            let hash = hash_block(block);
            let is_full = self.smallest.len() == HASHES;
            if is_full && self.smallest.last().is_some_and(|&largest| hash >= largest) {
                continue;
            }
            if let Err(at) = self.smallest.binary_search(&hash) {
                self.smallest.insert(at, hash);
                self.smallest.truncate(HASHES);
            }
        }
    }

    /// The estimated share of blocks that both layers have among those that either has, from 0 to 1.
    pub fn similarity(&self, other: &Self) -> f64 {
        let mut union: Vec<u64> = self
            .smallest
            .iter()
            .chain(&other.smallest)
            .copied()
            .collect();
        union.sort_unstable();
        union.dedup();
        union.truncate(HASHES);
        if union.is_empty() {
            return 0.0;
        }
        let holds = |sketch: &Self, hash: &u64| sketch.smallest.binary_search(hash).is_ok();
        let shared = union
            .iter()
            .filter(|hash| holds(self, hash) && holds(other, hash))
            .count();
        let as_f64 = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
        as_f64(shared) / as_f64(union.len())
    }

    /// The hashes in ascending order, each as eight bytes in little-endian order.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.smallest
            .iter()
            .flat_map(|hash| hash.to_le_bytes())
            .collect()
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<8>();
        let smallest: Vec<u64> = hashes
            .iter()
            .map(|hash| u64::from_le_bytes(*hash))
            .collect();
        let is_canonical =
            rest.is_empty() && smallest.len() <= HASHES && smallest.is_sorted_by(|a, b| a < b);
        is_canonical.then_some(Self { smallest })
    }
}

/// A fast hash of one block by multiplying and folding; good enough to sample by, and no defence against forgery.
fn hash_block(block: &[u8]) -> u64 {
    const KEYS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];
    let mut hash = block.len() as u64;
    for word in block.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        let (low, high) = (hash ^ u64::from_le_bytes(bytes)).carrying_mul(KEYS[0], 0);
        hash = low ^ high ^ KEYS[1];
    }
    let (low, high) = hash.carrying_mul(KEYS[1], 0);
    low ^ high
}
