//! The deflate stream of klauspost/pgzip, with which buildah, podman and skopeo write.
//!
//! The input is cut into blocks (here: pieces of 1 MiB of the input, not blocks of deflate). Each is a stream of its
//! own, with the last 16 KiB of the block before as its dictionary, and ends with a sync flush. A block that is not
//! full ends the stream, be it empty; so an input of whole blocks is followed by an empty one.
//!
//! It is the deflate stream only, without the header and trailer of gzip.
//!
//! Invariants: the output does not depend on the number of threads, and memory is bounded by a few blocks for each.

mod parallel;
#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use super::DeflateEncoder;
use super::klauspost::{Family, KlauspostEncoder};

/// The size of a block unless a program asks for another.
pub const BLOCK_BYTES: usize = 1 << 20;
/// How much of a block is the dictionary of the next one.
const TAIL_BYTES: usize = 16 << 10;

/// The stream of pgzip on one thread.
pub struct PgzipEncoder {
    stream: KlauspostEncoder,
    block_size_bytes: usize,
    block_bytes: usize,
    tail: Vec<u8>,
}

impl PgzipEncoder {
    /// An encoder with blocks of this size; it is more than 16 KiB.
    pub fn new(family: Family, block_size_bytes: usize) -> Self {
        assert!(
            block_size_bytes > TAIL_BYTES,
            "a block has more than its tail"
        );
        Self {
            stream: KlauspostEncoder::new(family),
            block_size_bytes,
            block_bytes: 0,
            tail: Vec::with_capacity(2 * TAIL_BYTES),
        }
    }

    /// Keeps the last bytes of the block, of which these are the next.
    fn keep_tail(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let kept = TAIL_BYTES - bytes.len();
        self.tail.drain(..self.tail.len().saturating_sub(kept));
        self.tail.extend_from_slice(bytes);
    }
}

impl DeflateEncoder for PgzipEncoder {
    fn encode(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        while !input.is_empty() {
            let (taken, rest) =
                input.split_at(input.len().min(self.block_size_bytes - self.block_bytes));
            input = rest;
            self.stream.encode(taken, output);
            self.block_bytes += taken.len();
            self.keep_tail(taken);
            if self.block_bytes == self.block_size_bytes {
                self.stream.flush(output);
                self.stream.restart(&self.tail);
                self.block_bytes = 0;
            }
        }
    }

    fn finish(&mut self, output: &mut Vec<u8>) {
        self.stream.flush(output);
        self.stream.finish(output);
    }
}

/// Writes the deflate stream of pgzip for everything that `input` has, on `threads` threads, and returns how many
/// bytes that was. Blocks are of `block_size_bytes`, which is more than 16 KiB.
///
/// # Errors
///
/// Those of `input` and `output`.
pub fn encode_pgzip(
    input: &mut (dyn Read + Send),
    output: &mut dyn Write,
    family: Family,
    block_size_bytes: usize,
    threads: NonZeroUsize,
) -> io::Result<u64> {
    if threads.get() > 1 {
        return parallel::encode(input, output, family, block_size_bytes, threads);
    }
    let mut encoder = PgzipEncoder::new(family, block_size_bytes);
    let (mut block, mut encoded) = (Vec::new(), Vec::new());
    let mut total_bytes = 0;
    loop {
        block.clear();
        input
            .take(block_size_bytes as u64)
            .read_to_end(&mut block)?;
        total_bytes += block.len() as u64;
        encoder.encode(&block, &mut encoded);
        let is_last = block.len() < block_size_bytes;
        if is_last {
            encoder.finish(&mut encoded);
        }
        output.write_all(&encoded)?;
        encoded.clear();
        if is_last {
            return Ok(total_bytes);
        }
    }
}
