//! Segments: literals compressed by zstd against a prefix.
//!
//! A segment is one zstd frame (RFC 8878) that states its content size and has no checksum, since a digest outside
//! covers the whole layer. Its prefix is raw content that stands before it in the window, and is not in the frame.

use zstd::zstd_safe::{
    self, CCtx, CParameter, DCtx, DParameter, get_error_name, get_frame_content_size,
};

use super::branches::restore_distances;
use super::error::{Error, Result};
use super::limits::{MAX_PREFIX_BYTES, MAX_SEGMENT_BYTES};
use super::room::Room;
use super::segment::{Place, Segment};
use super::source::{ReadAt, read_at};

/// The largest window that a frame of ours needs: places and segment are within 64 MiB.
const MAX_WINDOW_LOG: u32 = 26;

/// The logarithms of the sizes of the tables of the match finder, in entries.
#[derive(Clone, Copy)]
struct Tables {
    hash_log: u32,
    chain_log: u32,
}

impl Tables {
    /// Zstd chooses tables by the level alone, and those of level 3 to 6 forget most of a long prefix before the
    /// literals come, which doubles what an update comes to. These take 24 MiB.
    const OF_PLACES: Self = Self {
        hash_log: 22,
        chain_log: 21,
    };
    /// Without places larger ones than these leave the cache of a processor, and gain less than a higher level does in
    /// the same time.
    const OF_LITERALS: Self = Self {
        hash_log: 19,
        chain_log: 19,
    };
    const OF_LITERALS_PRESSED_HARD: Self = Self {
        hash_log: 21,
        chain_log: 20,
    };

    fn of(places: &[Place], level: i32) -> Self {
        match places.is_empty() {
            false => Self::OF_PLACES,
            true if level <= 6 => Self::OF_LITERALS,
            true => Self::OF_LITERALS_PRESSED_HARD,
        }
    }
}

const _: () = assert!(MAX_PREFIX_BYTES + MAX_SEGMENT_BYTES <= 1 << MAX_WINDOW_LOG);

/// Up to this level zstd looks at 8 or 16 of the places that it knows. More cost little and gain up to 1 %.
const SHALLOW_LEVEL_MAX: i32 = 8;

/// The logarithm of how many it looks at then.
fn search_log(level: i32) -> u32 {
    match level {
        ..=6 => 4,
        _ => 5,
    }
}

/// What segments are compressed in, one after the other.
pub(super) struct Buffers {
    pub(super) literals: Room,
    plain: Room,
    frame: Room,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            literals: Room::with_capacity(0),
            plain: Room::with_capacity(0),
            frame: Room::with_capacity(0),
        }
    }

    /// Compresses the literals with what stands at `places` before them.
    pub(super) fn compress(
        &mut self,
        places: &[Place],
        references: &[&dyn ReadAt],
        level: i32,
    ) -> Result<Vec<u8>> {
        let (prefix, content) = if places.is_empty() {
            (&[][..], &*self.literals)
        } else {
            // Prefix and literals stand in one piece of memory: the matcher then treats them as one stream, which is
            // faster.
            read_places(places, references, &mut self.plain, self.literals.len())?;
            let prefix_bytes = self.plain.len();
            self.plain.extend(&self.literals);
            self.plain.split_at(prefix_bytes)
        };
        let tables = Tables::of(places, level);
        let frame_bytes_max = zstd_safe::compress_bound(content.len());
        self.frame.reset(frame_bytes_max);
        let frame = self.frame.grow(frame_bytes_max);
        let encoded =
            encode(prefix, content, (level, tables), frame).map_err(|code| Error::Compress {
                reason: get_error_name(code),
            })?;
        Ok(frame[..encoded].to_vec())
    }
}

fn encode(
    prefix: &[u8],
    content: &[u8],
    (level, tables): (i32, Tables),
    frame: &mut [u8],
) -> std::result::Result<usize, usize> {
    let total_bytes = prefix.len() + content.len();
    let window_log = total_bytes
        .next_power_of_two()
        .ilog2()
        .clamp(10, MAX_WINDOW_LOG);
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(level))?;
    context.set_parameter(CParameter::WindowLog(window_log))?;
    context.set_parameter(CParameter::HashLog(window_log.min(tables.hash_log)))?;
    context.set_parameter(CParameter::ChainLog(window_log.min(tables.chain_log)))?;
    if level <= SHALLOW_LEVEL_MAX {
        context.set_parameter(CParameter::SearchLog(search_log(level)))?;
    }
    context.set_parameter(CParameter::ContentSizeFlag(true))?;
    context.set_parameter(CParameter::ChecksumFlag(false))?;
    context.ref_prefix(prefix)?;
    context.compress2(frame, content)
}

/// The literals of one segment after the other.
pub(super) struct Decoded {
    plain: Room,
    prefix: Room,
}

impl Decoded {
    pub(super) fn new() -> Self {
        Self {
            plain: Room::with_capacity(0),
            prefix: Room::with_capacity(0),
        }
    }

    /// The literals of the segment that was decoded last.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// Decodes `frame` into exactly as many bytes as `segment` says, and not before the frame says the same.
    pub(super) fn decompress(
        &mut self,
        number: usize,
        frame: &[u8],
        segment: &Segment,
        references: &[&dyn ReadAt],
    ) -> Result<()> {
        let length_is = |declared| Error::SegmentLength {
            number,
            declared,
            expected: segment.plain_bytes,
        };
        let declared = get_frame_content_size(frame).ok().flatten();
        if declared != Some(segment.plain_bytes as u64) {
            return Err(length_is(declared));
        }
        read_places(&segment.places, references, &mut self.prefix, 0)?;
        self.plain.reset(segment.plain_bytes);
        let plain = self.plain.grow(segment.plain_bytes);
        let decoded = decode(&self.prefix, frame, plain).map_err(|code| Error::SegmentDamaged {
            number,
            reason: get_error_name(code),
        })?;
        if decoded != segment.plain_bytes {
            return Err(length_is(Some(decoded as u64)));
        }
        if !is_one_frame(frame) {
            return Err(Error::SegmentDamaged {
                number,
                reason: "something is behind its frame",
            });
        }
        if segment.has_targets {
            restore_distances(&mut self.plain);
        }
        Ok(())
    }
}

/// Whether nothing is behind the first frame, not even a frame of nothing.
pub(super) fn is_one_frame(bytes: &[u8]) -> bool {
    zstd_safe::find_frame_compressed_size(bytes) == Ok(bytes.len())
}

fn decode(prefix: &[u8], frame: &[u8], plain: &mut [u8]) -> std::result::Result<usize, usize> {
    let mut context = DCtx::create();
    context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
    context.ref_prefix(prefix)?;
    context.decompress(plain, frame)
}

/// Fills `room` with what stands at `places`, so that `more_bytes` fit in behind it.
fn read_places(
    places: &[Place],
    references: &[&dyn ReadAt],
    room: &mut Room,
    more_bytes: usize,
) -> Result<()> {
    let prefix_bytes: usize = places.iter().map(|place| place.length).sum();
    room.reset(prefix_bytes + more_bytes);
    for place in places {
        let number = place.reference;
        let buffer = room.grow(place.length);
        read_at(references[number], number, buffer, place.offset)?;
    }
    Ok(())
}
