//! What a recipe says of its segments: how long each is, and what stands in its prefix.
//!
//! The literals themselves are zstd frames, which `frame` makes and opens.

use super::error::{Error, Result};
use super::limits::{MAX_PLACES, MAX_PREFIX_BYTES, MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES};
use super::varint::{self, Input};

/// A stretch of a reference, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub reference: usize,
    pub offset: u64,
    /// No more than a prefix may have.
    pub length: usize,
}

/// What a reader must know of a segment before it decodes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// How many bytes of literals it holds.
    pub plain_bytes: usize,
    /// Whether it has the targets of branches in place of their distances; then there are no places.
    pub has_targets: bool,
    /// What stands in the prefix, in this order.
    pub places: Vec<Place>,
}

/// Appends the number of `segments` and each of them, with places in `references` references.
pub(super) fn put_segments(bytes: &mut Vec<u8>, segments: &[Segment], references: usize) {
    varint::put(bytes, segments.len() as u64);
    let mut ends = vec![0; references];
    for segment in segments {
        put_segment(bytes, segment, &mut ends);
    }
}

fn put_segment(bytes: &mut Vec<u8>, segment: &Segment, ends: &mut [u64]) {
    varint::put(bytes, segment.plain_bytes as u64);
    varint::put(
        bytes,
        (segment.places.len() as u64) << 1 | u64::from(segment.has_targets),
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
        varint::put(bytes, place.length as u64);
        ends[place.reference] = place.offset + place.length as u64;
    }
}

/// Takes the segments. Nothing is allocated by a number that was read, and since all but the last segment have a least
/// length, the length of the layer bounds how many there are.
pub(super) fn take_segments(
    input: &mut Input,
    sizes_bytes: &[u64],
    plain_bytes: u64,
) -> Result<Vec<Segment>> {
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
    let has_targets = head & 1 == 1;
    let count = head >> 1;
    if has_targets && count > 0 {
        return Err(Error::NotCanonical {
            what: "a segment with targets of branches and a prefix",
        });
    }
    if count > *places_left {
        return Err(Error::TooManyPlaces { count });
    }
    *places_left -= count;
    let mut prefix_bytes = 0;
    let mut places = Vec::new();
    for _ in 0..count {
        let place = take_place(input, sizes_bytes, ends)?;
        prefix_bytes += place.length;
        check_prefix(prefix_bytes as u64)?;
        places.push(place);
    }
    Ok(Segment {
        plain_bytes,
        has_targets,
        places,
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

fn check_prefix(bytes: u64) -> Result<usize> {
    usize::try_from(bytes)
        .ok()
        .filter(|length| *length <= MAX_PREFIX_BYTES)
        .ok_or(Error::PrefixTooLong { bytes })
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
    let bytes = input.take("the length of a prefix")?;
    if bytes == 0 {
        return Err(Error::NotCanonical {
            what: "a place of no length",
        });
    }
    check_within("a prefix", reference, offset, bytes, sizes_bytes[reference])?;
    let length = check_prefix(bytes)?;
    ends[reference] = offset + bytes;
    Ok(Place {
        reference,
        offset,
        length,
    })
}

/// Refuses bytes of a reference that has fewer.
pub(super) fn check_within(
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
