//! A source that answers late, wrongly or not at all, for one blob or for all.

use std::ops::Range;
use std::sync::Arc;

use airlift::content::{
    Error, ErrorKind, Memory, RawDocument, RawStream, Referrer, Result, Source,
};
use airlift::oci::{Descriptor, Digest, Pin, Repository, Tag};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;

use crate::support::artifacts::Dice;

/// What is wrong with a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Warp {
    /// The source says an error instead of the first byte.
    Refused,
    /// The connection breaks after this many bytes of the blob.
    BrokenAt(u64),
    /// The blob ends after this many bytes, and nothing says why.
    EndsAt(u64),
    /// The byte at this place is another one.
    Flipped(u64),
    /// More bytes come than were asked for.
    TooLong,
}

/// Memory as seen through a bad line.
pub(crate) struct Warped {
    memory: Arc<Memory>,
    fault: Option<(Digest, Warp)>,
    /// Answers wait for a number of turns that this decides.
    seed: u64,
}

impl Warped {
    pub(crate) fn at(memory: &Arc<Memory>, digest: &Digest, warp: Warp) -> Arc<Self> {
        Arc::new(Self {
            memory: Arc::clone(memory),
            fault: Some((digest.clone(), warp)),
            seed: 0,
        })
    }

    pub(crate) fn late(memory: &Arc<Memory>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            memory: Arc::clone(memory),
            fault: None,
            seed,
        })
    }

    /// Lets others go first, more or less often.
    async fn dawdle(&self, what: &Digest, start: u64) {
        let mark = u64::from_str_radix(&what.hex()[..12], 16).unwrap_or(0);
        for _ in 0..Dice::new(self.seed ^ mark ^ start).below(20) {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Source for Warped {
    async fn manifest(&self, repository: &Repository, pin: &Pin) -> Result<RawDocument> {
        self.memory.manifest(repository, pin).await
    }

    async fn open(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<RawStream> {
        self.dawdle(&descriptor.digest, range.start).await;
        let fault = self.fault.as_ref();
        let Some((_, warp)) = fault.filter(|(digest, _)| *digest == descriptor.digest) else {
            return self.memory.open(repository, descriptor, range).await;
        };
        let (_, contents) = self.memory.snapshot();
        let whole = &contents[&(repository.clone(), descriptor.digest.clone())];
        warp.open(whole, range)
    }

    async fn has(&self, repository: &Repository, descriptor: &Descriptor) -> Result<bool> {
        self.memory.has(repository, descriptor).await
    }

    async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>> {
        self.memory.tags(repository).await
    }

    async fn repositories(&self) -> Result<Vec<Repository>> {
        self.memory.repositories().await
    }

    async fn referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Referrer>> {
        self.memory.referrers(repository, subject).await
    }
}

impl Warp {
    fn open(self, whole: &Bytes, range: Range<u64>) -> Result<RawStream> {
        let at = |offset: u64| usize::try_from(offset).expect("small").min(whole.len());
        let wanted = |end: u64| {
            let end = at(range.end.min(end));
            whole.slice(at(range.start).min(end)..end)
        };
        let broken = || Err(Error::new(ErrorKind::Failed, "the connection broke"));
        let pieces = match self {
            Self::Refused => return Err(Error::new(ErrorKind::Failed, "the source is tired")),
            Self::BrokenAt(end) if range.end > end => vec![Ok(wanted(end)), broken()],
            Self::EndsAt(end) => vec![Ok(wanted(end))],
            Self::Flipped(place) if range.contains(&place) => {
                let mut bytes = wanted(u64::MAX).to_vec();
                bytes[at(place) - at(range.start)] ^= 1;
                vec![Ok(bytes.into())]
            }
            Self::TooLong => vec![Ok(wanted(u64::MAX)), Ok(Bytes::from_static(b"more"))],
            Self::BrokenAt(_) | Self::Flipped(_) => vec![Ok(wanted(u64::MAX))],
        };
        Ok(RawStream::new(stream::iter(pieces)))
    }
}
