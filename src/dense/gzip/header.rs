//! The header and the trailer of a gzip member (RFC 1952, section 2.3).
//!
//! A header is kept as it stands: only its end is found, and the two bytes that hint at the level are looked at.
//! A trailer is not kept at all: it follows from the plain text, and a member whose trailer does not is no member.

use std::io::{self, BufRead, Read};

use flate2::Crc;

use super::limits::HEADER_BYTES_MAX;

/// Bytes of the part that every header has.
const FIXED_BYTES: usize = 10;
/// Bytes of a trailer: CRC-32 and length modulo 2³², both little-endian.
const TRAILER_BYTES: usize = 8;

const HAS_HEADER_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// Reads one header, all of its bytes. `None`: what is there is no header, ends within one, or is longer than allowed.
pub(super) fn read_header(source: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut header = Vec::with_capacity(FIXED_BYTES);
    if !read_more(source, &mut header, FIXED_BYTES)? {
        return Ok(None);
    }
    let flags = header[3];
    if header[..3] != [0x1f, 0x8b, 8] || flags & RESERVED != 0 {
        return Ok(None);
    }
    if flags & HAS_EXTRA != 0 && !read_extra(source, &mut header)? {
        return Ok(None);
    }
    for field in [HAS_NAME, HAS_COMMENT] {
        if flags & field != 0 && !read_text(source, &mut header)? {
            return Ok(None);
        }
    }
    if flags & HAS_HEADER_CRC != 0 && !read_more(source, &mut header, 2)? {
        return Ok(None);
    }
    Ok((header.len() <= HEADER_BYTES_MAX).then_some(header))
}

/// Appends `count` bytes; false if the source ends before.
fn read_more(source: &mut impl BufRead, header: &mut Vec<u8>, count: usize) -> io::Result<bool> {
    Ok(source.take(count as u64).read_to_end(header)? == count)
}

fn read_extra(source: &mut impl BufRead, header: &mut Vec<u8>) -> io::Result<bool> {
    if !read_more(source, header, 2)? {
        return Ok(false);
    }
    let length = u16::from_le_bytes([header[FIXED_BYTES], header[FIXED_BYTES + 1]]);
    read_more(source, header, usize::from(length))
}

/// Appends a text and the zero that ends it; false if none ends it within the limit.
fn read_text(source: &mut impl BufRead, header: &mut Vec<u8>) -> io::Result<bool> {
    source.take(HEADER_BYTES_MAX as u64).read_until(0, header)?;
    Ok(header.last() == Some(&0))
}

/// True if the form is that of one whole header and nothing more.
pub(super) fn is_header(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    matches!(read_header(&mut rest), Ok(Some(_))) && rest.is_empty()
}

/// The level that the header hints at by its `XFL` byte: 9 or 1, or none for the levels between.
pub(super) fn hinted_level(header: &[u8]) -> Option<u8> {
    match header.get(8) {
        Some(2) => Some(9),
        Some(4) => Some(1),
        _ => None,
    }
}

/// CRC-32 and length of a plain text, as they are counted.
pub(super) struct Checksum {
    crc: Crc,
}

impl Checksum {
    pub(super) fn new() -> Self {
        Self { crc: Crc::new() }
    }

    pub(super) fn update(&mut self, plain: &[u8]) {
        self.crc.update(plain);
    }

    /// The trailer of a member with this plain text.
    pub(super) fn trailer(&self) -> [u8; TRAILER_BYTES] {
        let mut trailer = [0; TRAILER_BYTES];
        trailer[..4].copy_from_slice(&self.crc.sum().to_le_bytes());
        trailer[4..].copy_from_slice(&self.crc.amount().to_le_bytes());
        trailer
    }
}

/// Reads a trailer and compares it: false if it is another one, or the source ends before it does.
pub(super) fn trailer_matches(source: &mut impl BufRead, plain: &Checksum) -> io::Result<bool> {
    let mut trailer = Vec::with_capacity(TRAILER_BYTES);
    source
        .take(TRAILER_BYTES as u64)
        .read_to_end(&mut trailer)?;
    Ok(trailer == plain.trailer())
}
