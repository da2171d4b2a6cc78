//! Segments: literals compressed by zstd against a prefix.
//!
//! A segment is one zstd frame (RFC 8878) that states its content size and has no checksum, since a digest outside
//! covers the whole layer. Its prefix is raw content that stands before it in the window, and is not in the frame.

use zstd::zstd_safe::{
    self, CCtx, CParameter, DCtx, DParameter, get_error_name, get_frame_content_size,
};

use super::error::{Error, Result};
use super::limits::{MAX_PREFIX_BYTES, MAX_SEGMENT_BYTES, PREVIOUS_BYTES};
use super::segment::{Place, Segment};
use super::source::{ReadAt, read_at};

/// The largest window that a frame of ours needs: places, the end of the segment before and the segment are within 64 MiB.
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
    /// Without places they are as large as those of level 6: larger ones leave the cache of a processor, take half as
    /// long again and gain 1 %.
    const OF_LITERALS: Self = Self {
        hash_log: 19,
        chain_log: 19,
    };
}

const _: () = assert!(MAX_PREFIX_BYTES + PREVIOUS_BYTES + MAX_SEGMENT_BYTES <= 1 << MAX_WINDOW_LOG);

/// What segments are compressed in, one after the other: memory that is given back and taken again for each of them
/// stays with the allocator of the thread that had it, and adds up.
#[derive(Default)]
pub(super) struct Buffers {
    plain: Vec<u8>,
    frame: Vec<u8>,
}

impl Buffers {
    /// Compresses `literals` with `previous` and then what stands at `places` before them.
    pub(super) fn compress(
        &mut self,
        literals: &[u8],
        places: &[Place],
        previous: Option<&[u8]>,
        references: &[&dyn ReadAt],
        level: i32,
    ) -> Result<Vec<u8>> {
        // Prefix and literals stand in one piece of memory: the matcher then treats them as one stream, which is
        // faster.
        self.plain.clear();
        read_prefix(
            &mut self.plain,
            places,
            previous,
            references,
            literals.len(),
        )?;
        let prefix_bytes = self.plain.len();
        self.plain.extend_from_slice(literals);
        let (prefix, content) = self.plain.split_at(prefix_bytes);
        self.frame.clear();
        let tables = match places.is_empty() {
            true => Tables::OF_LITERALS,
            false => Tables::OF_PLACES,
        };
        let encoded = encode(prefix, content, (level, tables), &mut self.frame);
        encoded.map_err(|code| Error::Compress {
            reason: get_error_name(code),
        })?;
        Ok(self.frame.clone())
    }
}

fn encode(
    prefix: &[u8],
    content: &[u8],
    (level, tables): (i32, Tables),
    frame: &mut Vec<u8>,
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
    context.set_parameter(CParameter::ContentSizeFlag(true))?;
    context.set_parameter(CParameter::ChecksumFlag(false))?;
    context.ref_prefix(prefix)?;
    frame.reserve(zstd_safe::compress_bound(content.len()));
    context.compress2(frame, content)
}

/// Decodes `frame` into exactly as many bytes as `segment` says, and not before the frame says the same.
pub(super) fn decompress(
    number: usize,
    frame: &[u8],
    segment: &Segment,
    previous: Option<Vec<u8>>,
    references: &[&dyn ReadAt],
) -> Result<Vec<u8>> {
    let declared = get_frame_content_size(frame).ok().flatten();
    if declared != Some(segment.plain_bytes as u64) {
        return Err(Error::SegmentLength {
            number,
            declared,
            expected: segment.plain_bytes,
        });
    }
    let mut prefix = Vec::new();
    read_prefix(
        &mut prefix,
        &segment.places,
        previous.as_deref(),
        references,
        0,
    )?;
    drop(previous);
    let mut plain = Vec::with_capacity(segment.plain_bytes);
    decode(&prefix, frame, &mut plain).map_err(|code| Error::SegmentDamaged {
        number,
        reason: get_error_name(code),
    })?;
    if plain.len() != segment.plain_bytes {
        return Err(Error::SegmentLength {
            number,
            declared: Some(plain.len() as u64),
            expected: segment.plain_bytes,
        });
    }
    match is_one_frame(frame) {
        true => Ok(plain),
        false => Err(Error::SegmentDamaged {
            number,
            reason: "something is behind its frame",
        }),
    }
}

/// Whether nothing is behind the first frame, not even a frame of nothing.
pub(super) fn is_one_frame(bytes: &[u8]) -> bool {
    zstd_safe::find_frame_compressed_size(bytes) == Ok(bytes.len())
}

fn decode(prefix: &[u8], frame: &[u8], plain: &mut Vec<u8>) -> std::result::Result<usize, usize> {
    let mut context = DCtx::create();
    context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
    context.ref_prefix(prefix)?;
    context.decompress(plain, frame)
}

/// Appends the bytes of a prefix, and makes room for `spare_bytes` after them.
fn read_prefix(
    prefix: &mut Vec<u8>,
    places: &[Place],
    previous: Option<&[u8]>,
    references: &[&dyn ReadAt],
    spare_bytes: usize,
) -> Result<()> {
    let previous = previous.unwrap_or_default();
    let previous = &previous[previous.len().saturating_sub(PREVIOUS_BYTES)..];
    let place_bytes: usize = places.iter().map(|place| place.length).sum();
    prefix.reserve_exact(previous.len() + place_bytes + spare_bytes);
    prefix.extend_from_slice(previous);
    for place in places {
        let start = prefix.len();
        prefix.resize(start + place.length, 0);
        read_at(
            references[place.reference],
            place.reference,
            &mut prefix[start..],
            place.offset,
        )?;
    }
    Ok(())
}
