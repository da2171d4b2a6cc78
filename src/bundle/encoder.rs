//! Turns entries into the stored bytes of a volume: headers, padding, frames, and at last the seek table.
//!
//! Pure: bytes go in, pieces of the object come out, in order. Raw frames are handed on without copying.
//! Specification: FORMAT.md, "Entries and their order" and "Frames".

use bytes::Bytes;

use super::frame::{self, BLOCK_SIZE_MAX_BYTES};
use super::inventory::{Encoding, Profile};
use super::limits::FRAME_SIZE_MAX_BYTES;
use super::seek_table::SeekTableBuilder;
use super::tar_entry;

/// The state of one volume being written.
pub(super) struct VolumeEncoder {
    profile: Profile,
    seek_table: SeekTableBuilder,
    /// Bytes of the tar stream so far.
    position: u64,
    /// Bytes of the object that were taken so far.
    stored: u64,
    entry: Option<OpenEntry>,
    out: Vec<Bytes>,
}

/// Where an encoder stands between two entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Bytes of the tar stream.
    pub(super) position: u64,
    /// Bytes of the object.
    pub(super) stored: u64,
    /// Stored and uncompressed sizes.
    pub(super) frames: Vec<(u32, u32)>,
}

struct OpenEntry {
    data_left: u64,
    padding: u64,
    /// Bytes of the entry that are not in a finished or begun frame yet.
    unframed: u64,
    frame: Frame,
}

/// The frame that is being filled.
enum Frame {
    Raw {
        size: usize,
        filled: usize,
        stored: usize,
    },
    Compressed {
        size: usize,
        content: Vec<u8>,
    },
    None,
}

impl VolumeEncoder {
    /// Goes on where another encoder stood between two entries; by default at the beginning.
    pub(super) fn resume(profile: Profile, standing: Standing) -> Self {
        Self {
            profile,
            seek_table: SeekTableBuilder::from(standing.frames),
            position: standing.position,
            stored: standing.stored,
            entry: None,
            out: Vec::new(),
        }
    }

    /// What is ready to be stored, in order.
    pub(super) fn take_output(&mut self) -> Vec<Bytes> {
        let out = std::mem::take(&mut self.out);
        self.stored += out.iter().map(|piece| piece.len() as u64).sum::<u64>();
        out
    }

    /// Bytes of the object that were taken so far.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// The frames that are finished.
    pub(super) fn frames(&self) -> &[(u32, u32)] {
        self.seek_table.frames()
    }

    /// Bytes of the tar stream so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Begins an entry of `size` bytes, and says the offset of its first data byte.
    pub(super) fn begin(
        &mut self,
        name: &str,
        size: u64,
        encoding: Encoding,
    ) -> std::io::Result<u64> {
        let header = tar_entry::encode_header(name, size);
        let padding = tar_entry::padding_size(size);
        let unframed = header.len() as u64 + size + padding;
        self.entry = Some(OpenEntry {
            data_left: size,
            padding,
            unframed,
            frame: Frame::None,
        });
        self.put(header.into(), encoding)?;
        Ok(self.position)
    }

    /// Bytes of the current entry that are still to come.
    pub(super) fn data_left(&self) -> u64 {
        self.entry.as_ref().map_or(0, |entry| entry.data_left)
    }

    /// Data of the current entry. The caller never gives more than the entry's size.
    pub(super) fn write(&mut self, data: Bytes, encoding: Encoding) -> std::io::Result<()> {
        if let Some(entry) = &mut self.entry {
            entry.data_left = entry.data_left.saturating_sub(data.len() as u64);
        }
        self.put(data, encoding)
    }

    /// Ends the current entry, whose data is complete.
    pub(super) fn end(&mut self, encoding: Encoding) -> std::io::Result<()> {
        let padding = self.entry.as_ref().map_or(0, |entry| entry.padding);
        self.put(zeros(padding), encoding)?;
        self.entry = None;
        Ok(())
    }

    /// A whole entry at once; says the offset of its first data byte.
    pub(super) fn entry(
        &mut self,
        name: &str,
        data: Bytes,
        encoding: Encoding,
    ) -> std::io::Result<u64> {
        let offset = self.begin(name, data.len() as u64, encoding)?;
        self.write(data, encoding)?;
        self.end(encoding)?;
        Ok(offset)
    }

    /// The closing bytes of the tar stream, and the seek table.
    pub(super) fn finish(&mut self, tail: Vec<u8>) -> std::io::Result<()> {
        self.entry = Some(OpenEntry {
            data_left: 0,
            padding: 0,
            unframed: tail.len() as u64,
            frame: Frame::None,
        });
        self.put(tail.into(), Encoding::Raw)?;
        self.entry = None;
        if self.profile.is_framed() {
            self.out.push(self.seek_table.encode().into());
        }
        Ok(())
    }

    fn put(&mut self, mut bytes: Bytes, encoding: Encoding) -> std::io::Result<()> {
        self.position += bytes.len() as u64;
        if !self.profile.is_framed() {
            self.out.push(bytes);
            return Ok(());
        }
        while !bytes.is_empty() {
            self.begin_frame(encoding);
            bytes = self.fill_frame(bytes)?;
        }
        Ok(())
    }

    /// Begins the next frame of the entry, unless one is open.
    fn begin_frame(&mut self, encoding: Encoding) {
        let Some(entry) = &mut self.entry else { return };
        if !matches!(entry.frame, Frame::None) {
            return;
        }
        let size = entry.unframed.min(FRAME_SIZE_MAX_BYTES as u64);
        entry.unframed -= size;
        let size = usize::try_from(size).unwrap_or(FRAME_SIZE_MAX_BYTES);
        entry.frame = if encoding == Encoding::Zstd {
            Frame::Compressed {
                size,
                content: Vec::with_capacity(size),
            }
        } else {
            let header = frame::raw_frame_header(size);
            self.out.push(Bytes::copy_from_slice(&header));
            Frame::Raw {
                size,
                filled: 0,
                stored: header.len(),
            }
        };
    }

    /// Puts what fits into the open frame, and gives back the rest.
    fn fill_frame(&mut self, mut bytes: Bytes) -> std::io::Result<Bytes> {
        let Some(entry) = &mut self.entry else {
            return Ok(Bytes::new());
        };
        match &mut entry.frame {
            Frame::Raw {
                size,
                filled,
                stored,
            } => {
                if *filled % BLOCK_SIZE_MAX_BYTES == 0 {
                    let block = (*size - *filled).min(BLOCK_SIZE_MAX_BYTES);
                    let header = frame::raw_block_header(block, *filled + block == *size);
                    self.out.push(Bytes::copy_from_slice(&header));
                    *stored += header.len();
                }
                let block_left = BLOCK_SIZE_MAX_BYTES - *filled % BLOCK_SIZE_MAX_BYTES;
                let piece = bytes.split_to(bytes.len().min(block_left).min(*size - *filled));
                *filled += piece.len();
                *stored += piece.len();
                self.out.push(piece);
                if filled == size {
                    self.seek_table.push(*stored, *size);
                    entry.frame = Frame::None;
                }
            }
            Frame::Compressed { size, content } => {
                let piece = bytes.split_to(bytes.len().min(*size - content.len()));
                content.extend_from_slice(&piece);
                if content.len() == *size {
                    let stored = frame::encode_compressed(content)?;
                    self.seek_table.push(stored.len(), *size);
                    self.out.push(stored);
                    entry.frame = Frame::None;
                }
            }
            Frame::None => {}
        }
        Ok(bytes)
    }
}

/// `count` zero bytes, at most a block of them in memory for any count that padding can have.
pub(super) fn zeros(count: u64) -> Bytes {
    const ZEROS: &[u8] = &[0; 128 << 10];
    match usize::try_from(count) {
        Ok(count) if count <= ZEROS.len() => Bytes::from_static(&ZEROS[..count]),
        _ => Bytes::from_static(ZEROS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::seek_table::SeekTable;

    fn encode(profile: Profile, encoding: Encoding, data: &[u8], piece: usize) -> Vec<u8> {
        let mut encoder = VolumeEncoder::resume(profile, Standing::default());
        encoder
            .begin("blobs/x", data.len() as u64, encoding)
            .unwrap();
        for piece in data.chunks(piece) {
            encoder
                .write(Bytes::copy_from_slice(piece), encoding)
                .unwrap();
        }
        encoder.end(encoding).unwrap();
        encoder.finish(vec![0; 2048]).unwrap();
        encoder.take_output().concat()
    }

    #[test]
    fn the_bytes_do_not_depend_on_how_the_data_arrives() {
        let data: Vec<u8> = (0..9_000_000_u32)
            .map(|i| (i / 7).to_le_bytes()[1])
            .collect();
        for encoding in [Encoding::Raw, Encoding::Zstd] {
            let whole = encode(Profile::Plain, encoding, &data, data.len());
            assert_eq!(encode(Profile::Plain, encoding, &data, 65_537), whole);
            let decoded = zstd::stream::decode_all(&whole[..]).unwrap();
            let guard = encode(Profile::Guard, Encoding::Tar, &data, data.len());
            assert_eq!(decoded, guard);
        }
    }

    #[test]
    fn the_seek_table_describes_the_frames() {
        let whole = encode(Profile::Plain, Encoding::Raw, &vec![1; 5 << 20], 1 << 20);
        let table_size = 8 + 3 * 8 + 9;
        let table = SeekTable::parse(&whole[whole.len() - table_size..]).unwrap();
        assert_eq!(table.frame_count(), 3);
        assert_eq!(table.stored_size(), (whole.len() - table_size) as u64);
        assert_eq!(table.size(), 512 + (5 << 20) + 2048);
    }
}
