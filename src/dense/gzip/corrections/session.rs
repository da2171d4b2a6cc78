//! One stream's work with a child, which is started when the first member needs it.

use std::io::{self, BufRead, Read};

use super::super::Error;
use super::super::header::Checksum;
use super::super::limits::{
    CHUNK_COMPRESSED_BYTES_MAX, COMPRESSED_BYTES_PER_CORRECTION, CORRECTED_PLAIN_BYTES_MAX,
    CORRECTIONS_ALLOWANCE_BYTES,
};
use super::super::recompression::Chunk;
use super::bounds::NO_MEMORY;
use super::frame::{Answer, Predicted, Request};
use super::parameters::check_parameters;
use super::process::{Corrector, Process};

/// Compressed bytes that the first chunk is cut from. The parameters are estimated on it, so that it is longer.
const FIRST_SLICE_BYTES: usize = 1 << 20;
/// Compressed bytes that the other chunks are cut from, as a rule.
const SLICE_BYTES: usize = 256 * 1024;
/// Compressed bytes that a chunk may grow to where a block is longer.
const SLICE_BYTES_MAX: usize = CHUNK_COMPRESSED_BYTES_MAX;

/// A child, as soon as there is one.
pub(in super::super) struct Session<'a> {
    corrector: &'a Corrector,
    process: Option<Process>,
}

/// A member in chunks, each one proven.
pub(in super::super) struct Analysed {
    pub(in super::super) chunks: Vec<Chunk>,
    /// Bytes of the deflate stream.
    pub(in super::super) compressed_bytes: u64,
    pub(in super::super) checksum: Checksum,
}

impl<'a> Session<'a> {
    pub(in super::super) fn new(corrector: &'a Corrector) -> Self {
        Self {
            corrector,
            process: None,
        }
    }

    fn process(&mut self) -> io::Result<&mut Process> {
        let process = match self.process.take() {
            Some(process) => process,
            None => self.corrector.start()?,
        };
        Ok(self.process.insert(process))
    }

    /// Reads one deflate stream, and gives its plain text away; `None` if it cannot be corrected at a price. The source
    /// then stands anywhere behind.
    pub(in super::super) fn analyse(
        &mut self,
        source: &mut impl BufRead,
        mut plain: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Option<Analysed>> {
        let process = self.process()?;
        if process.tell(&Request::BeginAnalysis).is_err() {
            return Ok(None);
        }
        let mut analysed = Analysed {
            chunks: Vec::new(),
            compressed_bytes: 0,
            checksum: Checksum::new(),
        };
        let mut totals = Totals::default();
        let (mut wanted, mut held) = (FIRST_SLICE_BYTES, 0);
        loop {
            let missing = wanted.saturating_sub(held);
            let mut compressed = Vec::new();
            let count = source
                .by_ref()
                .take(missing as u64)
                .read_to_end(&mut compressed)?;
            held += count;
            match process.ask(&Request::Analyse { compressed }) {
                Ok(Answer::Predicted(chunk)) if chunk.compressed_bytes <= held => {
                    plain(&chunk.plain)?;
                    held -= chunk.compressed_bytes;
                    wanted = SLICE_BYTES;
                    let is_last = chunk.is_last;
                    if !analysed.take(chunk, &mut totals) {
                        return Ok(None);
                    }
                    if is_last {
                        return Ok(Some(analysed));
                    }
                }
                Ok(Answer::NeedsMore) if count == missing && wanted < SLICE_BYTES_MAX => {
                    wanted *= 2;
                }
                // Whatever became of the child, the member goes as it is.
                _ => return Ok(None),
            }
        }
    }

    pub(in super::super) fn begin_recreation(&mut self) -> Result<(), Error> {
        self.process()?.tell(&Request::BeginRecreation)
    }

    /// The compressed bytes of the next chunk.
    pub(in super::super) fn recreate(
        &mut self,
        plain: Vec<u8>,
        corrections: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let corrections = corrections.to_vec();
        match self
            .process()?
            .ask(&Request::Recreate { plain, corrections })?
        {
            Answer::Recreated { compressed } => Ok(compressed),
            Answer::NoMemory => Err(NO_MEMORY),
            _ => Err(Error::damaged("its corrections do not fit the plain text")),
        }
    }
}

/// What is limited for a member as a whole.
#[derive(Default)]
struct Totals {
    plain_bytes: u64,
    corrections_bytes: u64,
}

impl Analysed {
    /// Takes a chunk; false if the member goes verbatim for it.
    fn take(&mut self, chunk: Predicted, totals: &mut Totals) -> bool {
        self.checksum.update(&chunk.plain);
        self.compressed_bytes += chunk.compressed_bytes as u64;
        totals.plain_bytes += chunk.plain.len() as u64;
        totals.corrections_bytes += chunk.corrections.len() as u64;
        let has_parameters =
            !self.chunks.is_empty() || check_parameters(&chunk.corrections).is_ok();
        self.chunks.push(Chunk {
            plain_bytes: chunk.plain.len() as u64,
            corrections: chunk.corrections,
        });
        has_parameters
            && totals.plain_bytes <= CORRECTED_PLAIN_BYTES_MAX
            && is_worth_it(totals.corrections_bytes, self.compressed_bytes)
    }
}

/// True if so many corrections are a fair price for so many compressed bytes.
fn is_worth_it(corrections_bytes: u64, compressed_bytes: u64) -> bool {
    corrections_bytes
        <= compressed_bytes / COMPRESSED_BYTES_PER_CORRECTION + CORRECTIONS_ALLOWANCE_BYTES
}
