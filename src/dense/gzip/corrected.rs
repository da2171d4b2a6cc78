//! Members of the zlib family that no exact encoder writes (GNU gzip, pigz): predicted, with corrections, by
//! `preflate-rs`.
//!
//! A member is cut at boundaries of deflate blocks, so that memory does not depend on its size; both directions use
//! the same cuts, and the analysis makes every chunk again and compares it. The crate answers with panics to some
//! content that it does not expect; they are caught here, and count as an answer of "no".

use std::io::{self, BufRead, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use preflate_rs::{
    ExitCode, PreflateConfig, PreflateError, PreflateStreamProcessor, RecreateStreamProcessor,
};

use super::header::{Checksum, TRAILER_BYTES, trailer_matches};
use super::limits::{
    CHAIN_LENGTH_MAX, CHUNK_CORRECTIONS_BYTES_MAX, CHUNK_PLAIN_BYTES_MAX,
    COMPRESSED_BYTES_PER_CORRECTION, CORRECTED_PLAIN_BYTES_MAX, CORRECTIONS_ALLOWANCE_BYTES,
};
use super::parameters::check_parameters;
use super::recompression::Chunk;

/// Compressed bytes that the first chunk is cut from. The parameters are estimated on it, so that it is longer.
const FIRST_SLICE_BYTES: usize = 1 << 20;
/// Compressed bytes that the other chunks are cut from, as a rule.
const SLICE_BYTES: usize = 256 * 1024;
/// Compressed bytes that a chunk may grow to where a block is longer.
const SLICE_BYTES_MAX: usize = 4 << 20;
/// A slice of stored blocks may bring that much beyond the limit of plain text that the crate is given.
const PLAIN_MARGIN_BYTES: usize = SLICE_BYTES_MAX + (64 << 10);

/// A member on its way into chunks.
pub(super) struct Analysis {
    processor: PreflateStreamProcessor,
    /// Compressed bytes that were read and are not in a chunk yet.
    window: Vec<u8>,
    chunks: Vec<Chunk>,
    checksum: Checksum,
    plain_bytes: u64,
    compressed_bytes: u64,
    corrections_bytes: u64,
}

impl Analysis {
    pub(super) fn new() -> Self {
        let config = PreflateConfig {
            max_chain_length: CHAIN_LENGTH_MAX,
            plain_text_limit: CHUNK_PLAIN_BYTES_MAX - PLAIN_MARGIN_BYTES,
            verify_compression: true,
        };
        Self {
            processor: PreflateStreamProcessor::new(&config),
            window: Vec::new(),
            chunks: Vec::new(),
            checksum: Checksum::new(),
            plain_bytes: 0,
            compressed_bytes: 0,
            corrections_bytes: 0,
        }
    }

    /// Reads one deflate stream and its trailer, gives the plain text away, and answers the chunks, each one proven;
    /// `None` if it cannot be corrected at a price. The source then stands anywhere.
    pub(super) fn run(
        mut self,
        source: &mut impl BufRead,
        mut plain: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Option<Analysed>> {
        let mut wanted = FIRST_SLICE_BYTES;
        while !self.processor.is_done() {
            let missing = wanted.saturating_sub(self.window.len());
            let count = source
                .by_ref()
                .take(missing as u64)
                .read_to_end(&mut self.window)?;
            match self.analyse_chunk() {
                Step::Chunk => {
                    plain(self.processor.plain_text().text())?;
                    self.processor.shrink_to_dictionary();
                    wanted = SLICE_BYTES;
                }
                Step::NeedsMore if count == missing && wanted < SLICE_BYTES_MAX => wanted *= 2,
                Step::NeedsMore | Step::No => return Ok(None),
            }
        }
        let mut behind = Cursor::new(std::mem::take(&mut self.window)).chain(source);
        let holds = trailer_matches(&mut behind, &self.checksum)?;
        let compressed_bytes = self.compressed_bytes + TRAILER_BYTES as u64;
        Ok(holds.then_some(Analysed {
            chunks: self.chunks,
            compressed_bytes,
        }))
    }

    /// Takes the blocks that are whole in the window as one chunk.
    fn analyse_chunk(&mut self) -> Step {
        let Self {
            processor, window, ..
        } = self;
        let result = match without_panic(|| processor.decompress(window)) {
            Some(Ok(result)) if result.compressed_size > 0 => result,
            Some(Ok(_)) => return Step::NeedsMore,
            Some(Err(error)) if error.exit_code() == ExitCode::ShortRead => return Step::NeedsMore,
            Some(Err(_)) | None => return Step::No,
        };
        let plain = self.processor.plain_text().text();
        self.checksum.update(plain);
        self.window.drain(..result.compressed_size);
        self.plain_bytes += plain.len() as u64;
        self.compressed_bytes += result.compressed_size as u64;
        self.corrections_bytes += result.corrections.len() as u64;
        let chunk_fits = plain.len() <= CHUNK_PLAIN_BYTES_MAX
            && result.corrections.len() <= CHUNK_CORRECTIONS_BYTES_MAX
            && self.plain_bytes <= CORRECTED_PLAIN_BYTES_MAX
            && (!self.chunks.is_empty() || check_parameters(&result.corrections).is_ok());
        let plain_bytes = plain.len() as u64;
        self.chunks.push(Chunk {
            plain_bytes,
            corrections: result.corrections,
        });
        match chunk_fits && is_worth_it(self.corrections_bytes, self.compressed_bytes) {
            true => Step::Chunk,
            false => Step::No,
        }
    }
}

/// A member in chunks.
pub(super) struct Analysed {
    pub(super) chunks: Vec<Chunk>,
    /// Bytes of the deflate stream and the trailer.
    pub(super) compressed_bytes: u64,
}

enum Step {
    Chunk,
    NeedsMore,
    No,
}

/// True if so many corrections are a fair price for so many compressed bytes.
fn is_worth_it(corrections_bytes: u64, compressed_bytes: u64) -> bool {
    corrections_bytes
        <= compressed_bytes / COMPRESSED_BYTES_PER_CORRECTION + CORRECTIONS_ALLOWANCE_BYTES
}

/// Makes the chunks of one member again.
pub(super) struct Recreation {
    processor: RecreateStreamProcessor,
}

impl Recreation {
    pub(super) fn new() -> Self {
        Self {
            processor: RecreateStreamProcessor::new(),
        }
    }

    /// The compressed bytes of the next chunk; `None` if the corrections do not fit the plain text.
    pub(super) fn recreate(&mut self, plain: &[u8], corrections: &[u8]) -> Option<Vec<u8>> {
        let Self { processor } = self;
        match without_panic(|| processor.recompress(&mut Cursor::new(plain), corrections)) {
            Some(Ok((compressed, _))) => Some(compressed),
            Some(Err(_)) | None => None,
        }
    }
}

/// Calls into the crate. What panicked is not used again, so that a state that it left behind is seen by nobody.
fn without_panic<T>(
    call: impl FnOnce() -> Result<T, PreflateError>,
) -> Option<Result<T, PreflateError>> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
