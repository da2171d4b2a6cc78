//! A delta as a value and as bytes: how a layer is made of references and of segments of literals.
//!
//! The literals themselves are not in it; they travel beside it, compressed, one piece per segment. A value of
//! [`Delta`] has passed every check that needs no reference to be opened.

use zstd::zstd_safe::get_frame_content_size;

use super::error::{Error, Result};
use super::frame::is_one_frame;
use super::limits::{MAX_PLAIN_BYTES, MAX_RECIPE_BYTES, MAX_REFERENCES};
use super::ops::{Op, OpReader};
use super::segment::{Segment, check_within, put_segments, take_segments};
use super::varint::{self, Input};

/// The level of zstd at which recipes are compressed, which halves them.
const RECIPE_LEVEL: i32 = 9;

/// How a layer is made out of references and literals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    pub(super) plain_bytes: u64,
    pub(super) references: usize,
    pub(super) segments: Vec<Segment>,
    pub(super) ops: Vec<u8>,
}

impl Delta {
    /// The length of the layer that it makes, in bytes.
    pub fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    /// How many references it is made for.
    pub fn references(&self) -> usize {
        self.references
    }

    /// The segments, in the order in which their literals are used.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The operations from the first byte of the layer to the last.
    pub fn ops(&self) -> impl Iterator<Item = Result<Op>> {
        OpReader::new(&self.ops, self.references)
    }

    /// The bytes of the recipe, as DELTA.md describes them: one zstd frame.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        zstd::bulk::compress(&self.to_plain_bytes(), RECIPE_LEVEL).map_err(|source| Error::Write {
            what: "the recipe",
            source,
        })
    }

    /// Reads what [`Self::to_bytes`] wrote for references of `sizes_bytes`, and refuses everything else.
    pub fn from_bytes(bytes: &[u8], sizes_bytes: &[u64]) -> Result<Self> {
        let declared = get_frame_content_size(bytes).ok().flatten();
        let plain_bytes = declared
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| *length <= MAX_RECIPE_BYTES)
            .ok_or(Error::RecipeTooLong { bytes: declared })?;
        let plain = zstd::bulk::decompress(bytes, plain_bytes).map_err(|_| Error::RecipeDamaged)?;
        if !is_one_frame(bytes) {
            return Err(Error::RecipeDamaged);
        }
        Self::from_plain_bytes(&plain, sizes_bytes)
    }

    /// The recipe before it is compressed.
    pub(super) fn to_plain_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.ops.len() + 64);
        varint::put(&mut bytes, self.plain_bytes);
        varint::put(&mut bytes, self.references as u64);
        put_segments(&mut bytes, &self.segments, self.references);
        bytes.extend_from_slice(&self.ops);
        bytes
    }

    /// Reads a recipe that is no longer compressed.
    pub(super) fn from_plain_bytes(bytes: &[u8], sizes_bytes: &[u64]) -> Result<Self> {
        let mut input = Input { bytes };
        let plain_bytes = input.take("the length of the layer")?;
        if plain_bytes > MAX_PLAIN_BYTES {
            return Err(Error::LayerTooLong { plain_bytes });
        }
        take_references(&mut input, sizes_bytes.len())?;
        let segments = take_segments(&mut input, sizes_bytes, plain_bytes)?;
        let delta = Self {
            plain_bytes,
            references: sizes_bytes.len(),
            segments,
            ops: input.bytes.to_vec(),
        };
        delta.check_ops(sizes_bytes)?;
        Ok(delta)
    }

    /// Walks the operations once: each within its reference, all together as long as the layer, the literals as long
    /// as the segments.
    fn check_ops(&self, sizes_bytes: &[u64]) -> Result<()> {
        let mut position = 0u64;
        let mut literal_bytes = 0u64;
        for op in self.ops() {
            let op = op?;
            match op {
                Op::Literal { length } => literal_bytes = literal_bytes.saturating_add(length),
                Op::Copy {
                    reference,
                    offset,
                    length,
                } => check_copy(reference, offset, length, position, sizes_bytes)?,
            }
            position = position.saturating_add(op.length());
            if position > self.plain_bytes {
                let plain_bytes = self.plain_bytes;
                return Err(Error::TooMuchOutput { plain_bytes });
            }
        }
        if position != self.plain_bytes {
            return Err(Error::TooLittleOutput {
                plain_bytes: self.plain_bytes,
                actual: position,
            });
        }
        let segment_bytes = self
            .segments
            .iter()
            .map(|segment| segment.plain_bytes as u64)
            .sum();
        if literal_bytes != segment_bytes {
            return Err(Error::LiteralSum {
                literal_bytes,
                segment_bytes,
            });
        }
        Ok(())
    }
}

fn check_copy(
    reference: usize,
    offset: u64,
    length: u64,
    position: u64,
    sizes_bytes: &[u64],
) -> Result<()> {
    match sizes_bytes.get(reference) {
        Some(&size_bytes) => check_within("a copy", reference, offset, length, size_bytes),
        None if offset
            .checked_add(length)
            .is_some_and(|end| end <= position) =>
        {
            Ok(())
        }
        None => Err(Error::CopyFromAhead {
            offset,
            length,
            position,
        }),
    }
}

fn take_references(input: &mut Input, actual: usize) -> Result<()> {
    let count = input.take("the number of references")?;
    let expected = usize::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_REFERENCES)
        .ok_or(Error::TooManyReferences { count })?;
    if expected != actual {
        return Err(Error::ReferenceCount { expected, actual });
    }
    Ok(())
}
