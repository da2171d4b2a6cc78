//! The compressed stream, read through one buffer with its position known, so that an attempt can be begun again.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};

const BUFFER_BYTES: usize = 128 * 1024;

/// A file that is read ahead and set back.
pub(super) struct Source<'a, R> {
    reader: BufReader<&'a mut R>,
    position: u64,
}

impl<'a, R: Read + Seek> Source<'a, R> {
    /// Reads `file` from its beginning, wherever it stands.
    pub(super) fn new(file: &'a mut R) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, file),
            position: 0,
        })
    }

    /// Offset of the next byte from the beginning of the file.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes to an offset; within the buffer that costs nothing.
    pub(super) fn go_to(&mut self, position: u64) -> io::Result<()> {
        let offset = i128::from(position) - i128::from(self.position);
        match i64::try_from(offset) {
            Ok(offset) => self.reader.seek_relative(offset)?,
            Err(_) => drop(self.reader.seek(SeekFrom::Start(position))?),
        }
        self.position = position;
        Ok(())
    }
}

impl<R: Read + Seek> Read for Source<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read + Seek> BufRead for Source<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(self.reader.buffer())
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.position += count as u64;
    }
}
