//! Writes one volume into an object, in one pass.
//!
//! Content arrives as a `VerifiedStream`; what turned out not to be its content becomes a void: filled with
//! zeros to its declared size, listed with the reason, never content. The object is published by whoever
//! owns the whole set, after its last volume was written.
//! Specification: FORMAT.md.

use bytes::Bytes;
use futures_util::StreamExt;

use super::encoder::{Standing, VolumeEncoder, zeros};
use super::end_entry::End;
use super::finished_entry::FinishedEntry;
use super::inventory::{Encoding, Inventory, Part, Profile, Row, Void};
use super::key::{KeyId, SigningKey};
use super::layout_files;
use super::reader::{INVENTORY_NAME, signature_name};
use super::stream_plan::entry_name;
use super::volume_plan::SlicePart;
use crate::content::{Error, ErrorKind, ObjectWriter, Result, Uploaded, VerifiedStream};
use crate::oci::{Algorithm, Descriptor, Hasher, media_type};

/// The longest reason that a void states, in characters.
const REASON_LENGTH_MAX: usize = 300;

/// One volume being written.
pub struct VolumeWriter {
    object: Box<dyn ObjectWriter>,
    encoder: VolumeEncoder,
    profile: Profile,
    contents: Vec<Row>,
    voids: Vec<Void>,
    /// The last entry, until it is asked for.
    finished: Option<FinishedEntry>,
    frames_told: usize,
}

/// How frames of this content are made.
pub(super) fn encoding_of(media_type: &str, profile: Profile) -> Encoding {
    match profile {
        Profile::Guard => Encoding::Tar,
        _ if media_type::is_compressed(media_type) => Encoding::Raw,
        _ => Encoding::Zstd,
    }
}

/// A content stream that is shared by the parts of a blob, with what was read and not written yet.
pub struct PartedStream {
    stream: VerifiedStream,
    pending: Bytes,
}

impl PartedStream {
    pub fn new(stream: VerifiedStream) -> Self {
        Self {
            stream,
            pending: Bytes::new(),
        }
    }

    /// The next bytes, at most `limit`; `None` at the end.
    async fn next(&mut self, limit: u64) -> Result<Option<Bytes>> {
        if self.pending.is_empty() {
            match self.stream.next().await {
                Some(piece) => self.pending = piece?,
                None => return Ok(None),
            }
        }
        let length =
            usize::try_from(limit).map_or(self.pending.len(), |l| l.min(self.pending.len()));
        Ok(Some(self.pending.split_to(length)))
    }

    /// Reads a part that is written already.
    pub async fn pass_over(&mut self, size: u64) -> Result<()> {
        let mut left = size;
        while left > 0 {
            match self.next(left).await? {
                Some(piece) => left -= piece.len() as u64,
                None => return Err(Error::unverified("content ends before its size")),
            }
        }
        Ok(())
    }

    /// Reads on to the end, where the digest is checked. There is nothing left to hand on.
    async fn finish(&mut self) -> Result<()> {
        match self.next(u64::MAX).await? {
            None => Ok(()),
            Some(_) => Err(Error::unverified("content goes on behind its size")),
        }
    }
}

impl VolumeWriter {
    pub fn new(object: Box<dyn ObjectWriter>, profile: Profile) -> Self {
        Self::resume(object, profile, Vec::new())
    }

    /// Goes on behind entries that a former run has finished; `object` is given what comes after them.
    pub fn resume(
        object: Box<dyn ObjectWriter>,
        profile: Profile,
        entries: Vec<FinishedEntry>,
    ) -> Self {
        let mut standing = Standing::default();
        let mut contents = Vec::new();
        for entry in entries {
            standing.position = entry.tar_position;
            standing.stored = entry.end_offset;
            standing.frames.extend(entry.frames);
            contents.push(entry.row);
        }
        Self {
            object,
            frames_told: standing.frames.len(),
            encoder: VolumeEncoder::resume(profile, standing),
            profile,
            contents,
            voids: Vec::new(),
            finished: None,
        }
    }

    /// What the service has taken in so far; `None` where a later run cannot go on from it.
    pub fn uploaded(&self) -> Option<Uploaded> {
        self.object.uploaded()
    }

    /// Waits until the service has all that was written. Nothing is written after it.
    pub async fn seal(&mut self) -> Result<()> {
        self.object.seal().await
    }

    /// The entry that the last call has finished. Behind a void there is none: a later run tries that again,
    /// and other bytes may take its place.
    pub fn take_finished(&mut self) -> Option<FinishedEntry> {
        self.finished.take()
    }

    /// Hands back the object: complete after `finish`, and else as far as it was written.
    pub fn into_object(self) -> Box<dyn ObjectWriter> {
        self.object
    }

    /// Writes a whole blob. `Ok(Some(error))`: the content failed and its entry is a void now.
    /// `Err`: the object cannot be written.
    pub async fn write_blob(
        &mut self,
        stream: VerifiedStream,
        repositories: Vec<u32>,
    ) -> Result<Option<Error>> {
        let descriptor = stream.descriptor().clone();
        let encoding = encoding_of(&descriptor.media_type, self.profile);
        let mut stream = PartedStream::new(stream);
        // Most failures show before the first byte, and then no entry is begun.
        let first = match stream.next(u64::MAX).await {
            Ok(first) => first,
            Err(error) => return Ok(Some(error)),
        };
        let name = entry_name(&descriptor.digest, None);
        let offset = self.begin(&name, descriptor.size, encoding)?;
        let copied = self
            .copy(first, &mut stream, descriptor.size, encoding, None)
            .await?;
        if let Err(error) = copied {
            let (mut hasher, withheld) = stream.stream.into_remains();
            if let Some(withheld) = withheld {
                self.write(withheld, encoding).await?;
            }
            self.fill(encoding, Some(&mut hasher)).await?;
            self.end(encoding).await?;
            self.push_void(
                &descriptor,
                descriptor.size,
                offset,
                encoding,
                None,
                &error,
                hasher,
            );
            return Ok(Some(error));
        }
        self.end(encoding).await?;
        self.push_row(row(&descriptor, offset, encoding, repositories, None));
        Ok(None)
    }

    /// Writes one part of a blob, of which the parts before were written from the same stream.
    pub async fn write_part(
        &mut self,
        stream: &mut PartedStream,
        part: &SlicePart,
        repositories: Vec<u32>,
    ) -> Result<Option<Error>> {
        let descriptor = stream.stream.descriptor().clone();
        let encoding = encoding_of(&descriptor.media_type, self.profile);
        let size = part.range.end - part.range.start;
        let name = entry_name(&descriptor.digest, Some(part.number));
        let offset = self.begin(&name, size, encoding)?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut copied = self
            .copy(None, stream, size, encoding, Some(&mut hasher))
            .await?;
        if copied.is_ok() && part.number == part.of {
            copied = stream.finish().await;
        }
        if let Err(error) = copied {
            self.fill(encoding, Some(&mut hasher)).await?;
            self.end(encoding).await?;
            let number = Some(part.number);
            self.push_void(&descriptor, size, offset, encoding, number, &error, hasher);
            return Ok(Some(error));
        }
        self.end(encoding).await?;
        let part = Part {
            number: part.number,
            of: part.of,
            digest: hasher.finish(),
            size,
        };
        self.push_row(row(&descriptor, offset, encoding, repositories, Some(part)));
        Ok(None)
    }

    /// Writes a manifest, whose bytes have been checked.
    pub async fn write_manifest(
        &mut self,
        descriptor: &Descriptor,
        bytes: Bytes,
        repositories: Vec<u32>,
    ) -> Result<()> {
        let encoding = encoding_of(&descriptor.media_type, self.profile);
        let name = entry_name(&descriptor.digest, None);
        let offset = self.put_entry(&name, bytes, encoding).await?;
        self.contents
            .push(row(descriptor, offset, encoding, repositories, None));
        Ok(())
    }

    /// Closes the volume: layout files where it is the last one, inventory, signatures, end, seek table. Gives the
    /// inventory's bytes.
    pub async fn finish(&mut self, mut inventory: Inventory, keys: &[SigningKey]) -> Result<Bytes> {
        inventory.contents = std::mem::take(&mut self.contents);
        inventory.voids = std::mem::take(&mut self.voids);
        let text = self.small_file_encoding();
        if inventory.volume == inventory.volumes {
            let layout = Bytes::from_static(layout_files::OCI_LAYOUT.as_bytes());
            self.put_entry(layout_files::OCI_LAYOUT_NAME, layout, text)
                .await?;
            let index = layout_files::encode_index(&inventory).map_err(not_encodable)?;
            self.put_entry(layout_files::INDEX_NAME, index.into(), text)
                .await?;
        }
        let bytes: Bytes = inventory.encode().map_err(not_encodable)?.into();
        if bytes.len() as u64 > super::limits::INVENTORY_SIZE_MAX_BYTES {
            return Err(Error::new(
                ErrorKind::Refused,
                "the inventory is larger than 64 MiB; cut the export with `--max-artifacts`",
            ));
        }
        let inventory_offset = self.put_entry(INVENTORY_NAME, bytes.clone(), text).await?;
        let signatures_offset = self.encoder.position();
        for (id, signature) in make_signatures(keys, &bytes)? {
            self.put_entry(&signature_name(&id), signature.into(), Encoding::Raw)
                .await?;
        }
        let end = End {
            inventory_offset,
            inventory_size: bytes.len() as u64,
            signatures_offset,
            signatures_size: self.encoder.position() - signatures_offset,
        };
        self.encoder
            .finish(end.encode())
            .map_err(not_compressible)?;
        self.drain().await?;
        Ok(bytes)
    }

    fn small_file_encoding(&self) -> Encoding {
        encoding_of("application/json", self.profile)
    }

    fn begin(&mut self, name: &str, size: u64, encoding: Encoding) -> Result<u64> {
        self.encoder
            .begin(name, size, encoding)
            .map_err(not_compressible)
    }

    async fn put_entry(&mut self, name: &str, bytes: Bytes, encoding: Encoding) -> Result<u64> {
        let offset = self
            .encoder
            .entry(name, bytes, encoding)
            .map_err(not_compressible)?;
        self.drain().await?;
        Ok(offset)
    }

    /// Copies `size` bytes. The outer error is the object's, the inner one the content's.
    async fn copy(
        &mut self,
        first: Option<Bytes>,
        stream: &mut PartedStream,
        size: u64,
        encoding: Encoding,
        mut hasher: Option<&mut Hasher>,
    ) -> Result<Result<()>> {
        let mut next = first;
        let mut left = size;
        loop {
            let piece = match next.take() {
                Some(piece) => piece,
                None if left == 0 && hasher.is_some() => return Ok(Ok(())),
                None => match stream.next(left.max(1)).await {
                    Ok(Some(piece)) => piece,
                    Ok(None) => return Ok(Ok(())),
                    Err(error) => return Ok(Err(error)),
                },
            };
            left = left.saturating_sub(piece.len() as u64);
            if let Some(hasher) = &mut hasher {
                hasher.update(&piece);
            }
            self.write(piece, encoding).await?;
        }
    }

    /// Fills the rest of the entry with zeros.
    async fn fill(&mut self, encoding: Encoding, mut hasher: Option<&mut Hasher>) -> Result<()> {
        while self.encoder.data_left() > 0 {
            let piece = zeros(self.encoder.data_left());
            if let Some(hasher) = &mut hasher {
                hasher.update(&piece);
            }
            self.write(piece, encoding).await?;
        }
        Ok(())
    }

    async fn write(&mut self, piece: Bytes, encoding: Encoding) -> Result<()> {
        self.encoder
            .write(piece, encoding)
            .map_err(not_compressible)?;
        self.drain().await
    }

    async fn end(&mut self, encoding: Encoding) -> Result<()> {
        self.encoder.end(encoding).map_err(not_compressible)?;
        self.drain().await
    }

    async fn drain(&mut self) -> Result<()> {
        self.object.write(self.encoder.take_output()).await
    }

    fn push_row(&mut self, row: Row) {
        let frames = self.encoder.frames();
        self.finished = self.voids.is_empty().then(|| FinishedEntry {
            row: row.clone(),
            end_offset: self.encoder.stored(),
            tar_position: self.encoder.position(),
            frames: frames[self.frames_told..].to_vec(),
        });
        self.frames_told = frames.len();
        self.contents.push(row);
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one void, known in one place"
    )]
    fn push_void(
        &mut self,
        descriptor: &Descriptor,
        size: u64,
        offset: u64,
        encoding: Encoding,
        part: Option<u32>,
        error: &Error,
        hasher: Hasher,
    ) {
        self.finished = None;
        self.voids.push(Void {
            digest: descriptor.digest.clone(),
            size,
            offset,
            encoding,
            part,
            reason: error.to_string().chars().take(REASON_LENGTH_MAX).collect(),
            found: hasher.finish(),
        });
    }
}

fn row(
    descriptor: &Descriptor,
    offset: u64,
    encoding: Encoding,
    repositories: Vec<u32>,
    part: Option<Part>,
) -> Row {
    Row {
        digest: descriptor.digest.clone(),
        size: descriptor.size,
        media_type: descriptor.media_type.clone(),
        offset,
        encoding,
        repositories,
        part,
    }
}

/// One signature for each distinct key, ascending by key id.
fn make_signatures(keys: &[SigningKey], bytes: &[u8]) -> Result<Vec<(KeyId, Vec<u8>)>> {
    let mut signatures = Vec::new();
    for key in keys {
        let signature = key.sign(bytes).map_err(|cause| {
            Error::new(ErrorKind::Failed, "cannot sign the inventory").with_cause(cause)
        })?;
        signatures.push((key.public().id().clone(), signature));
    }
    signatures.sort_by(|a, b| a.0.cmp(&b.0));
    signatures.dedup_by(|a, b| a.0 == b.0);
    Ok(signatures)
}

fn not_encodable(cause: serde_json::Error) -> Error {
    Error::new(ErrorKind::Failed, "cannot encode the inventory").with_cause(cause)
}

fn not_compressible(cause: std::io::Error) -> Error {
    Error::new(ErrorKind::Failed, "cannot compress a frame").with_cause(cause)
}
