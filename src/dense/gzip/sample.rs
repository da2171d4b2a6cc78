//! The first MiB of a member, in memory, and which encoders could have written it.
//!
//! A wrong encoder differs within its first block or two, so that asking all of them costs little. Passing is not yet
//! a proof, unless the whole member is in the sample.

use std::io::{BufRead, Read};

use super::encode::PIECE_BYTES;
use super::header::{Checksum, hinted_level, trailer_matches};
use super::inflate::{Fault, Inflater};
use super::method::Encoder;

/// How much plain text a sample has at most, in bytes: a MiB, which is one block of pgzip, and what tells whether a
/// block ended there.
const SAMPLE_BYTES: usize = (1 << 20) + (128 << 10);

/// How many compressed bytes a sample has at most: some streams have blocks of nothing, and no encoder here that many.
const DEFLATE_BYTES_MAX: u64 = 4 << 20;

/// How many bytes an encoder may be ahead at the end of a sample: the head of a block, which has no plain text yet.
const HEAD_BYTES_MAX: usize = 1024;

/// The beginning of a member behind its header.
pub(super) struct Sample {
    pub(super) plain: Vec<u8>,
    /// The compressed bytes that were used for `plain`.
    pub(super) deflate: Vec<u8>,
    /// True if this is all of the member, and its trailer holds.
    pub(super) is_whole: bool,
}

impl Sample {
    /// Reads a sample, and the trailer if the member ends within it.
    pub(super) fn read(source: &mut impl BufRead) -> Result<Self, Fault> {
        let mut inflater = Inflater::new();
        let mut deflate = Vec::new();
        let mut plain = Vec::new();
        let mut piece = vec![0; PIECE_BYTES];
        let mut limited = source.by_ref().take(DEFLATE_BYTES_MAX);
        while plain.len() < SAMPLE_BYTES && !inflater.has_ended() {
            let count = inflater.inflate(&mut limited, &mut piece, |used| deflate.extend(used))?;
            plain.extend(&piece[..count]);
        }
        if inflater.has_ended() {
            let mut checksum = Checksum::new();
            checksum.update(&plain);
            if !trailer_matches(source, &checksum)? {
                return Err(Fault::NotDeflate);
            }
        }
        Ok(Self {
            plain,
            deflate,
            is_whole: inflater.has_ended(),
        })
    }

    /// True if the encoder writes these bytes, as far as the sample tells.
    pub(super) fn passes(&self, encoder: Encoder) -> bool {
        let mut stream = encoder.stream();
        let mut made = Vec::new();
        let mut rest = self.deflate.as_slice();
        for piece in self.plain.chunks(PIECE_BYTES) {
            stream.encode(piece, &mut made);
            let count = made.len().min(rest.len());
            if made[..count] != rest[..count] {
                return false;
            }
            rest = &rest[count..];
            made.drain(..count);
        }
        if self.is_whole {
            stream.finish(&mut made);
            return made == rest;
        }
        made.len() <= HEAD_BYTES_MAX
    }
}

/// All encoders in the order in which they are tried for a member: who wrote the one before, then those of the level
/// that the header hints at, then the rest.
pub(super) fn candidates(header: &[u8], before: Option<Encoder>) -> Vec<Encoder> {
    let mut all = Encoder::all();
    let hint = hinted_level(header);
    all.sort_by_key(|&encoder| {
        (
            before != Some(encoder),
            hint.is_some_and(|level| level != encoder.level()),
        )
    });
    all
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader};

    use super::*;

    /// Stored blocks of no length, for ever.
    struct Empty(usize);

    impl Read for Empty {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            const BLOCK: [u8; 5] = [0, 0, 0, 0xff, 0xff];
            for byte in &mut *buffer {
                *byte = BLOCK[self.0 % BLOCK.len()];
                self.0 += 1;
            }
            Ok(buffer.len())
        }
    }

    #[test]
    fn blocks_of_nothing_end_a_sample() {
        let sample = Sample::read(&mut BufReader::new(Empty(0)));
        assert!(matches!(sample, Err(Fault::NotDeflate)));
    }
}
