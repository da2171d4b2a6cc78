//! The encoder of Go's standard library, `compress/flate`, at levels 1 to 9 (RFC 1951 streams, without gzip's frame).
//!
//! Level 1 looks up one place for each four bytes (`fast`), levels 2 and 3 take the first match that they see, and
//! 4 to 9 look one byte ahead for a better one (`chained`); both give tokens to the same writer of blocks
//! (`block`). Whatever the level, a stream ends with an empty stored block that is marked as the last one.
//!
//! The bytes are those of Go 1.19 to 1.26 when its `Writer` is fed in pieces that do not leave the last bytes of its
//! window empty, as `io.Copy` from a file does; see `chained` for what it does otherwise. Preset dictionaries,
//! `Flush`, level 0 and the mode without matches are not written here: no layer is.

#![expect(
    clippy::cast_possible_truncation,
    reason = "positions and counts are bounded by the buffers"
)]

mod block;
mod chained;
mod chains;
mod fast;
#[cfg(test)]
mod tests;

use super::DeflateEncoder;
use super::bits::BitWriter;
use block::BlockWriter;
use chained::ChainedEncoder;
use chains::Effort;
use fast::FastEncoder;

/// A compression level of Go's `compress/flate`, from 1 to 9; its default is 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// The level of that number, if there is one that compresses.
    pub fn new(level: u8) -> Option<Self> {
        (1..=9).contains(&level).then_some(Self(level))
    }

    /// The number of the level, from 1 to 9.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// Writes what Go's `compress/flate` writes at one level. Takes below 1 MiB of memory.
#[derive(Debug)]
pub struct GoEncoder {
    blocks: BlockWriter,
    tokens: Tokens,
}

/// How a stream is turned into literals and matches.
#[derive(Debug)]
enum Tokens {
    Fast(FastEncoder),
    Chained(ChainedEncoder),
}

impl GoEncoder {
    /// Makes the encoder of a stream.
    pub fn new(level: Level) -> Self {
        let tokens = match Effort::of(level) {
            None => Tokens::Fast(FastEncoder::new()),
            Some(effort) => Tokens::Chained(ChainedEncoder::new(effort)),
        };
        Self {
            blocks: BlockWriter::new(BitWriter::default()),
            tokens,
        }
    }
}

/// A table on the heap, whose length is part of its type so that a hash of as many bits needs no check.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "the tables are too large for the stack"
)]
fn new_table<T: Clone + Default + std::fmt::Debug, const ENTRIES: usize>() -> Box<[T; ENTRIES]> {
    let entries = vec![T::default(); ENTRIES];
    entries.try_into().expect("it has as many entries")
}

impl DeflateEncoder for GoEncoder {
    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) {
        match &mut self.tokens {
            Tokens::Fast(encoder) => encoder.encode(input, &mut self.blocks, output),
            Tokens::Chained(encoder) => encoder.encode(input, &mut self.blocks, output),
        }
    }

    fn finish(&mut self, output: &mut Vec<u8>) {
        match &mut self.tokens {
            Tokens::Fast(encoder) => encoder.finish(&mut self.blocks, output),
            Tokens::Chained(encoder) => encoder.finish(&mut self.blocks, output),
        }
        self.blocks.write_end(output);
    }
}
