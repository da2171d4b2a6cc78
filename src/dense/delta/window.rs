//! A look at layers through one block, so that comparing bytes does not read a file for each of them.

use super::error::Result;
use super::source::{ReadAt, read_at};

/// How many bytes are kept of the layer that was looked at last.
const BLOCK_BYTES: usize = 64 << 10;

/// The references, the new layer after them, and the block that was read last.
pub(super) struct Window<'a> {
    layers: Vec<&'a dyn ReadAt>,
    sizes_bytes: Vec<u64>,
    block: Vec<u8>,
    held: Option<(usize, u64)>,
}

impl<'a> Window<'a> {
    pub(super) fn new(layers: Vec<&'a dyn ReadAt>) -> Self {
        Self {
            sizes_bytes: layers.iter().map(|layer| layer.size_bytes()).collect(),
            layers,
            block: Vec::new(),
            held: None,
        }
    }

    /// Some bytes of layer `number` from `offset` on; none only at its end.
    pub(super) fn from(&mut self, number: usize, offset: u64) -> Result<&[u8]> {
        let within = self.hold(number, offset)?;
        Ok(self.block.get(within..).unwrap_or_default())
    }

    /// Some bytes of layer `number` that end at `end`; none only at its start.
    pub(super) fn before(&mut self, number: usize, end: u64) -> Result<&[u8]> {
        let Some(last) = end.checked_sub(1) else {
            return Ok(&[]);
        };
        let within = self.hold(number, last)?;
        Ok(self.block.get(..=within).unwrap_or_default())
    }

    /// Reads the block with `offset` in it unless it is held; gives the place of `offset` in it.
    fn hold(&mut self, number: usize, offset: u64) -> Result<usize> {
        let within =
            usize::try_from(offset % BLOCK_BYTES as u64).expect("a rest is below the divisor");
        let start = offset - within as u64;
        if self.held != Some((number, start)) {
            let left = self.sizes_bytes[number].saturating_sub(start);
            let length = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            self.held = None;
            self.block.resize(length, 0);
            read_at(self.layers[number], number, &mut self.block, start)?;
            self.held = Some((number, start));
        }
        Ok(within)
    }
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
