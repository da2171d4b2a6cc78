//! A delta as a value and as bytes: how a layer is made of references and of segments of literals.
//!
//! The literals themselves are not in it; they travel beside it, compressed, one piece per segment. A value of
//! [`Delta`] has passed every check that needs no reference to be opened.

use super::error::{Error, Result};
use super::limits::{
    MAX_PLACES, MAX_PLAIN_BYTES, MAX_PREFIX_BYTES, MAX_RECIPE_BYTES, MAX_REFERENCES,
    MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES,
};
use super::ops::{Op, OpReader};
use super::varint::{self, Input};

/// A stretch of a reference, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub reference: usize,
    pub offset: u64,
    pub length: u64,
}

/// What a reader must know of a segment before it decodes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// How many bytes of literals it holds.
    pub plain_bytes: usize,
    /// What stands in the prefix, in this order.
    pub places: Vec<Place>,
    /// Whether the literals of the segment before stand in the prefix, after the places.
    pub has_previous: bool,
}

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

    /// The bytes of the recipe, as DELTA.md describes them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.ops.len() + 64);
        varint::put(&mut bytes, self.plain_bytes);
        varint::put(&mut bytes, self.references as u64);
        varint::put(&mut bytes, self.segments.len() as u64);
        let mut ends = vec![0; self.references];
        for segment in &self.segments {
            put_segment(&mut bytes, segment, &mut ends);
        }
        bytes.extend_from_slice(&self.ops);
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote for references of `sizes_bytes`, and refuses everything else.
    pub fn from_bytes(bytes: &[u8], sizes_bytes: &[u64]) -> Result<Self> {
        if bytes.len() > MAX_RECIPE_BYTES {
            return Err(Error::RecipeTooLong { bytes: bytes.len() });
        }
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

fn check_within(
    what: &'static str,
    number: usize,
    offset: u64,
    length: u64,
    size_bytes: u64,
) -> Result<()> {
    if offset
        .checked_add(length)
        .is_some_and(|end| end <= size_bytes)
    {
        return Ok(());
    }
    Err(Error::BeyondReference {
        what,
        number: number as u64,
        offset,
        length,
        size_bytes,
    })
}

fn put_segment(bytes: &mut Vec<u8>, segment: &Segment, ends: &mut [u64]) {
    varint::put(bytes, segment.plain_bytes as u64);
    varint::put(
        bytes,
        (segment.places.len() as u64) << 1 | u64::from(segment.has_previous),
    );
    for place in &segment.places {
        varint::put(bytes, place.reference as u64);
        varint::put_signed(
            bytes,
            place
                .offset
                .wrapping_sub(ends[place.reference])
                .cast_signed(),
        );
        varint::put(bytes, place.length);
        ends[place.reference] = place.offset.wrapping_add(place.length);
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

/// Takes the segments. Nothing is allocated by a number that was read, and since all but the last segment have a least
/// length, the length of the layer bounds how many there are.
fn take_segments(input: &mut Input, sizes_bytes: &[u64], plain_bytes: u64) -> Result<Vec<Segment>> {
    let count = input.take("the number of segments")?;
    let mut ends = vec![0; sizes_bytes.len()];
    let mut places_left = MAX_PLACES as u64;
    let mut segments = Vec::new();
    let mut segment_bytes = 0;
    for i in 0..count {
        let segment = take_segment(input, sizes_bytes, &mut ends, &mut places_left)?;
        if i + 1 < count && segment.plain_bytes < MIN_SEGMENT_BYTES {
            return Err(Error::SegmentTooShort {
                bytes: segment.plain_bytes as u64,
            });
        }
        if segment.has_previous && i == 0 {
            return Err(Error::NotCanonical {
                what: "a first segment that names a previous one",
            });
        }
        segment_bytes += segment.plain_bytes as u64;
        if segment_bytes > plain_bytes {
            return Err(Error::TooMuchOutput { plain_bytes });
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn take_segment(
    input: &mut Input,
    sizes_bytes: &[u64],
    ends: &mut [u64],
    places_left: &mut u64,
) -> Result<Segment> {
    let plain_bytes = take_segment_length(input)?;
    let head = input.take("the prefix of a segment")?;
    let count = head >> 1;
    if count > *places_left {
        return Err(Error::TooManyPlaces { count });
    }
    *places_left -= count;
    let mut prefix_bytes = 0u64;
    let mut places = Vec::new();
    for _ in 0..count {
        let place = take_place(input, sizes_bytes, ends)?;
        prefix_bytes = prefix_bytes.saturating_add(place.length);
        if prefix_bytes > MAX_PREFIX_BYTES as u64 {
            return Err(Error::PrefixTooLong {
                bytes: prefix_bytes,
            });
        }
        places.push(place);
    }
    Ok(Segment {
        plain_bytes,
        places,
        has_previous: head & 1 == 1,
    })
}

fn take_segment_length(input: &mut Input) -> Result<usize> {
    let bytes = input.take("the length of a segment")?;
    match usize::try_from(bytes) {
        Ok(0) => Err(Error::NotCanonical {
            what: "a segment of no length",
        }),
        Ok(length) if length <= MAX_SEGMENT_BYTES => Ok(length),
        _ => Err(Error::SegmentTooLong { bytes }),
    }
}

fn take_place(input: &mut Input, sizes_bytes: &[u64], ends: &mut [u64]) -> Result<Place> {
    let number = input.take("the reference of a prefix")?;
    let count = sizes_bytes.len();
    let reference = usize::try_from(number)
        .ok()
        .filter(|reference| *reference < count)
        .ok_or(Error::UnknownReference { number, count })?;
    let difference = input.take_signed("the offset of a prefix")?;
    let offset = ends[reference].wrapping_add(difference.cast_unsigned());
    let length = input.take("the length of a prefix")?;
    if length == 0 {
        return Err(Error::NotCanonical {
            what: "a place of no length",
        });
    }
    check_within(
        "a prefix",
        reference,
        offset,
        length,
        sizes_bytes[reference],
    )?;
    ends[reference] = offset + length;
    Ok(Place {
        reference,
        offset,
        length,
    })
}
