//! Recipes and segments of an export, in one file of the spool, as a source.
//!
//! **Invariant.** What is in stock has the digest that it is asked by; what a layer has put there and does not need in
//! the end is taken back.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;

use super::spool::Spool;
use crate::content::{Error, ErrorKind, RawDocument, RawStream, Referrer, Result, Source};
use crate::oci::{Descriptor, Digest, Pin, Repository, Tag};

/// How much is read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Contents that were made, one behind the other.
pub(super) struct Stock {
    file: File,
    size_bytes: u64,
    places: HashMap<Digest, Range<u64>>,
}

impl Stock {
    pub(super) fn new(spool: &Spool) -> io::Result<Self> {
        Ok(Self {
            file: spool.file()?,
            size_bytes: 0,
            places: HashMap::new(),
        })
    }

    /// Puts the content there, unless it is there.
    pub(super) fn put(&mut self, media_type: &str, bytes: &[u8]) -> io::Result<Descriptor> {
        let descriptor = Descriptor::of(media_type, bytes);
        if !self.places.contains_key(&descriptor.digest) {
            self.file.write_all_at(bytes, self.size_bytes)?;
            let end = self.size_bytes + bytes.len() as u64;
            let place = self.size_bytes..end;
            self.places.insert(descriptor.digest.clone(), place);
            self.size_bytes = end;
        }
        Ok(descriptor)
    }

    pub(super) fn read(&self, digest: &Digest) -> io::Result<Vec<u8>> {
        let place = self.places.get(digest).ok_or(io::ErrorKind::NotFound)?;
        let length = usize::try_from(place.end - place.start).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, place.start)?;
        Ok(bytes)
    }

    /// Where the next content will stand.
    pub(super) fn mark(&self) -> u64 {
        self.size_bytes
    }

    /// Takes back what was put there since.
    pub(super) fn take_back(&mut self, mark: u64) -> io::Result<()> {
        self.places.retain(|_, place| place.start < mark);
        self.size_bytes = mark;
        self.file.set_len(mark)
    }
}

/// The stock when nothing more is put there.
pub(super) struct StockSource {
    stock: Arc<Stock>,
    spool: Spool,
}

impl StockSource {
    pub(super) fn new(stock: Stock, spool: Spool) -> Self {
        Self {
            stock: Arc::new(stock),
            spool,
        }
    }
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "the spool has no names")
}

#[async_trait]
impl Source for StockSource {
    async fn open(
        &self,
        _: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<RawStream> {
        let absent = || Error::not_found(format!("the spool has no `{}`", descriptor.digest));
        let place = self
            .stock
            .places
            .get(&descriptor.digest)
            .ok_or_else(absent)?;
        let wanted = place.start + range.start..place.end.min(place.start + range.end);
        let (stock, spool) = (Arc::clone(&self.stock), self.spool.clone());
        let pieces = stream::try_unfold(wanted, move |wanted| {
            let (stock, spool) = (Arc::clone(&stock), spool.clone());
            async move {
                let length = (wanted.end - wanted.start).min(PIECE_BYTES);
                if length == 0 {
                    return Ok(None);
                }
                let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
                let read = stock.file.read_exact_at(&mut bytes, wanted.start);
                read.map_err(|cause| spool.failed(cause))?;
                Ok(Some((
                    Bytes::from(bytes),
                    wanted.start + length..wanted.end,
                )))
            }
        });
        Ok(RawStream::new(pieces))
    }

    async fn has(&self, _: &Repository, descriptor: &Descriptor) -> Result<bool> {
        Ok(self.stock.places.contains_key(&descriptor.digest))
    }

    async fn manifest(&self, _: &Repository, _: &Pin) -> Result<RawDocument> {
        Err(unsupported())
    }

    async fn tags(&self, _: &Repository) -> Result<Vec<Tag>> {
        Err(unsupported())
    }

    async fn repositories(&self) -> Result<Vec<Repository>> {
        Err(unsupported())
    }

    async fn referrers(&self, _: &Repository, _: &Digest) -> Result<Vec<Referrer>> {
        Err(unsupported())
    }
}
