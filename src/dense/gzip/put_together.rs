//! Makes the compressed bytes of a gzip stream again, from its plain text and what was kept of it.
//!
//! Whatever the size of the stream, what is in memory is one chunk of a corrected member, or what an encoder holds.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use super::Error;
use super::corrections::{Corrector, Session};
use super::encode::encode_stream;
use super::header::Checksum;
use super::method::Encoder;
use super::recompression::{Chunk, Members, Recompression};

/// Writes the gzip stream whose plain text `plain` is, and answers its length in bytes.
///
/// `plain` must be that text and nothing more. Streams whose blocks are independent are encoded on `threads` threads;
/// corrected ones by the `corrector`, whose limits are the only ones that a well-formed recompression can break.
pub fn put_together<P, O>(
    recompression: &Recompression,
    plain: &mut P,
    output: &mut O,
    threads: NonZeroUsize,
    corrector: &Corrector,
) -> Result<u64, Error>
where
    P: Read + Send,
    O: Write,
{
    let mut writing = Writing {
        plain,
        output: Counted { output, bytes: 0 },
        threads,
        corrections: Session::new(corrector),
    };
    for run in &recompression.runs {
        match &run.members {
            Members::Exact {
                encoder,
                plain_bytes,
            } => {
                for &length in plain_bytes {
                    writing.output.write_all(&run.header)?;
                    writing.write_exact(*encoder, length)?;
                }
            }
            Members::Corrected { chunks } => {
                writing.output.write_all(&run.header)?;
                writing.write_corrected(chunks)?;
            }
        }
    }
    writing.output.write_all(&recompression.trailing)?;
    writing.finish()
}

/// A stream that is being put together.
struct Writing<'a, P, O> {
    plain: &'a mut P,
    output: Counted<'a, O>,
    threads: NonZeroUsize,
    corrections: Session<'a>,
}

impl<P: Read + Send, O: Write> Writing<'_, P, O> {
    fn write_exact(&mut self, encoder: Encoder, plain_bytes: u64) -> Result<(), Error> {
        let mut member = MemberText {
            plain: self.plain.take(plain_bytes),
            checksum: Checksum::new(),
        };
        encode_stream(encoder, &mut member, &mut self.output, self.threads)?;
        if member.plain.limit() > 0 {
            return Err(ENDS_EARLY);
        }
        self.output.write_all(&member.checksum.trailer())?;
        Ok(())
    }

    fn write_corrected(&mut self, chunks: &[Chunk]) -> Result<(), Error> {
        self.corrections.begin_recreation()?;
        let mut checksum = Checksum::new();
        for chunk in chunks {
            let mut text = Vec::new();
            let read = self.plain.take(chunk.plain_bytes).read_to_end(&mut text)?;
            if read as u64 != chunk.plain_bytes {
                return Err(ENDS_EARLY);
            }
            checksum.update(&text);
            let compressed = self.corrections.recreate(text, &chunk.corrections)?;
            self.output.write_all(&compressed)?;
        }
        self.output.write_all(&checksum.trailer())?;
        Ok(())
    }

    fn finish(mut self) -> Result<u64, Error> {
        if self.plain.take(1).read_to_end(&mut Vec::new())? > 0 {
            return Err(Error::damaged("the plain text is longer than its members"));
        }
        self.output.flush()?;
        Ok(self.output.bytes)
    }
}

const ENDS_EARLY: Error = Error::damaged("the plain text is shorter than its members");

/// The plain text of one member, counted on its way.
struct MemberText<'a, P> {
    plain: io::Take<&'a mut P>,
    checksum: Checksum,
}

impl<P: Read> Read for MemberText<'_, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.plain.read(buffer)?;
        self.checksum.update(&buffer[..count]);
        Ok(count)
    }
}

/// Output, counted.
struct Counted<'a, O> {
    output: &'a mut O,
    bytes: u64,
}

impl<O: Write> Write for Counted<'_, O> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
