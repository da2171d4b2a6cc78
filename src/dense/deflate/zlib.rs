//! zlib's own deflate, at its default window (32 KiB) and memory level (8), behind the common trait.
//!
//! This one is not written anew: the crate links zlib itself, and its output at one level is the same in all releases
//! that are in use. Python's `zlib` and `gzip` and Java's `Deflater` (and so Jib) call it with these settings; GNU gzip
//! and pigz have encoders of their own, which differ.

use flate2::{Compress, Compression, FlushCompress, Status};

use super::DeflateEncoder;

/// Room that is made for output before each call, in bytes.
const OUTPUT_STEP_BYTES: usize = 32 * 1024;

/// A raw deflate stream as zlib writes it.
pub struct ZlibEncoder {
    stream: Compress,
}

impl ZlibEncoder {
    /// An encoder for one stream at `level` 1..=9.
    pub fn new(level: u8) -> Self {
        debug_assert!((1..=9).contains(&level));
        Self {
            stream: Compress::new(Compression::new(u32::from(level)), false),
        }
    }

    /// One call of zlib: how much of `input` it took, and whether the stream has ended.
    fn step(&mut self, input: &[u8], flush: FlushCompress, output: &mut Vec<u8>) -> (usize, bool) {
        output.reserve(OUTPUT_STEP_BYTES);
        let before = self.stream.total_in();
        let status = self
            .stream
            .compress_vec(input, output, flush)
            .expect("a deflate stream that was begun takes any input");
        let taken =
            usize::try_from(self.stream.total_in() - before).expect("no more than was given");
        (taken, matches!(status, Status::StreamEnd))
    }
}

impl DeflateEncoder for ZlibEncoder {
    fn encode(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        while !input.is_empty() {
            let (taken, _) = self.step(input, FlushCompress::None, output);
            input = &input[taken..];
        }
    }

    fn finish(&mut self, output: &mut Vec<u8>) {
        while !self.step(&[], FlushCompress::Finish, output).1 {}
    }
}
