//! The calls into `preflate-rs`, made in the child.
//!
//! A member is cut at boundaries of deflate blocks, so that memory does not depend on its size; both directions use
//! the same cuts, and the analysis makes every chunk again and compares it. The crate answers with panics to some
//! content that it does not expect; they are caught here, and count as an answer of "no".

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use preflate_rs::{
    ExitCode, PreflateConfig, PreflateError, PreflateStreamProcessor, RecreateStreamProcessor,
};

use super::super::limits::{
    CHAIN_LENGTH_MAX, CHUNK_COMPRESSED_BYTES_MAX, CHUNK_CORRECTIONS_BYTES_MAX,
    CHUNK_PLAIN_BYTES_MAX,
};
use super::frame::{Answer, Predicted};

/// A slice of stored blocks may bring that much beyond the limit of plain text that the crate is given.
const PLAIN_MARGIN_BYTES: usize = CHUNK_COMPRESSED_BYTES_MAX;

/// A member on its way into chunks.
pub(super) struct Analysis {
    processor: PreflateStreamProcessor,
    /// Compressed bytes that were given and are not in a chunk yet.
    window: Vec<u8>,
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
        }
    }

    /// Takes more compressed bytes, and the blocks that are whole then as one chunk.
    pub(super) fn take(&mut self, compressed: &[u8]) -> Answer {
        let Self { processor, window } = self;
        window.extend(compressed);
        let result = match without_panic(|| processor.decompress(window)) {
            Some(Ok(result)) if result.compressed_size > 0 => result,
            Some(Ok(_)) => return Answer::NeedsMore,
            Some(Err(error)) if error.exit_code() == ExitCode::ShortRead => {
                return Answer::NeedsMore;
            }
            Some(Err(_)) | None => return Answer::No,
        };
        window.drain(..result.compressed_size);
        let plain = processor.plain_text().text().to_vec();
        processor.shrink_to_dictionary();
        let fits = plain.len() <= CHUNK_PLAIN_BYTES_MAX
            && result.compressed_size <= CHUNK_COMPRESSED_BYTES_MAX
            && result.corrections.len() <= CHUNK_CORRECTIONS_BYTES_MAX;
        match fits {
            true => Answer::Predicted(Predicted {
                compressed_bytes: result.compressed_size,
                is_last: processor.is_done(),
                plain,
                corrections: result.corrections,
            }),
            false => Answer::No,
        }
    }
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

    /// The next chunk, if the corrections fit the plain text.
    pub(super) fn recreate(&mut self, plain: &[u8], corrections: &[u8]) -> Answer {
        let Self { processor } = self;
        match without_panic(|| processor.recompress(&mut Cursor::new(plain), corrections)) {
            Some(Ok((compressed, _))) if compressed.len() <= CHUNK_COMPRESSED_BYTES_MAX => {
                Answer::Recreated { compressed }
            }
            Some(Err(error)) if error.exit_code() == ExitCode::OutOfMemory => Answer::NoMemory,
            _ => Answer::No,
        }
    }
}

/// Calls into the crate. What panicked is not used again, so that a state that it left behind is seen by nobody.
fn without_panic<T>(
    call: impl FnOnce() -> Result<T, PreflateError>,
) -> Option<Result<T, PreflateError>> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
