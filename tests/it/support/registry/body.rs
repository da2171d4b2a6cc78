//! Bodies of replies on their way out: counted, and where a test wants it cut off or stalled.

use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::Shared;
use super::fault::Fault;

const PIECE_BYTES: usize = 64 << 10;
/// How often the server may flush before a connection is cut, so that the bytes before the cut arrive.
const FLUSHES: usize = 32;

type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// `bytes` as the body of the reply to request `row`, as far as `fault` lets them.
pub(super) fn outgoing(
    shared: &Arc<Shared>,
    row: usize,
    bytes: Bytes,
    fault: Option<&Fault>,
) -> Body {
    let (bytes, end) = match fault {
        Some(Fault::CutDownload(at)) => (first(&bytes, *at), End::Cut),
        Some(Fault::StallDownload(at)) => (first(&bytes, *at), End::Stall),
        _ => (bytes, End::Whole),
    };
    let log = Arc::clone(shared);
    let counted = pieces(bytes).inspect(move |piece| {
        let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        log.log.note(row, |request| request.sent_bytes += length);
    });
    let ending = Ending {
        shared: Arc::clone(shared),
        row,
    };
    let ended = stream::poll_fn(move |_| {
        let _until_here = &ending;
        Poll::Ready(None)
    });
    Body::from_stream(counted.chain(end.stream()).chain(ended))
}

/// Notes the end when the body is dropped: the server does not ask for more than the announced length.
struct Ending {
    shared: Arc<Shared>,
    row: usize,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let note = |request: &mut super::log::Request| request.ended = Some(Instant::now());
        self.shared.log.note(self.row, note);
    }
}

fn first(bytes: &Bytes, count: u64) -> Bytes {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    bytes.slice(..count.min(bytes.len()))
}

fn pieces(bytes: Bytes) -> Pieces {
    stream::iter((0..bytes.len()).step_by(PIECE_BYTES).map(move |start| {
        let end = (start + PIECE_BYTES).min(bytes.len());
        Ok(bytes.slice(start..end))
    }))
    .boxed()
}

enum End {
    Whole,
    Cut,
    Stall,
}

impl End {
    fn stream(self) -> Pieces {
        match self {
            Self::Whole => stream::empty().boxed(),
            Self::Stall => stream::pending().boxed(),
            Self::Cut => stream::once(async {
                for _ in 0..FLUSHES {
                    tokio::task::yield_now().await;
                }
                Err(io::Error::from(io::ErrorKind::ConnectionAborted))
            })
            .boxed(),
        }
    }
}

/// The same body with the fault in its bytes.
pub(super) fn distorted(bytes: Bytes, fault: &Fault) -> Bytes {
    match fault {
        Fault::FlipByte(at) if !bytes.is_empty() => {
            let mut bytes = bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1;
            bytes.into()
        }
        Fault::Longer(by) => {
            let length = bytes.len() + by;
            let mut bytes = bytes.to_vec();
            bytes.resize(length, b'+');
            bytes.into()
        }
        Fault::Shorter(by) => bytes.slice(..bytes.len().saturating_sub(*by)),
        Fault::Body(other) => other.clone(),
        _ => bytes,
    }
}
