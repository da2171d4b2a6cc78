//! The only door for bytes: a stream that ends well only if its size and digest are the expected ones.
//!
//! **Invariants.** A [`RawStream`] can be made by anyone and read by nobody but this module. A
//! [`VerifiedStream`] withholds the last piece until the hash agrees, so whoever receives that piece has
//! received exactly the content of the descriptor. Each byte is hashed once.
//!
//! The running hash is kept at checkpoints, so that an upload resumed from the server's offset is verified
//! from there, without hashing from the beginning again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::{Error, Event, Events, Result, Source};
use crate::oci::{Descriptor, Hasher, Repository};

pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// How far apart the checkpoints of the running hash are.
const CHECKPOINT_DISTANCE_BYTES: u64 = 16 << 20;

/// Bytes as a source delivers them: unverified, and out of reach outside this module.
pub struct RawStream(ByteStream);

impl RawStream {
    pub fn new(stream: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }

    /// The stream itself, for pieces whose hash is taken later and in order; more than `size_max` bytes are an
    /// error.
    pub(super) fn bounded(self, size_max: u64) -> ByteStream {
        let mut size = 0;
        Box::pin(self.0.map(move |piece| {
            let piece = piece?;
            size += piece.len() as u64;
            if size > size_max {
                return Err(Error::unverified(format!(
                    "more than the expected {size_max} bytes arrived"
                )));
            }
            Ok(piece)
        }))
    }
}

/// Hash states by the number of bytes that they cover, in ascending order.
type Checkpoints = Arc<Mutex<Vec<(u64, Hasher)>>>;

/// One piece of content at a source, ready to be read, and to be read again from the middle.
#[derive(Clone)]
pub struct Content {
    source: Arc<dyn Source>,
    repository: Repository,
    descriptor: Descriptor,
    checkpoints: Checkpoints,
    events: Option<Events>,
}

impl Content {
    pub fn new(source: Arc<dyn Source>, repository: Repository, descriptor: Descriptor) -> Self {
        let start = (0, Hasher::new(descriptor.digest.algorithm()));
        Self {
            source,
            repository,
            descriptor,
            checkpoints: Arc::new(Mutex::new(vec![start])),
            events: None,
        }
    }

    /// Tells `events` of every byte that passes.
    pub fn with_events(mut self, events: Events) -> Self {
        self.events = Some(events);
        self
    }

    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The content from byte `offset` to its end. Everything before `offset` must have been read before
    /// through this value, or is read again to take its hash. What fails is marked as the source's failure.
    pub async fn open(&self, offset: u64) -> Result<VerifiedStream> {
        let (start, hasher) = self.checkpoint_before(offset);
        let raw = self
            .source
            .open(
                &self.repository,
                &self.descriptor,
                start..self.descriptor.size,
            )
            .await
            .map_err(Error::of_source)?;
        let mut stream = VerifiedStream::resumed(raw, self.descriptor.clone(), start, hasher);
        stream.checkpoints = Some(Arc::clone(&self.checkpoints));
        stream.skip_to = offset;
        stream.is_of_source = true;
        stream.events.clone_from(&self.events);
        Ok(stream)
    }

    fn checkpoint_before(&self, offset: u64) -> (u64, Hasher) {
        let checkpoints = self
            .checkpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let index = checkpoints.partition_point(|(at, _)| *at <= offset) - 1;
        checkpoints[index].clone()
    }
}

/// Bytes on their way, which end without an error only if they are the content of the descriptor.
pub struct VerifiedStream {
    raw: ByteStream,
    descriptor: Descriptor,
    seen: u64,
    hasher: Hasher,
    is_ended: bool,
    checkpoints: Option<Checkpoints>,
    events: Option<Events>,
    /// Whether it was opened from a [`Content`].
    is_of_source: bool,
    /// Bytes before this offset are hashed and not handed on.
    skip_to: u64,
    /// The last piece, held back until the source has said that nothing follows.
    withheld: Option<Bytes>,
}

impl VerifiedStream {
    /// Reads `raw` as the whole content of `descriptor`.
    pub fn new(raw: RawStream, descriptor: Descriptor) -> Self {
        let hasher = Hasher::new(descriptor.digest.algorithm());
        Self::resumed(raw, descriptor, 0, hasher)
    }

    fn resumed(raw: RawStream, descriptor: Descriptor, seen: u64, hasher: Hasher) -> Self {
        Self {
            raw: raw.0,
            descriptor,
            seen,
            hasher,
            is_ended: false,
            checkpoints: None,
            events: None,
            is_of_source: false,
            skip_to: 0,
            withheld: None,
        }
    }

    /// Tells `events` of every byte that passes.
    pub fn with_events(mut self, events: Events) -> Self {
        self.events = Some(events);
        self
    }

    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The whole content in memory. Only for content whose size has a small limit.
    pub async fn into_bytes(mut self) -> Result<Bytes> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    /// After a failure: the hash of everything that arrived, and the piece that was never handed on.
    /// For writers that must account for bytes that turned out not to be content.
    pub fn into_remains(self) -> (Hasher, Option<Bytes>) {
        (self.hasher, self.withheld)
    }

    fn take_in(&mut self, piece: &Bytes) -> Result<()> {
        let seen = self.seen + piece.len() as u64;
        if seen > self.descriptor.size {
            return Err(self.mismatch("longer than that"));
        }
        self.seen = seen;
        self.hasher.update(piece);
        if let Some(events) = &self.events {
            events(Event::Moved(piece.len() as u64));
        }
        if let Some(checkpoints) = &self.checkpoints {
            let mut checkpoints = checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
            let last = checkpoints.last().map_or(0, |(at, _)| *at);
            if self.seen >= last + CHECKPOINT_DISTANCE_BYTES {
                checkpoints.push((self.seen, self.hasher.clone()));
            }
        }
        Ok(())
    }

    fn check_end(&self) -> Result<()> {
        if self.seen < self.descriptor.size {
            return Err(self.mismatch(&format!("only {} bytes long", self.seen)));
        }
        let found = self.hasher.clone().finish();
        if found != self.descriptor.digest {
            return Err(self.mismatch(&format!("other content: its digest is `{found}`")));
        }
        Ok(())
    }

    fn mismatch(&self, what: &str) -> Error {
        Error::unverified(format!(
            "content `{}` of {} bytes is {what}",
            self.descriptor.digest, self.descriptor.size
        ))
    }

    /// The part of `piece`, which ends at `self.seen`, that lies at or behind `skip_to`.
    fn wanted_part(&self, mut piece: Bytes) -> Bytes {
        let start = self.seen - piece.len() as u64;
        if self.skip_to > start {
            let skipped = usize::try_from(self.skip_to - start).unwrap_or(usize::MAX);
            drop(piece.split_to(skipped.min(piece.len())));
        }
        piece
    }

    /// What to hand on after the source has given `next`; `None` to ask it again.
    fn advance(&mut self, next: Option<Result<Bytes>>) -> Result<Option<Bytes>> {
        let Some(piece) = next.transpose()? else {
            self.check_end()?;
            self.is_ended = true;
            return Ok(self.withheld.take());
        };
        if piece.is_empty() {
            return Ok(None);
        }
        self.take_in(&piece)?;
        let piece = self.wanted_part(piece);
        if piece.is_empty() {
            return Ok(None);
        }
        Ok(self.withheld.replace(piece))
    }
}

impl Stream for VerifiedStream {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let this = self.get_mut();
        while !this.is_ended {
            let next = ready!(this.raw.poll_next_unpin(cx));
            match this.advance(next) {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) => {}
                Err(error) => {
                    this.is_ended = true;
                    let error = match this.is_of_source {
                        true => error.of_source(),
                        false => error,
                    };
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}
