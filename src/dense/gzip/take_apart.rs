//! Takes a gzip stream apart: its plain text, and a proven way to make the same bytes of it again.
//!
//! Each member is inflated in memory for its first MiB, which names the encoder; then the whole member is inflated
//! once, handed on, encoded again and compared, all in one pass. An encoder is given up at its first difference; the
//! next attempt begins the member anew, and hands on only what the one before had not reached.

use std::io::{Read, Seek, Write};
use std::num::NonZeroUsize;

use super::Error;
use super::compare::Comparison;
use super::corrections::{Corrector, Session};
use super::encode::encode_stream;
use super::header::{read_header, trailer_matches};
use super::inflate::Fault;
use super::limits::TRAILING_BYTES_MAX;
use super::member::{MemberReader, PlainSink};
use super::method::Encoder;
use super::recompression::{Collected, Recompression};
use super::sample::{Sample, candidates};
use super::source::Source;

/// How many encoders that pass the sample are tried on the whole member.
const ATTEMPTS_MAX: usize = 3;

/// Takes the gzip file `compressed` apart, from its beginning, writing its plain text to `plain`.
///
/// `None` means that this content goes as it is: no gzip, damaged, or written by something that cannot be run again at
/// a fair price; what was written to `plain` is then worth nothing. Only reading and writing fail. What is answered
/// has been proven: every compressed byte was made again from the plain text and compared, on `threads` threads where
/// the blocks of a stream are independent, or by the `corrector`.
pub fn take_apart<R, W>(
    compressed: &mut R,
    plain: &mut W,
    threads: NonZeroUsize,
    corrector: &Corrector,
) -> Result<Option<Recompression>, Error>
where
    R: Read + Seek + Send,
    W: Write + Send,
{
    let stream = Stream {
        source: Source::new(compressed)?,
        plain: PlainSink::new(plain),
        collected: Collected::default(),
        threads,
        corrections: Session::new(corrector),
    };
    stream.run()
}

/// A stream that is being taken apart.
struct Stream<'a, R, W> {
    source: Source<'a, R>,
    plain: PlainSink<'a, W>,
    collected: Collected,
    threads: NonZeroUsize,
    corrections: Session<'a>,
}

/// What stands at a place of the stream.
enum Found {
    /// A member, which was taken.
    Member,
    /// A member that nothing here can make again.
    Opaque,
    /// No member, or one that is damaged.
    NoMember,
}

impl<R: Read + Seek + Send, W: Write + Send> Stream<'_, R, W> {
    fn run(mut self) -> Result<Option<Recompression>, Error> {
        loop {
            let start = self.source.position();
            match self.take_member()? {
                Found::Member if self.collected.is_within_limits() => {}
                Found::Member | Found::Opaque => return Ok(None),
                Found::NoMember if self.collected.is_empty() => return Ok(None),
                Found::NoMember => {
                    self.source.go_to(start)?;
                    return self.finish();
                }
            }
        }
    }

    /// Keeps what is left as it is, if it is little.
    fn finish(mut self) -> Result<Option<Recompression>, Error> {
        let mut trailing = Vec::new();
        self.source
            .by_ref()
            .take(TRAILING_BYTES_MAX as u64 + 1)
            .read_to_end(&mut trailing)?;
        if trailing.len() > TRAILING_BYTES_MAX {
            return Ok(None);
        }
        self.plain.flush()?;
        Ok(Some(self.collected.finish(trailing)))
    }

    fn take_member(&mut self) -> Result<Found, Error> {
        let Some(header) = read_header(&mut self.source)? else {
            return Ok(Found::NoMember);
        };
        let start = self.source.position();
        let sample = match Sample::read(&mut self.source) {
            Ok(sample) => sample,
            Err(Fault::NotDeflate) => return Ok(Found::NoMember),
            Err(Fault::Io(error)) => return Err(error.into()),
        };
        let before = self.collected.encoder_before();
        let named = candidates(&header, before)
            .into_iter()
            .filter(|&encoder| sample.passes(encoder));
        if sample.is_whole {
            match { named }.next() {
                Some(encoder) => self.take_sample(header, encoder, &sample.plain),
                None => self.take_corrected(header, start),
            }
        } else {
            self.take_long(header, start, named.take(ATTEMPTS_MAX))
        }
    }

    /// Takes a member that the sample has proven.
    fn take_sample(
        &mut self,
        header: Vec<u8>,
        encoder: Encoder,
        plain: &[u8],
    ) -> Result<Found, Error> {
        self.plain.write(plain)?;
        self.collected
            .push_exact(header, encoder, self.plain.end_member());
        Ok(Found::Member)
    }

    /// Takes a member that is longer than its sample, by the first encoder that holds to its end.
    fn take_long(
        &mut self,
        header: Vec<u8>,
        start: u64,
        named: impl Iterator<Item = Encoder>,
    ) -> Result<Found, Error> {
        for encoder in named {
            self.source.go_to(start)?;
            self.plain.begin_again();
            match self.prove(encoder)? {
                Proof::Holds => {
                    self.collected
                        .push_exact(header, encoder, self.plain.end_member());
                    return Ok(Found::Member);
                }
                Proof::Fails => {}
                Proof::Damaged => return Ok(Found::Opaque),
            }
        }
        self.take_corrected(header, start)
    }

    /// Inflates the member, hands it on, encodes it again and compares, all at once.
    fn prove(&mut self, encoder: Encoder) -> Result<Proof, Error> {
        let mut comparison = Comparison::new(self.threads);
        let mut member = MemberReader::new(&mut self.source, &mut self.plain, comparison.clone());
        let encoded = encode_stream(encoder, &mut member, &mut comparison, self.threads);
        let checksum = match member.finish() {
            Ok(checksum) => checksum,
            Err(Fault::NotDeflate) => return Ok(Proof::Damaged),
            Err(Fault::Io(error)) => return Err(error.into()),
        };
        match (encoded, checksum) {
            (Ok(()), Some(checksum)) if comparison.is_equal() => {
                Ok(match trailer_matches(&mut self.source, &checksum)? {
                    true => Proof::Holds,
                    false => Proof::Damaged,
                })
            }
            (Err(error), _) if !comparison.differs() => Err(error.into()),
            _ => Ok(Proof::Fails),
        }
    }

    /// The last attempt: a prediction with corrections.
    fn take_corrected(&mut self, header: Vec<u8>, start: u64) -> Result<Found, Error> {
        self.source.go_to(start)?;
        self.plain.begin_again();
        let plain = &mut self.plain;
        let analysed = self
            .corrections
            .analyse(&mut self.source, |text| plain.write(text))?;
        let Some(analysed) = analysed else {
            return Ok(Found::Opaque);
        };
        self.source.go_to(start + analysed.compressed_bytes)?;
        if !trailer_matches(&mut self.source, &analysed.checksum)? {
            return Ok(Found::Opaque);
        }
        self.plain.end_member();
        self.collected.push_corrected(header, analysed.chunks);
        Ok(Found::Member)
    }
}

/// What became of a proof.
enum Proof {
    Holds,
    /// The encoder writes something else.
    Fails,
    /// The member is no deflate stream to its end, or its trailer is another one.
    Damaged,
}
