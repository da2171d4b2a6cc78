//! Reads contents in a given order, ahead of the consumer, within a fixed window of memory.
//!
//! Every content is cut into pieces, and a few pieces are in flight at once: several small contents, or several
//! ranges of one large content, with the same few lines. Each piece may run ahead of the consumer by 6 MiB and
//! then waits. The order of delivery is the order given, so what is written does not depend on which answer came
//! first, nor on how the contents were cut.
//!
//! **How long a piece is.** Many short pieces hide a slow connection, and cost a registry several milliseconds
//! each; so pieces are short until the road has shown that it is fast, and long while it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::plan::PlannedBlob;
use super::{Error, ErrorKind, Events, RawStream, Result, Source, VerifiedStream};

/// A short piece is not longer than what may run ahead, so it never keeps a connection waiting.
const SHORT_PIECE_BYTES: u64 = 4 << 20;
const LONG_PIECE_BYTES: u64 = 32 << 20;
const AHEAD_MAX_BYTES: u32 = 6 << 20;
/// Reads from the network that wait for the consumer, of some hundred KiB each, so that the two need not take turns.
const READS_AT_CONSUMER: usize = 8;
/// With what a piece may run ahead this is the window: 24 MiB of short pieces, 36 MiB of long ones.
const PIECES_IN_FLIGHT: usize = 6;

/// The road is judged each time that so much has passed.
const PACE_DISTANCE_BYTES: u64 = 16 << 20;
/// Several times what one connection to a distant registry yields.
const FAST_BYTES_PER_SECOND: f64 = 150e6;

/// Contents in order, being read ahead.
pub struct Prefetch {
    streams: mpsc::Receiver<VerifiedStream>,
    _reading: AbortOnDropHandle<()>,
}

impl Prefetch {
    /// Begins to read `blobs`, in their order.
    pub fn start(sources: &[Arc<dyn Source>], blobs: Vec<PlannedBlob>, events: &Events) -> Self {
        let (sender, streams) = mpsc::channel(1);
        let reading = tokio::spawn(read_ahead(
            sources.to_vec(),
            blobs,
            sender,
            Arc::clone(events),
        ));
        Self {
            streams,
            _reading: AbortOnDropHandle::new(reading),
        }
    }

    /// The next content.
    pub async fn next(&mut self) -> Result<VerifiedStream> {
        self.streams.recv().await.ok_or_else(|| {
            Error::new(
                ErrorKind::Failed,
                "reading ahead ended before the last content",
            )
        })
    }
}

/// A range of one content.
struct Piece {
    blob: Arc<PlannedBlob>,
    start: u64,
    end: u64,
}

/// Cuts contents into pieces as they are needed, of the length that is right at that moment.
struct Cutter {
    blobs: std::vec::IntoIter<PlannedBlob>,
    current: Option<(Arc<PlannedBlob>, u64)>,
    piece_bytes: Arc<AtomicU64>,
}

impl Iterator for Cutter {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let (blob, start) = match self.current.take() {
            Some(current) => current,
            None => (Arc::new(self.blobs.next()?), 0),
        };
        let size = blob.descriptor.size;
        let end = size.min(start + self.piece_bytes.load(Ordering::Relaxed));
        if end < size {
            self.current = Some((Arc::clone(&blob), end));
        }
        Some(Piece { blob, start, end })
    }
}

/// How fast bytes reach the consumer, whoever is the reason.
struct Pace {
    since: Instant,
    passed: u64,
    piece_bytes: Arc<AtomicU64>,
}

impl Pace {
    fn note(&mut self, size_bytes: usize) {
        self.passed += size_bytes as u64;
        if self.passed >= PACE_DISTANCE_BYTES {
            #[allow(clippy::cast_precision_loss, reason = "a rate need not be exact")]
            let rate = self.passed as f64 / self.since.elapsed().as_secs_f64();
            self.piece_bytes
                .store(choose_piece_bytes(rate), Ordering::Relaxed);
            self.since = Instant::now();
            self.passed = 0;
        }
    }
}

fn choose_piece_bytes(bytes_per_second: f64) -> u64 {
    if bytes_per_second >= FAST_BYTES_PER_SECOND {
        LONG_PIECE_BYTES
    } else {
        SHORT_PIECE_BYTES
    }
}

/// A piece on its way, and what it may still run ahead.
struct Fetch {
    piece: Piece,
    bytes: mpsc::UnboundedReceiver<Result<Bytes>>,
    ahead: Arc<Semaphore>,
    _fetching: AbortOnDropHandle<()>,
}

async fn read_ahead(
    sources: Vec<Arc<dyn Source>>,
    blobs: Vec<PlannedBlob>,
    streams: mpsc::Sender<VerifiedStream>,
    events: Events,
) {
    let piece_bytes = Arc::new(AtomicU64::new(SHORT_PIECE_BYTES));
    let cutter = Cutter {
        blobs: blobs.into_iter(),
        current: None,
        piece_bytes: Arc::clone(&piece_bytes),
    };
    let mut pace = Pace {
        since: Instant::now(),
        passed: 0,
        piece_bytes,
    };
    let mut turn = None;
    let mut fetches = stream::iter(cutter)
        .map(|piece| {
            let source = Arc::clone(&sources[piece.blob.place.source]);
            let (fetch, opened) = start_fetch(source, piece, turn.take());
            turn = Some(opened);
            std::future::ready(fetch)
        })
        .buffered(PIECES_IN_FLIGHT);
    let mut consumer: Option<mpsc::Sender<Result<Bytes>>> = None;
    while let Some(fetch) = fetches.next().await {
        if fetch.piece.start == 0 {
            let (sender, stream) = make_stream(&fetch.piece.blob, &events);
            if streams.send(stream).await.is_err() {
                return;
            }
            consumer = Some(sender);
        }
        let Some(sender) = &consumer else { continue };
        if hand_over(sender, fetch, &mut pace).await.is_err() {
            // The consumer has given this content up; its remaining pieces are dropped.
            consumer = None;
        }
    }
}

/// Begins to fetch `piece`. A long piece opens only after the one before it: it may wait for the consumer with
/// its connection open, and the earlier one must have a connection by then.
fn start_fetch(
    source: Arc<dyn Source>,
    piece: Piece,
    turn: Option<oneshot::Receiver<()>>,
) -> (Fetch, oneshot::Receiver<()>) {
    let ahead = Arc::new(Semaphore::new(AHEAD_MAX_BYTES as usize));
    let (sender, bytes) = mpsc::unbounded_channel();
    let (opening, opened) = oneshot::channel();
    let (blob, range) = (Arc::clone(&piece.blob), piece.start..piece.end);
    let room = Arc::clone(&ahead);
    let fetching = tokio::spawn(async move {
        if let Some(turn) = turn
            && range.end - range.start > SHORT_PIECE_BYTES
        {
            let _ = turn.await;
        }
        let raw = source
            .open(&blob.place.repository, &blob.descriptor, range.clone())
            .await;
        drop(opening);
        let fetched = match raw {
            Ok(raw) => pump(raw, &blob, range.end - range.start, &room, &sender).await,
            Err(error) => Err(error),
        };
        if let Err(error) = fetched {
            let _ = sender.send(Err(error));
        }
    });
    let fetch = Fetch {
        piece,
        bytes,
        ahead,
        _fetching: AbortOnDropHandle::new(fetching),
    };
    (fetch, opened)
}

/// Hands on what arrives, as far ahead as there is room, and checks that it is as much as was asked for.
async fn pump(
    raw: RawStream,
    blob: &PlannedBlob,
    size: u64,
    room: &Semaphore,
    sender: &mpsc::UnboundedSender<Result<Bytes>>,
) -> Result<()> {
    let mut raw = raw.bounded(size);
    let mut arrived = 0;
    while let Some(bytes) = raw.next().await {
        let bytes = bytes?;
        arrived += bytes.len() as u64;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        // Closed or not, a semaphore that is dropped with the consumer ends this task as well.
        if let Ok(permit) = room.acquire_many(length.min(AHEAD_MAX_BYTES)).await {
            permit.forget();
        }
        if sender.send(Ok(bytes)).is_err() {
            return Ok(());
        }
    }
    if arrived == size {
        return Ok(());
    }
    Err(Error::unverified(format!(
        "content `{}` of {} bytes broke off: {arrived} of {size} bytes arrived",
        blob.descriptor.digest, blob.descriptor.size,
    )))
}

fn make_stream(
    blob: &PlannedBlob,
    events: &Events,
) -> (mpsc::Sender<Result<Bytes>>, VerifiedStream) {
    let (sender, receiver) = mpsc::channel(READS_AT_CONSUMER);
    let raw = RawStream::new(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }));
    let stream = VerifiedStream::new(raw, blob.descriptor.clone()).with_events(Arc::clone(events));
    (sender, stream)
}

async fn hand_over(
    consumer: &mpsc::Sender<Result<Bytes>>,
    mut fetch: Fetch,
    pace: &mut Pace,
) -> Result<(), ()> {
    let mut passed = 0;
    while let Some(bytes) = fetch.bytes.recv().await {
        let length = bytes.as_ref().map_or(0, Bytes::len);
        let is_error = bytes.is_err();
        consumer.send(bytes).await.map_err(drop)?;
        if is_error {
            return Err(());
        }
        fetch
            .ahead
            .add_permits(length.min(AHEAD_MAX_BYTES as usize));
        passed += length as u64;
        pace.note(length);
    }
    if passed == fetch.piece.end - fetch.piece.start {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Failed, "reading ahead ended unexpectedly");
    let _ = consumer.send(Err(error)).await;
    Err(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_long_only_on_a_fast_road() {
        assert_eq!(choose_piece_bytes(12e6), SHORT_PIECE_BYTES);
        assert_eq!(choose_piece_bytes(1e9), LONG_PIECE_BYTES);
    }
}
