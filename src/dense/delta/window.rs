//! A look at layers through a few blocks, so that a file is not read for each of many small pieces.

use super::error::Result;
use super::source::{ReadAt, read_at};

/// How many bytes are read at once: few, since most anchors lead to a copy that is over soon.
pub(super) const BLOCK_BYTES: usize = 16 << 10;

/// How many blocks are held.
const SLOTS: usize = 128;

/// The references, the new layer after them, and the blocks that were read last.
pub(super) struct Window<'a> {
    layers: Vec<&'a dyn ReadAt>,
    sizes_bytes: Vec<u64>,
    blocks: Blocks,
}

/// Blocks of layers that were read last.
pub(super) struct Blocks {
    slots: Vec<Slot>,
}

/// Room for one of the blocks whose numbers have the same rest.
#[derive(Clone, Default)]
struct Slot {
    /// The layer and the offset of the block that is held.
    held: Option<(usize, u64)>,
    block: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(layers: Vec<&'a dyn ReadAt>) -> Self {
        Self {
            sizes_bytes: layers.iter().map(|layer| layer.size_bytes()).collect(),
            layers,
            blocks: Blocks::new(),
        }
    }

    /// Some bytes of layer `number` from `offset` on; none only at its end.
    pub(super) fn from(&mut self, number: usize, offset: u64) -> Result<&[u8]> {
        let (block, within) = self.hold(number, offset)?;
        Ok(block.get(within..).unwrap_or_default())
    }

    /// Some bytes of layer `number` that end at `end`; none only at its start.
    pub(super) fn before(&mut self, number: usize, end: u64) -> Result<&[u8]> {
        let Some(last) = end.checked_sub(1) else {
            return Ok(&[]);
        };
        let (block, within) = self.hold(number, last)?;
        Ok(block.get(..=within).unwrap_or_default())
    }

    fn hold(&mut self, number: usize, offset: u64) -> Result<(&[u8], usize)> {
        let layer = self.layers[number];
        let size_bytes = self.sizes_bytes[number];
        self.blocks
            .hold((number, size_bytes), offset, |block, start| {
                read_at(layer, number, block, start)
            })
    }
}

impl Blocks {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![Slot::default(); SLOTS],
        }
    }

    /// Has `read` fill the block with `offset` in it, of layer `number` of `size_bytes`, unless it is held; gives it with
    /// the place of `offset` in it.
    pub(super) fn hold(
        &mut self,
        (number, size_bytes): (usize, u64),
        offset: u64,
        read: impl FnOnce(&mut [u8], u64) -> Result<()>,
    ) -> Result<(&[u8], usize)> {
        let within = rest(offset, BLOCK_BYTES);
        let start = offset - within as u64;
        // Layers begin at slots of their own, since copies often stay at one offset.
        let slot = rest(offset / BLOCK_BYTES as u64 + 37 * number as u64, SLOTS);
        let Slot { held, block } = &mut self.slots[slot];
        if *held != Some((number, start)) {
            let left = size_bytes.saturating_sub(start);
            let length = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            *held = None;
            block.resize(length, 0);
            read(block, start)?;
            *held = Some((number, start));
        }
        Ok((block, within))
    }
}

fn rest(value: u64, divisor: usize) -> usize {
    usize::try_from(value % divisor as u64).expect("a rest is below the divisor")
}

/// How many bytes two slices have in common at their start.
pub(super) fn common_start(a: &[u8], b: &[u8]) -> usize {
    const STRIDE: usize = 64;
    let length = a.len().min(b.len());
    let (a, b) = (&a[..length], &b[..length]);
    let strides = a.chunks_exact(STRIDE).zip(b.chunks_exact(STRIDE));
    let equal = strides.take_while(|(a, b)| a == b).count() * STRIDE;
    equal
        + a[equal..]
            .iter()
            .zip(&b[equal..])
            .take_while(|(a, b)| a == b)
            .count()
}

/// How many bytes two slices have in common at their end.
pub(super) fn common_end(a: &[u8], b: &[u8]) -> usize {
    const STRIDE: usize = 64;
    let length = a.len().min(b.len());
    let (a, b) = (&a[a.len() - length..], &b[b.len() - length..]);
    let strides = a.rchunks_exact(STRIDE).zip(b.rchunks_exact(STRIDE));
    let left = length - strides.take_while(|(a, b)| a == b).count() * STRIDE;
    let bytes = a[..left].iter().rev().zip(b[..left].iter().rev());
    length - left + bytes.take_while(|(a, b)| a == b).count()
}
