//! Where the anchors of the references are.
//!
//! Not proof that bytes are equal: who looks an anchor up compares the bytes. Memory is bounded: when the index is full,
//! it forgets every other anchor and from then on keeps only one in twice as many bytes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::anchor::{BASE_BITS, Roll};
use super::error::{Error, Result};
use super::limits::{MAX_PLAIN_BYTES, MAX_REFERENCES};
use super::source::{ReadAt, for_each_block};

/// The most anchors that an index holds: 224 MiB of references at full density, in about 18 MB of memory.
pub const MAX_ANCHORS: usize = (1 << 20) / 8 * 7;

/// How many bytes are read at once.
const READ_BYTES: usize = 1 << 20;

/// How many bits of a packed place are the offset; the rest is the number of the reference.
const OFFSET_BITS: u32 = 48;

const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;

/// The anchors of some references, by their hash.
pub struct AnchorIndex {
    bits: u32,
    capacity: usize,
    ends: HashMap<u64, u64, BuildHasherDefault<Spread>>,
}

impl Default for AnchorIndex {
    fn default() -> Self {
        Self::with_capacity(MAX_ANCHORS)
    }
}

impl AnchorIndex {
    /// An index that never holds more than `capacity` anchors.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            bits: BASE_BITS,
            capacity,
            ends: HashMap::default(),
        }
    }

    /// Takes in `layer`, which no delta was made of, as reference `number`.
    pub fn add(&mut self, number: usize, layer: &dyn ReadAt) -> Result<()> {
        check_layer(number, layer)?;
        let (mut roll, mut found) = (Roll::default(), Vec::new());
        for_each_block(layer, number, READ_BYTES, |start, block| {
            roll.find(block, &mut found);
            for anchor in &found {
                self.insert(anchor.hash, number, start + anchor.end as u64);
            }
            Ok(())
        })
    }

    /// Takes in what a walk over a layer has found, as reference `number`.
    pub fn absorb(&mut self, number: usize, walked: &Self) {
        for (hash, place) in &walked.ends {
            self.insert(*hash, number, place & OFFSET_MASK);
        }
    }

    /// Remembers that the anchor `hash` ends at `end` in reference `number`, unless an earlier place is known.
    pub(super) fn insert(&mut self, hash: u64, number: usize, end: u64) {
        if !self.is_kept(hash) {
            return;
        }
        if self.ends.capacity() == 0 {
            // All at once: untouched memory costs nothing, and growing would need the old and the new together.
            self.ends.reserve(self.capacity);
        }
        self.ends
            .entry(hash)
            .or_insert((number as u64) << OFFSET_BITS | end);
        while self.ends.len() > self.capacity {
            self.bits += 1;
            let bits = self.bits;
            self.ends.retain(|hash, _| hash >> (u64::BITS - bits) == 0);
        }
    }

    /// The reference and the offset at which the anchor `hash` ends, when it is known.
    pub(super) fn find(&self, hash: u64) -> Option<(usize, u64)> {
        let place = *self.ends.get(&hash)?;
        let number = usize::try_from(place >> OFFSET_BITS).ok()?;
        Some((number, place & OFFSET_MASK))
    }

    /// How many anchors it holds.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn is_kept(&self, hash: u64) -> bool {
        hash >> (u64::BITS - self.bits) == 0
    }
}

/// Refuses what a place cannot express.
pub(super) fn check_layer(number: usize, layer: &dyn ReadAt) -> Result<()> {
    if number >= MAX_REFERENCES {
        return Err(Error::TooManyReferences {
            count: number as u64 + 1,
        });
    }
    let plain_bytes = layer.size_bytes();
    if plain_bytes > MAX_PLAIN_BYTES {
        return Err(Error::LayerTooLong { plain_bytes });
    }
    Ok(())
}

/// The hasher of keys that are hashes already, whose highest bits are zero: one multiplication spreads them.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value.wrapping_mul(0x9e37_79b9_7f4a_7c15).swap_bytes();
    }
}
