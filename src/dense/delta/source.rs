//! Decompressed layers that can be read at any offset: the references, and the layer that is described.
//!
//! Not a cache of files: who opens and removes them is the caller's business.

use std::fs::File;
use std::io;

use super::error::{Error, Result};

/// Bytes of a known length that can be read anywhere.
pub trait ReadAt: Sync {
    /// The length in bytes. It does not change.
    fn size_bytes(&self) -> u64;

    /// Fills `buffer` with what stands at `offset`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A decompressed layer in a file.
#[derive(Debug)]
pub struct PlainFile {
    file: File,
    size_bytes: u64,
}

impl PlainFile {
    /// Takes `file` with the length that it has now.
    pub fn new(file: File) -> io::Result<Self> {
        let size_bytes = file.metadata()?.len();
        Ok(Self { file, size_bytes })
    }
}

impl ReadAt for PlainFile {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let stored = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(stored);
        Ok(())
    }
}

/// Reads of `layer` with an error that says which one of the layers it was.
pub(super) fn read_at(
    layer: &dyn ReadAt,
    number: usize,
    buffer: &mut [u8],
    offset: u64,
) -> Result<()> {
    layer
        .read_exact_at(buffer, offset)
        .map_err(|source| Error::Read {
            what: format!("{} bytes at {offset} of layer {number}", buffer.len()),
            source,
        })
}

/// Hands all bytes of `layer` to `visit` in blocks of `block_bytes`, the last one shorter.
pub(super) fn for_each_block(
    layer: &dyn ReadAt,
    number: usize,
    block_bytes: usize,
    mut visit: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let size_bytes = layer.size_bytes();
    let mut block = vec![0; block_bytes];
    let mut offset = 0;
    while offset < size_bytes {
        let length =
            usize::try_from(size_bytes - offset).map_or(block_bytes, |left| left.min(block_bytes));
        read_at(layer, number, &mut block[..length], offset)?;
        visit(offset, &block[..length])?;
        offset += length as u64;
    }
    Ok(())
}
