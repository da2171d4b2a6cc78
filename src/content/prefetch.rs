//! Reads contents in a given order, ahead of the consumer, within a fixed window of memory.
//!
//! Every content is cut into pieces of at most 4 MiB, and a few pieces are in flight at once: several small
//! contents, or several ranges of one large content, with the same few lines. The order of delivery is the
//! order given, so what is written does not depend on which answer came first.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::plan::PlannedBlob;
use super::{Error, ErrorKind, Events, RawStream, Result, Source, VerifiedStream};

const PIECE_BYTES: u64 = 4 << 20;
/// With the piece size this is the window: 32 MiB, less what the consumer holds.
const PIECES_IN_FLIGHT: usize = 6;

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

/// One piece of one content.
struct Piece {
    blob: Arc<PlannedBlob>,
    is_first: bool,
    fetch: AbortOnDropHandle<Result<Vec<Bytes>>>,
}

fn cut(blob: PlannedBlob) -> impl Iterator<Item = (Arc<PlannedBlob>, u64)> {
    let count = blob.descriptor.size.div_ceil(PIECE_BYTES).max(1);
    let blob = Arc::new(blob);
    (0..count).map(move |number| (Arc::clone(&blob), number))
}

async fn read_ahead(
    sources: Vec<Arc<dyn Source>>,
    blobs: Vec<PlannedBlob>,
    streams: mpsc::Sender<VerifiedStream>,
    events: Events,
) {
    let mut pieces = stream::iter(blobs.into_iter().flat_map(cut))
        .map(|(blob, number)| {
            let source = Arc::clone(&sources[blob.place.source]);
            let fetched = fetch(source, Arc::clone(&blob), number);
            let fetch = AbortOnDropHandle::new(tokio::spawn(fetched));
            async move {
                Piece {
                    blob,
                    is_first: number == 0,
                    fetch,
                }
            }
        })
        .buffered(PIECES_IN_FLIGHT);
    let mut consumer: Option<mpsc::Sender<Result<Bytes>>> = None;
    while let Some(piece) = pieces.next().await {
        if piece.is_first {
            let (sender, stream) = make_stream(&piece.blob, &events);
            if streams.send(stream).await.is_err() {
                return;
            }
            consumer = Some(sender);
        }
        let Some(sender) = &consumer else { continue };
        if hand_over(sender, piece.fetch).await.is_err() {
            // The consumer has given this content up; its remaining pieces are dropped.
            consumer = None;
        }
    }
}

async fn fetch(source: Arc<dyn Source>, blob: Arc<PlannedBlob>, number: u64) -> Result<Vec<Bytes>> {
    let start = number * PIECE_BYTES;
    let end = blob.descriptor.size.min(start + PIECE_BYTES);
    let raw = source
        .open(&blob.place.repository, &blob.descriptor, start..end)
        .await?;
    let pieces = raw.collect(end - start).await?;
    let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    if length == end - start {
        Ok(pieces)
    } else {
        Err(Error::unverified(format!(
            "content `{}` should be {} bytes long and ends after {}",
            blob.descriptor.digest,
            blob.descriptor.size,
            start + length
        )))
    }
}

fn make_stream(
    blob: &PlannedBlob,
    events: &Events,
) -> (mpsc::Sender<Result<Bytes>>, VerifiedStream) {
    let (sender, receiver) = mpsc::channel(1);
    let raw = RawStream::new(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }));
    let stream = VerifiedStream::new(raw, blob.descriptor.clone()).with_events(Arc::clone(events));
    (sender, stream)
}

async fn hand_over(
    consumer: &mpsc::Sender<Result<Bytes>>,
    fetch: AbortOnDropHandle<Result<Vec<Bytes>>>,
) -> Result<(), ()> {
    let fetched = fetch.await.unwrap_or_else(|cause| {
        Err(Error::new(ErrorKind::Failed, "reading ahead ended unexpectedly").with_cause(cause))
    });
    match fetched {
        Ok(pieces) => {
            for piece in pieces {
                consumer.send(Ok(piece)).await.map_err(drop)?;
            }
            Ok(())
        }
        Err(error) => {
            let _ = consumer.send(Err(error)).await;
            Err(())
        }
    }
}
