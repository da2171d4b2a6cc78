//! zstd frames: raw ones by our own few lines, compressed ones by libzstd, each holding at most 4 MiB.
//!
//! Pure. Raw frames never touch a compressor, so their bytes depend on nothing but the content.
//! Specification: RFC 8878, section 3.1 (frames and raw blocks); FORMAT.md, "Frames".

use bytes::{BufMut, Bytes, BytesMut};

use super::limits::FRAME_SIZE_MAX_BYTES;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Single segment, four bytes of content size, no checksum, no dictionary.
const RAW_DESCRIPTOR: u8 = 0xa0;
const RAW_HEADER_BYTES: usize = 9;
const BLOCK_HEADER_BYTES: usize = 3;
/// RFC 8878, section 3.1.1.2.4: no block is longer.
pub(super) const BLOCK_SIZE_MAX_BYTES: usize = 128 << 10;
const COMPRESSION_LEVEL: i32 = 1;

/// Why stored bytes are not the frame that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidFrame {
    #[error("the frame is damaged")]
    Damaged,
    #[error("the frame holds another number of bytes than the seek table says")]
    WrongSize,
}

/// The exact length of a raw frame that holds `size` bytes.
pub(super) fn raw_frame_size(size: usize) -> usize {
    let blocks = size.div_ceil(BLOCK_SIZE_MAX_BYTES).max(1);
    RAW_HEADER_BYTES + blocks * BLOCK_HEADER_BYTES + size
}

/// The header of a raw frame that holds `size` bytes.
pub(super) fn raw_frame_header(size: usize) -> [u8; RAW_HEADER_BYTES] {
    let mut header = [0; RAW_HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = RAW_DESCRIPTOR;
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    header[5..].copy_from_slice(&size.to_le_bytes());
    header
}

/// The header of a raw block of `size` bytes.
pub(super) fn raw_block_header(size: usize, is_last: bool) -> [u8; BLOCK_HEADER_BYTES] {
    let value = u32::try_from(size).unwrap_or(u32::MAX) << 3 | u32::from(is_last);
    let [a, b, c, _] = value.to_le_bytes();
    [a, b, c]
}

/// A raw frame that holds `content`.
pub(super) fn encode_raw(content: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(raw_frame_size(content.len()));
    frame.put_slice(&raw_frame_header(content.len()));
    let mut rest = content;
    loop {
        let (block, after) = rest.split_at(rest.len().min(BLOCK_SIZE_MAX_BYTES));
        frame.put_slice(&raw_block_header(block.len(), after.is_empty()));
        frame.put_slice(block);
        rest = after;
        if rest.is_empty() {
            return frame.freeze();
        }
    }
}

/// A compressed frame that holds `content`, or the raw one where that is not longer.
pub(super) fn encode_compressed(content: &[u8]) -> std::io::Result<Bytes> {
    let mut compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::ContentSizeFlag(true))?;
    let frame = compressor.compress(content)?;
    if frame.len() < raw_frame_size(content.len()) {
        Ok(frame.into())
    } else {
        Ok(encode_raw(content))
    }
}

/// The version of the compressor, as the inventory's `writer` states it.
pub fn compressor_version() -> String {
    let version = zstd::zstd_safe::version_number();
    format!(
        "{}.{}.{}",
        version / 10_000,
        version / 100 % 100,
        version % 100
    )
}

/// The content of a frame in pieces, without copying where the frame is raw. `size` is what it must hold.
pub(super) fn decode(frame: &Bytes, size: usize) -> Result<Vec<Bytes>, InvalidFrame> {
    if size > FRAME_SIZE_MAX_BYTES {
        return Err(InvalidFrame::WrongSize);
    }
    if frame.starts_with(&MAGIC) && frame.get(4) == Some(&RAW_DESCRIPTOR) {
        match decode_raw(frame, size) {
            // A compressor may choose the same descriptor; only its blocks tell the two apart.
            Err(InvalidFrame::Damaged) => {}
            other => return other,
        }
    }
    // The decoder would go on with what stands behind the frame, and step over skippable ones.
    if zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len())
        || !frame.starts_with(&MAGIC)
    {
        return Err(InvalidFrame::Damaged);
    }
    // The decoder gets room for exactly what the frame may hold: it cannot expand beyond it.
    let content = zstd::bulk::decompress(frame, size).map_err(|_| InvalidFrame::Damaged)?;
    if content.len() == size {
        Ok(vec![content.into()])
    } else {
        Err(InvalidFrame::WrongSize)
    }
}

/// The content of a raw frame, in slices of the frame. Anything but the exact form is `Damaged`.
pub(super) fn decode_raw(frame: &Bytes, size: usize) -> Result<Vec<Bytes>, InvalidFrame> {
    if frame.get(..RAW_HEADER_BYTES) != Some(&raw_frame_header(size)[..]) {
        return Err(InvalidFrame::Damaged);
    }
    let mut pieces = Vec::with_capacity(size.div_ceil(BLOCK_SIZE_MAX_BYTES));
    let mut at = RAW_HEADER_BYTES;
    let mut left = size;
    loop {
        let length = left.min(BLOCK_SIZE_MAX_BYTES);
        let is_last = left == length;
        let start = at + BLOCK_HEADER_BYTES;
        if frame.get(at..start) != Some(&raw_block_header(length, is_last)[..])
            || frame.len() < start + length
        {
            return Err(InvalidFrame::Damaged);
        }
        pieces.push(frame.slice(start..start + length));
        at = start + length;
        left -= length;
        if is_last {
            break;
        }
    }
    if at == frame.len() {
        Ok(pieces)
    } else {
        Err(InvalidFrame::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(size: usize) -> Vec<u8> {
        let mut state = 1_u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(size)
        .collect()
    }

    #[test]
    fn raw_frames_are_what_libzstd_decodes() {
        for size in [
            0,
            1,
            512,
            BLOCK_SIZE_MAX_BYTES,
            BLOCK_SIZE_MAX_BYTES + 1,
            FRAME_SIZE_MAX_BYTES,
        ] {
            let content = noise(size);
            let frame = encode_raw(&content);
            assert_eq!(frame.len(), raw_frame_size(size));
            assert_eq!(zstd::bulk::decompress(&frame, size).unwrap(), content);
            assert_eq!(decode(&frame, size).unwrap().concat(), content);
        }
    }

    #[test]
    fn compressed_frames_come_back_and_never_grow() {
        for content in [vec![7; 100_000], noise(100_000), Vec::new()] {
            let frame = encode_compressed(&content).unwrap();
            assert!(frame.len() <= raw_frame_size(content.len()));
            assert_eq!(decode(&frame, content.len()).unwrap().concat(), content);
        }
    }

    #[test]
    fn bytes_beside_the_one_frame_are_refused() {
        let content = vec![7; 100_000];
        let frame = encode_compressed(&content).unwrap();
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7];
        let empty = encode_raw(&[]);
        for extra in [&skippable[..], &empty] {
            for beside in [[&frame, extra].concat(), [extra, &frame].concat()] {
                let decoded = decode(&beside.into(), content.len());
                assert_eq!(decoded, Err(InvalidFrame::Damaged));
            }
        }
    }

    #[test]
    fn a_frame_that_expands_beyond_its_place_is_refused() {
        let bomb = encode_compressed(&vec![0; FRAME_SIZE_MAX_BYTES]).unwrap();
        assert!(decode(&bomb, 1024).is_err());
        assert!(decode(&bomb, FRAME_SIZE_MAX_BYTES + 1).is_err());
        assert_eq!(
            decode(&encode_raw(&[1, 2, 3]), 2),
            Err(InvalidFrame::Damaged)
        );
    }
}
