//! Making the new layer out of a delta, its references and its segments.

use std::io;

use super::error::{Error, Result};
use super::frame::Decoded;
use super::ops::Op;
use super::recipe::Delta;
use super::source::{ReadAt, read_at};
use super::window::{BLOCK_BYTES, Blocks};

/// How many bytes are gathered before they are written, and copied at once.
const PIECE_BYTES: usize = 256 << 10;

/// Where the new layer is written, and read back for what it has twice.
pub trait Rebuilt {
    /// Appends all of `bytes`.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Fills `buffer` with what was appended at `offset`.
    fn read_back(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A new file that is open for reading and writing.
impl Rebuilt for std::fs::File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn read_back(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

impl Rebuilt for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn read_back(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

/// Writes the layer that `delta` describes to `output`, and gives its length in bytes. `segments` gives the compressed
/// segments by their number, each once and in order. Whether the bytes are the right ones is for a digest to say.
pub fn apply_delta(
    delta: &Delta,
    references: &[&dyn ReadAt],
    segments: &mut dyn FnMut(usize) -> io::Result<Vec<u8>>,
    output: &mut dyn Rebuilt,
) -> Result<u64> {
    if references.len() != delta.references {
        return Err(Error::ReferenceCount {
            expected: delta.references,
            actual: references.len(),
        });
    }
    let mut writer = Writer {
        output,
        pending: Vec::with_capacity(PIECE_BYTES),
        flushed_bytes: 0,
        blocks: Blocks::new(),
    };
    let mut piece = vec![0; PIECE_BYTES];
    let mut literals = Literals {
        delta,
        references,
        segments,
        next_segment: 0,
        decoded: Decoded::new(),
        used: 0,
    };
    for op in delta.ops() {
        match op? {
            Op::Literal { length } => literals.write(length, &mut writer)?,
            Op::Copy {
                reference,
                offset,
                length,
            } => {
                let layer = (reference, references.get(reference).copied());
                writer.copy(layer, offset, length, &mut piece)?;
            }
        }
    }
    writer.flush()?;
    Ok(writer.flushed_bytes)
}

/// The literals, of which one segment is decoded at a time.
struct Literals<'a> {
    delta: &'a Delta,
    references: &'a [&'a dyn ReadAt],
    segments: &'a mut dyn FnMut(usize) -> io::Result<Vec<u8>>,
    next_segment: usize,
    decoded: Decoded,
    used: usize,
}

impl Literals<'_> {
    /// Writes the next `length` bytes of the literals.
    fn write(&mut self, mut length: u64, writer: &mut Writer) -> Result<()> {
        while length > 0 {
            if self.used == self.decoded.plain().len() {
                self.decode_next()?;
            }
            let plain = &self.decoded.plain()[self.used..];
            let here = usize::try_from(length).map_or(plain.len(), |it| it.min(plain.len()));
            writer.write(&plain[..here])?;
            self.used += here;
            length -= here as u64;
        }
        Ok(())
    }

    fn decode_next(&mut self) -> Result<()> {
        let number = self.next_segment;
        let segment = self.delta.segments.get(number).ok_or(Error::Truncated {
            what: "the literals",
        })?;
        let frame = (self.segments)(number).map_err(|source| Error::Read {
            what: format!("segment {number}"),
            source,
        })?;
        self.decoded
            .decompress(number, &frame, segment, self.references)?;
        self.used = 0;
        self.next_segment += 1;
        Ok(())
    }
}

/// The output with what was not yet written to it.
struct Writer<'a> {
    output: &'a mut dyn Rebuilt,
    pending: Vec<u8>,
    flushed_bytes: u64,
    /// Most copies are short, and near to the ones before them.
    blocks: Blocks,
}

impl Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.pending.len() + bytes.len() > PIECE_BYTES {
            self.flush()?;
        }
        if bytes.len() >= PIECE_BYTES {
            return self.append(bytes);
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Copies out of a layer, by way of `piece`, or out of what was written already if there is none of that number.
    fn copy(
        &mut self,
        (number, layer): (usize, Option<&dyn ReadAt>),
        mut offset: u64,
        mut length: u64,
        piece: &mut [u8],
    ) -> Result<()> {
        // What is read back has to be written; a copy of what was written long ago need not wait for the rest.
        if layer.is_none() && offset.saturating_add(length) > self.flushed_bytes {
            self.flush()?;
        }
        while length > 0 {
            let here =
                usize::try_from(length).map_or(piece.len(), |length| length.min(piece.len()));
            let bytes = &mut piece[..here];
            self.read((number, layer), offset, bytes)?;
            self.write(bytes)?;
            offset += here as u64;
            length -= here as u64;
        }
        Ok(())
    }

    /// Fills `buffer` with what stands at `offset`: out of a block, where one has all of it and no more will be written
    /// into it.
    fn read(
        &mut self,
        (number, layer): (usize, Option<&dyn ReadAt>),
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<()> {
        let block_end = (offset / BLOCK_BYTES as u64 + 1).saturating_mul(BLOCK_BYTES as u64);
        let is_in_block = offset.saturating_add(buffer.len() as u64) <= block_end;
        let is_settled = layer.is_some() || block_end <= self.flushed_bytes;
        if !(is_in_block && is_settled) {
            return read_piece(&*self.output, (number, layer), offset, buffer);
        }
        let output = &*self.output;
        let size_bytes = layer.map_or(self.flushed_bytes, ReadAt::size_bytes);
        let (block, within) = self
            .blocks
            .hold((number, size_bytes), offset, |block, start| {
                read_piece(output, (number, layer), start, block)
            })?;
        let held = block.get(within..within + buffer.len());
        buffer.copy_from_slice(held.ok_or(Error::Truncated { what: "a layer" })?);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        self.append(&pending)?;
        pending.clear();
        self.pending = pending;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.flushed_bytes += bytes.len() as u64;
        self.output.append(bytes).map_err(|source| Error::Write {
            what: "the new layer",
            source,
        })
    }
}

fn read_piece(
    output: &dyn Rebuilt,
    (number, layer): (usize, Option<&dyn ReadAt>),
    offset: u64,
    buffer: &mut [u8],
) -> Result<()> {
    if let Some(layer) = layer {
        return read_at(layer, number, buffer, offset);
    }
    output
        .read_back(buffer, offset)
        .map_err(|source| Error::Read {
            what: format!("{} bytes at {offset} of the new layer", buffer.len()),
            source,
        })
}
