//! A member as it is read once: inflated, handed on, and its compressed bytes shown to the comparison.

use std::io::{self, Read, Seek, Write};

use super::compare::Comparison;
use super::header::Checksum;
use super::inflate::{Fault, Inflater};
use super::source::Source;

/// Where the plain text goes. A member that is read again hands on only what it had not handed on before.
pub(super) struct PlainSink<'a, W> {
    output: &'a mut W,
    /// Bytes that were written, from the beginning of the stream.
    written: u64,
    /// Where the member begins.
    member_start: u64,
    /// Where the reading of the member is.
    position: u64,
}

impl<'a, W: Write> PlainSink<'a, W> {
    pub(super) fn new(output: &'a mut W) -> Self {
        Self {
            output,
            written: 0,
            member_start: 0,
            position: 0,
        }
    }

    /// Takes the next bytes of the member.
    pub(super) fn write(&mut self, plain: &[u8]) -> io::Result<()> {
        let known = usize::try_from(self.written - self.position).unwrap_or(usize::MAX);
        let new = plain.get(known..).unwrap_or_default();
        self.output.write_all(new)?;
        self.written += new.len() as u64;
        self.position += plain.len() as u64;
        Ok(())
    }

    /// The member is read from its beginning again.
    pub(super) fn begin_again(&mut self) {
        self.position = self.member_start;
    }

    /// The member is done; answers how many bytes of plain text it has.
    pub(super) fn end_member(&mut self) -> u64 {
        let plain_bytes = self.position - self.member_start;
        self.member_start = self.position;
        plain_bytes
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Reads the plain text of one deflate stream.
pub(super) struct MemberReader<'a, 's, R, W> {
    source: &'a mut Source<'s, R>,
    plain: &'a mut PlainSink<'s, W>,
    comparison: Comparison,
    inflater: Inflater,
    checksum: Checksum,
    fault: Option<Fault>,
}

impl<'a, 's, R: Read + Seek, W: Write> MemberReader<'a, 's, R, W> {
    pub(super) fn new(
        source: &'a mut Source<'s, R>,
        plain: &'a mut PlainSink<'s, W>,
        comparison: Comparison,
    ) -> Self {
        let (inflater, checksum) = (Inflater::new(), Checksum::new());
        Self {
            source,
            plain,
            comparison,
            inflater,
            checksum,
            fault: None,
        }
    }

    /// The checksum of the whole plain text, or what kept it from being read. `None`: it was not read to its end.
    pub(super) fn finish(self) -> Result<Option<Checksum>, Fault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.inflater.has_ended().then_some(self.checksum)),
        }
    }

    fn inflate(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let comparison = &self.comparison;
        let count = self
            .inflater
            .inflate(self.source, buffer, |used| comparison.read(used))?;
        self.checksum.update(&buffer[..count]);
        self.plain.write(&buffer[..count])?;
        Ok(count)
    }
}

impl<R: Read + Seek, W: Write> Read for MemberReader<'_, '_, R, W> {
    /// The reason of an error is kept aside, since the encoder in between makes its own of it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inflate(buffer).map_err(|fault| {
            self.fault = Some(fault);
            io::Error::other("the member cannot be read")
        })
    }
}
