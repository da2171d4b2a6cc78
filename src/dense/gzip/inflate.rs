//! One deflate stream inflated (RFC 1951), with every compressed byte shown that was used for it.

use std::io::{self, BufRead};

use flate2::{Decompress, FlushDecompress, Status};

/// Why a stream could not be inflated.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file could not be read, or the plain text not be written.
    Io(io::Error),
    /// What is there is no deflate stream, or ends before the stream does.
    NotDeflate,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Inflates from a source and leaves it just behind the end of the stream.
pub(super) struct Inflater {
    stream: Decompress,
    has_ended: bool,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self {
            stream: Decompress::new(false),
            has_ended: false,
        }
    }

    /// True once the final block was read to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Fills `plain` as far as one call of zlib does and answers how many bytes; 0 is the end of the stream.
    /// Every compressed byte that was used is shown to `used`, in order.
    pub(super) fn inflate(
        &mut self,
        source: &mut impl BufRead,
        plain: &mut [u8],
        mut used: impl FnMut(&[u8]),
    ) -> Result<usize, Fault> {
        while !self.has_ended && !plain.is_empty() {
            let (in_before, out_before) = (self.stream.total_in(), self.stream.total_out());
            let input = source.fill_buf()?;
            let at_end_of_source = input.is_empty();
            let status = self
                .stream
                .decompress(input, plain, FlushDecompress::None)
                .map_err(|_| Fault::NotDeflate)?;
            let taken = difference(self.stream.total_in(), in_before);
            let made = difference(self.stream.total_out(), out_before);
            used(&input[..taken]);
            source.consume(taken);
            self.has_ended = matches!(status, Status::StreamEnd);
            if made > 0 {
                return Ok(made);
            }
            if at_end_of_source && !self.has_ended {
                return Err(Fault::NotDeflate);
            }
        }
        Ok(0)
    }
}

fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after - before).expect("no more than one buffer")
}
