//! Proves that an object is exactly what the writer makes of its inventory and contents.
//!
//! Everything but the contents themselves can be computed from the inventory: headers, padding, cuts,
//! layout files, end entry, seek table. So every byte of the object is either compared or hashed, nothing
//! stands before, between or after, and each fault is told with the entry that it is in.
//! Specification: FORMAT.md, "Reading".

use bytes::Bytes;

use super::end_entry;
use super::expected::{Expected, ExpectedEntry, expected_entries};
use super::frame;
use super::inventory::{self, Encoding};
use super::limits::FRAME_SIZE_MAX_BYTES;
use super::reader::TarStream;
use super::seek_table::{Frame, SeekTableBuilder};
use super::tar_entry;
use super::volume::Volume;
use crate::content;
use crate::oci::{Digest, Hasher};

/// Something that is not as the writer makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The entry's name, or another place of the object.
    pub place: String,
    pub what: String,
}

/// What `verify_volume` found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verification {
    pub faults: Vec<Fault>,
    pub entries: usize,
    pub voids: usize,
    pub bytes: u64,
    /// Compressed frames that another version of zstd wrote: their content is proven, their spelling is not.
    pub frames_not_made_again: usize,
}

/// Reads the whole object. `Err` means that it could not be read; faults are in the report.
pub async fn verify_volume(
    volume: &Volume,
    on_bytes: &(dyn Fn(u64) + Sync),
) -> content::Result<Verification> {
    let mut walk = VerifyWalk {
        stream: volume.stream(),
        position: 0,
        frame: 0,
        seek_table: SeekTableBuilder::default(),
        stored_position: 0,
        report: Verification::default(),
        is_own_zstd: volume.inventory().writer == inventory::writer_version(),
        on_bytes,
    };
    for entry in expected_entries(volume)? {
        walk.check_entry(&entry).await?;
    }
    walk.check_tail(volume).await?;
    walk.report.voids = volume.inventory().voids.len();
    Ok(walk.report)
}

struct VerifyWalk<'a> {
    stream: &'a TarStream,
    /// In the tar stream.
    position: u64,
    /// The next frame's position in the seek table.
    frame: usize,
    seek_table: SeekTableBuilder,
    stored_position: u64,
    report: Verification,
    is_own_zstd: bool,
    on_bytes: &'a (dyn Fn(u64) + Sync),
}

impl VerifyWalk<'_> {
    fn fault(&mut self, place: &str, what: impl Into<String>) {
        let fault = Fault {
            place: place.to_owned(),
            what: what.into(),
        };
        if self.report.faults.last() != Some(&fault) {
            self.report.faults.push(fault);
        }
    }

    async fn check_entry(&mut self, entry: &ExpectedEntry) -> content::Result<()> {
        let total = tar_entry::entry_size(&entry.name, entry.size);
        let header = tar_entry::encode_header(&entry.name, entry.size);
        let mut check = EntryCheck::new(entry, header);
        let mut left = total;
        while left > 0 {
            let size = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(FRAME_SIZE_MAX_BYTES);
            match self.next_frame(&entry.name, size, entry.encoding).await? {
                Some(pieces) => pieces.iter().for_each(|piece| check.take(piece)),
                None => check.is_readable = false,
            }
            left -= size as u64;
        }
        if let Some(what) = check.finish() {
            self.fault(&entry.name, what);
        }
        self.report.entries += 1;
        Ok(())
    }

    /// The content of the next frame, which must hold `size` bytes; `None` where it is damaged.
    async fn next_frame(
        &mut self,
        place: &str,
        size: usize,
        encoding: Encoding,
    ) -> content::Result<Option<Vec<Bytes>>> {
        (self.on_bytes)(size as u64);
        self.report.bytes += size as u64;
        let start = self.position;
        self.position += size as u64;
        let Some(table) = self.stream.seek_table() else {
            return Ok(Some(vec![self.stream.read(start, size as u64).await?]));
        };
        let found = table.frame(self.frame);
        self.frame += 1;
        let Some(found) = found.filter(|found| found.offset == start && found.size == size) else {
            self.fault(place, "the seek table cuts it at another place");
            return Ok(None);
        };
        let stored = self
            .stream
            .object()
            .read(found.stored_offset, found.stored_size)
            .await?;
        self.seek_table.push(stored.len(), size);
        self.stored_position += stored.len() as u64;
        Ok(self.decode(place, &stored, found, encoding))
    }

    fn decode(
        &mut self,
        place: &str,
        stored: &Bytes,
        found: Frame,
        encoding: Encoding,
    ) -> Option<Vec<Bytes>> {
        let decoded = match encoding {
            Encoding::Zstd => frame::decode(stored, found.size),
            Encoding::Raw | Encoding::Tar => frame::decode_raw(stored, found.size),
        };
        let Ok(pieces) = decoded else {
            self.fault(place, "a frame of it is damaged");
            return None;
        };
        if encoding == Encoding::Zstd {
            let again = frame::encode_compressed(&pieces.concat());
            match again {
                Ok(again) if again == *stored => {}
                _ if self.is_own_zstd => {
                    self.fault(place, "a frame of it is not as the writer makes it");
                }
                _ => self.report.frames_not_made_again += 1,
            }
        }
        Some(pieces)
    }

    async fn check_tail(&mut self, volume: &Volume) -> content::Result<()> {
        let tail = volume.tail().end.encode();
        let pieces = self
            .next_frame(end_entry::NAME, tail.len(), Encoding::Raw)
            .await?;
        if pieces.is_some_and(|pieces| pieces.concat() != tail) {
            self.fault(end_entry::NAME, "it is not as the writer makes it");
        }
        if self.position != self.stream.size() {
            self.fault("the object", "bytes stand behind the end entry");
        }
        if self.stream.seek_table().is_some() {
            let size = volume.size_bytes();
            let length = usize::try_from(size - self.stored_position.min(size)).unwrap_or(0);
            let found = volume
                .stream()
                .object()
                .read(self.stored_position.min(size), length)
                .await?;
            // Faults above already explain a table that cannot agree.
            if self.report.faults.is_empty() && found != self.seek_table.encode() {
                self.fault("the seek table", "it is not as the writer makes it");
            }
        }
        Ok(())
    }
}

#[expect(clippy::struct_excessive_bools, reason = "four independent findings")]
/// Compares header and padding of one entry, and compares or hashes its data.
struct EntryCheck<'a> {
    entry: &'a ExpectedEntry,
    header: Vec<u8>,
    at: u64,
    hasher: Option<Hasher>,
    is_readable: bool,
    header_agrees: bool,
    data_agrees: bool,
    padding_agrees: bool,
}

impl<'a> EntryCheck<'a> {
    fn new(entry: &'a ExpectedEntry, header: Vec<u8>) -> Self {
        let hasher = match &entry.expected {
            Expected::Hash(stored) => Some(Hasher::new(stored.digest.algorithm())),
            Expected::Bytes(_) => None,
        };
        Self {
            entry,
            header,
            at: 0,
            hasher,
            is_readable: true,
            header_agrees: true,
            data_agrees: true,
            padding_agrees: true,
        }
    }

    fn take(&mut self, piece: &[u8]) {
        let header_end = self.header.len() as u64;
        let data_end = header_end + self.entry.size;
        let (header, rest) = split(piece, header_end.saturating_sub(self.at));
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        if !header.is_empty() && self.header.get(at..at + header.len()) != Some(header) {
            self.header_agrees = false;
        }
        self.at += header.len() as u64;
        let (data, padding) = split(rest, data_end.saturating_sub(self.at));
        match (&self.entry.expected, &mut self.hasher) {
            (Expected::Bytes(expected), _) => {
                let at = usize::try_from(self.at.saturating_sub(header_end)).unwrap_or(usize::MAX);
                let expected = at
                    .checked_add(data.len())
                    .and_then(|end| expected.get(at..end));
                self.data_agrees &= data.is_empty() || expected == Some(data);
            }
            (Expected::Hash(_), Some(hasher)) => hasher.update(data),
            (Expected::Hash(_), None) => {}
        }
        self.padding_agrees &= padding.iter().all(|byte| *byte == 0);
        self.at += (data.len() + padding.len()) as u64;
    }

    /// What is wrong, `None` if nothing is.
    fn finish(self) -> Option<String> {
        if !self.is_readable {
            // The frame's own fault has been told.
            return None;
        }
        if !self.header_agrees {
            return Some("its header is not as the writer makes it".to_owned());
        }
        if let (Expected::Hash(stored), Some(hasher)) = (&self.entry.expected, self.hasher) {
            let found: Digest = hasher.finish();
            if found != stored.digest {
                return Some(format!(
                    "its digest is `{found}`, expected `{}`",
                    stored.digest
                ));
            }
        }
        if !self.data_agrees {
            return Some("its content does not follow from the inventory".to_owned());
        }
        (!self.padding_agrees).then(|| "its padding is not zero".to_owned())
    }
}

fn split(bytes: &[u8], at: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len())))
}
