//! Reads one volume: the tail first, trust next, and content only after that.
//!
//! **Invariants.** Before trust is decided, no more is read than the limits of the tail, and nothing but
//! the end entry is parsed. Every header before content is compared with the one that the writer makes.
//! Content leaves the bundle as a `RawStream`, so its digest is checked by whoever asked for it.
//! Specification: FORMAT.md, "Reading".

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};

use super::end_entry::{self, End};
use super::error::{BundleError, Part};
use super::frame;
use super::inventory::Profile;
use super::limits::{INVENTORY_SIZE_MAX_BYTES, SIGNATURE_SIZE_MAX_BYTES, SIGNATURES_MAX};
use super::seek_table::{self, Footer, SeekTable};
use super::stream_plan::PlannedEntry;
use super::tar_entry;
use super::trust::Signature;
use crate::content::{self, RangedRead};

/// Frames that are being read ahead of the consumer.
const FRAMES_AHEAD: usize = 2;
/// Bytes of the tar stream that are read at once in the guard profile.
const GUARD_PIECE_BYTES: u64 = 1 << 20;
pub(super) const INVENTORY_NAME: &str = "airlift/inventory.json";

/// The tar stream of one stored object, readable at any offset.
#[derive(Clone)]
pub struct TarStream {
    object: Arc<dyn RangedRead>,
    /// `None` in the guard profile, where stored bytes and tar stream are the same.
    seek_table: Option<Arc<SeekTable>>,
    size: u64,
}

impl TarStream {
    /// Steps 1 and 2 of reading a volume, up to the seek table.
    pub async fn open(object: Arc<dyn RangedRead>) -> Result<Self, BundleError> {
        let size = object.size_bytes();
        let head = usize::try_from(size).map_or(512, |size| size.min(512));
        let first = object.read(0, head).await?;
        if size < end_entry::TAIL_BYTES as u64 / 2 && may_become_volume(&first) {
            return Err(BundleError::Incomplete);
        }
        match detect_profile(&first) {
            None => Err(BundleError::NotABundle),
            Some(Profile::Guard) => Ok(Self {
                object,
                seek_table: None,
                size,
            }),
            Some(Profile::Plain | Profile::Dense) => {
                let table = read_seek_table(&*object).await?;
                Ok(Self {
                    object,
                    size: table.size(),
                    seek_table: Some(Arc::new(table)),
                })
            }
        }
    }

    pub fn object(&self) -> &Arc<dyn RangedRead> {
        &self.object
    }

    pub fn profile(&self) -> Profile {
        match self.seek_table {
            Some(_) => Profile::Plain,
            None => Profile::Guard,
        }
    }

    pub fn seek_table(&self) -> Option<&Arc<SeekTable>> {
        self.seek_table.as_ref()
    }

    /// The length of the tar stream, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes `range` of the tar stream, piece by piece.
    pub fn stream(
        &self,
        range: Range<u64>,
    ) -> impl Stream<Item = content::Result<Bytes>> + Send + 'static {
        let this = self.clone();
        let positions = this.pieces(&range);
        let wanted = range;
        stream::iter(positions)
            .map(move |position| {
                let this = this.clone();
                let wanted = wanted.clone();
                async move { this.read_piece(position, &wanted).await }
            })
            .buffered(FRAMES_AHEAD)
            .flat_map(|pieces| match pieces {
                Ok(pieces) => stream::iter(pieces.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(content::Error::from(error))]),
            })
    }

    /// The frames, or pieces of the guard profile, that hold `range`, by position.
    fn pieces(&self, range: &Range<u64>) -> Range<u64> {
        if range.is_empty() {
            return 0..0;
        }
        match &self.seek_table {
            Some(table) => table.find(range.start) as u64..table.find(range.end - 1) as u64 + 1,
            None => range.start / GUARD_PIECE_BYTES..(range.end - 1) / GUARD_PIECE_BYTES + 1,
        }
    }

    /// The wanted bytes of the piece at `position`.
    async fn read_piece(
        &self,
        position: u64,
        wanted: &Range<u64>,
    ) -> Result<Vec<Bytes>, BundleError> {
        let Some(table) = &self.seek_table else {
            let start = wanted.start.max(position * GUARD_PIECE_BYTES);
            let end = wanted.end.min((position + 1) * GUARD_PIECE_BYTES);
            let length = usize::try_from(end - start).unwrap_or(usize::MAX);
            return Ok(vec![self.object.read(start, length).await?]);
        };
        let damaged = || BundleError::Damaged(Part::Frame(position));
        let index = usize::try_from(position).map_err(|_| damaged())?;
        let frame = table.frame(index).ok_or_else(damaged)?;
        let stored = self
            .object
            .read(frame.stored_offset, frame.stored_size)
            .await?;
        let pieces = frame::decode(&stored, frame.size).map_err(|_| damaged())?;
        Ok(cut(pieces, frame.offset, wanted))
    }

    /// A small part of the tar stream in memory.
    pub async fn read(&self, offset: u64, length: u64) -> content::Result<Bytes> {
        let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or(0));
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(BundleError::Damaged(Part::SeekTable).into());
        }
        let mut pieces = Box::pin(self.stream(offset..offset + length));
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece?);
        }
        if bytes.len() as u64 == length {
            Ok(bytes.freeze())
        } else {
            Err(BundleError::Damaged(Part::SeekTable).into())
        }
    }

    /// The bytes `wanted` of the data of `entry`, whose header is compared with the one that the writer
    /// makes: on the way where the beginning is read, before it otherwise.
    pub(super) async fn open_entry(
        &self,
        entry: &PlannedEntry,
        wanted: Range<u64>,
    ) -> content::Result<BoxStream<'static, content::Result<Bytes>>> {
        let header = tar_entry::encode_header(&entry.name, entry.stored.size);
        let name = entry.name.clone();
        if wanted.start > 0 {
            let found = self.read(entry.start(), header.len() as u64).await?;
            if found != header {
                return Err(BundleError::wrong_header(&found, &name).into());
            }
            let data = entry.offset + wanted.start..entry.offset + wanted.end;
            return Ok(self.stream(data).boxed());
        }
        let mut header = Bytes::from(header);
        let pieces = self.stream(entry.start()..entry.offset + wanted.end);
        let checked = pieces.map(move |piece| {
            let mut piece = piece?;
            let length = piece.len().min(header.len());
            let found = piece.split_to(length);
            if found == header.split_to(length) {
                Ok(piece)
            } else {
                Err(BundleError::wrong_header(&found, &name).into())
            }
        });
        Ok(checked.boxed())
    }
}

const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const FIRST_NAMES: [&[u8]; 4] = [b"blobs/", b"airlift/", b"oci-layout", b"././@LongLink"];

/// Whether so few bytes are how a volume begins that is still arriving.
fn may_become_volume(first: &[u8]) -> bool {
    let agrees = |start: &[u8]| first.starts_with(start) || start.starts_with(first);
    agrees(ZSTD_MAGIC) || FIRST_NAMES.into_iter().any(agrees)
}

fn detect_profile(first: &[u8]) -> Option<Profile> {
    if first.starts_with(ZSTD_MAGIC) {
        Some(Profile::Plain)
    } else if first.get(257..263) == Some(b"ustar ")
        && FIRST_NAMES.iter().any(|n| first.starts_with(n))
    {
        Some(Profile::Guard)
    } else {
        None
    }
}

async fn read_seek_table(object: &dyn RangedRead) -> Result<SeekTable, BundleError> {
    let size = object.size_bytes();
    let footer_size = seek_table::FOOTER_BYTES;
    let footer = object.read(size - footer_size as u64, footer_size).await?;
    let table_size = Footer::parse(&footer)?.table_size();
    let start = size
        .checked_sub(table_size as u64)
        .ok_or(BundleError::Damaged(Part::SeekTable))?;
    let table = SeekTable::parse(&object.read(start, table_size).await?)?;
    if table.stored_size() == start && table.size() >= end_entry::TAIL_BYTES as u64 {
        Ok(table)
    } else {
        Err(BundleError::Damaged(Part::SeekTable))
    }
}

/// The parts of `pieces`, which begin at `offset`, that lie within `wanted`.
fn cut(pieces: Vec<Bytes>, mut offset: u64, wanted: &Range<u64>) -> Vec<Bytes> {
    let mut kept = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let end = offset + piece.len() as u64;
        let from = wanted.start.clamp(offset, end) - offset;
        let to = wanted.end.clamp(offset, end) - offset;
        if let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to))
            && from < to
        {
            kept.push(piece.slice(from..to));
        }
        offset = end;
    }
    kept
}

/// What stands behind the contents: raw bytes whose signature has not been looked at.
#[derive(Clone, Debug)]
pub struct Tail {
    pub end: End,
    pub inventory: Bytes,
    pub signatures: Vec<Signature>,
}

impl Tail {
    /// Steps 2 and 3 of reading a volume.
    pub async fn read(stream: &TarStream) -> Result<Self, BundleError> {
        let size = end_entry::TAIL_BYTES as u64;
        let start = stream
            .size()
            .checked_sub(size)
            .ok_or(BundleError::Incomplete)?;
        let end = match End::parse(&stream.read(start, size).await?, stream.size()) {
            // A guard volume has no footer, so a missing end is how one that is still arriving looks.
            Err(end_entry::InvalidEnd::Missing) if stream.profile() == Profile::Guard => {
                return Err(BundleError::Incomplete);
            }
            other => other?,
        };
        let header = tar_entry::encode_header(INVENTORY_NAME, end.inventory_size);
        let header_start = end
            .inventory_offset
            .checked_sub(header.len() as u64)
            .filter(|_| end.inventory_size <= INVENTORY_SIZE_MAX_BYTES)
            .ok_or(BundleError::Damaged(Part::End))?;
        let entry = stream
            .read(header_start, header.len() as u64 + end.inventory_size)
            .await?;
        if !entry.starts_with(&header) {
            return Err(BundleError::Damaged(Part::Entry(INVENTORY_NAME.to_owned())));
        }
        let signatures = stream
            .read(end.signatures_offset, end.signatures_size)
            .await?;
        Ok(Self {
            inventory: entry.slice(header.len()..),
            signatures: parse_signatures(&signatures)?,
            end,
        })
    }
}

/// The name of the entry that holds the signature of a key.
pub(super) fn signature_name(key_id: &super::key::KeyId) -> String {
    format!("airlift/signatures/{key_id}.sig")
}

/// Parses the signature entries: only names, sizes and order that the writer makes.
fn parse_signatures(mut bytes: &[u8]) -> Result<Vec<Signature>, BundleError> {
    let mut signatures: Vec<Signature> = Vec::new();
    let damaged = || BundleError::Damaged(Part::Signatures);
    while !bytes.is_empty() {
        let header = bytes.get(..512).ok_or_else(damaged)?;
        let id = header
            .strip_prefix(b"airlift/signatures/")
            .and_then(|rest| rest.get(..16));
        let key_id = id
            .and_then(|id| std::str::from_utf8(id).ok()?.parse().ok())
            .ok_or_else(damaged)?;
        let size = tar::Header::from_byte_slice(header)
            .size()
            .map_err(|_| damaged())?;
        if size > SIGNATURE_SIZE_MAX_BYTES
            || signatures.len() == SIGNATURES_MAX
            || tar_entry::encode_header(&signature_name(&key_id), size) != header
            || signatures.last().is_some_and(|last| last.key_id >= key_id)
        {
            return Err(damaged());
        }
        let length = usize::try_from(size).map_err(|_| damaged())?;
        let padded = length.next_multiple_of(512);
        let data = bytes.get(512..512 + padded).ok_or_else(damaged)?;
        if data[length..].iter().any(|byte| *byte != 0) {
            return Err(damaged());
        }
        signatures.push(Signature {
            key_id,
            bytes: data[..length].to_vec(),
        });
        bytes = &bytes[512 + padded..];
    }
    Ok(signatures)
}
