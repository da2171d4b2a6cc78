//! The body of an upload: verified content on its way out, under watch.
//!
//! An upload has no time limit, but it must move. Waiting for the content does not count as standing
//! still: its source has limits of its own.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use crate::content::{self, VerifiedStream};
use crate::registry::error::{RegistryError, Result};

/// A registry may take this many times the idle time to store what it has received: some hash it, some
/// copy it.
const PATIENCE_FOR_THE_ANSWER: u32 = 5;

pub(super) fn of_content(error: content::Error) -> RegistryError {
    RegistryError::Content(Arc::new(error))
}

/// What is known of a body while it travels.
#[derive(Default)]
pub(super) struct Watch {
    moved: AtomicU64,
    is_waiting_for_content: AtomicBool,
    failure: Mutex<Option<content::Error>>,
}

impl Watch {
    /// The reason why the body ended early, where that was the content's.
    fn failure(&self) -> Option<content::Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn is_over(&self) -> bool {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.is_some()
    }

    /// Returns when nothing has moved for as long as that is not normal.
    async fn stalled(&self, length: u64, idle: Duration) {
        let mut last = 0;
        let mut quiet = 0;
        loop {
            tokio::time::sleep(idle).await;
            let moved = self.moved.load(Ordering::Relaxed);
            let is_waiting = self.is_waiting_for_content.load(Ordering::Relaxed);
            quiet = if moved != last || is_waiting {
                0
            } else {
                quiet + 1
            };
            last = moved;
            let patience = if moved >= length {
                PATIENCE_FOR_THE_ANSWER
            } else {
                1
            };
            if quiet >= patience {
                return;
            }
        }
    }

    /// Awaits the answer to a request whose body of `length` bytes is under this watch.
    pub(super) async fn over<T>(
        &self,
        host: &str,
        length: u64,
        idle: Duration,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let done = tokio::select! {
            done = answer => done,
            () = self.stalled(length, idle) => Err(RegistryError::Silent {
                host: host.to_owned(),
                after: idle,
            }),
        };
        // A broken content breaks the connection too, and is the better thing to tell.
        match (done, self.failure()) {
            (Err(_), Some(failure)) => Err(of_content(failure)),
            (done, _) => done,
        }
    }
}

/// Verified content as the body of a request.
pub(super) fn from_content(stream: VerifiedStream, watch: &Arc<Watch>) -> reqwest::Body {
    reqwest::Body::wrap_stream(Watched {
        stream,
        watch: Arc::clone(watch),
    })
}

/// Bytes that have been read already as the body of a request, without joining them.
pub(super) fn from_pieces(pieces: Vec<Bytes>, watch: &Arc<Watch>) -> reqwest::Body {
    let watch = Arc::clone(watch);
    reqwest::Body::wrap_stream(stream::iter(pieces).map(move |piece| {
        watch.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Ok::<_, std::convert::Infallible>(piece)
    }))
}

/// The next at least `size` bytes of `stream`; fewer only at its end. The first of them may come from
/// `rest`, where what is too much is kept.
pub(super) async fn gather(
    stream: &mut VerifiedStream,
    rest: &mut Option<Bytes>,
    size: u64,
) -> Result<(Vec<Bytes>, u64)> {
    let mut pieces = Vec::new();
    let mut length = 0;
    while length < size {
        let piece = match rest.take() {
            Some(piece) => Some(piece),
            None => stream.try_next().await.map_err(of_content)?,
        };
        let Some(mut piece) = piece else { break };
        let room = usize::try_from(size - length).unwrap_or(usize::MAX);
        if piece.len() > room {
            *rest = Some(piece.split_off(room));
        }
        length += piece.len() as u64;
        pieces.push(piece);
    }
    Ok((pieces, length))
}

struct Watched {
    stream: VerifiedStream,
    watch: Arc<Watch>,
}

/// The connection's own word for it; the reason is with the watch.
#[derive(Debug, thiserror::Error)]
#[error("the content ended early")]
struct ContentFailed;

impl Stream for Watched {
    type Item = Result<Bytes, ContentFailed>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.watch.is_over() {
            return Poll::Ready(None);
        }
        let waiting = &Arc::clone(&self.watch).is_waiting_for_content;
        waiting.store(true, Ordering::Relaxed);
        let next = ready!(self.stream.poll_next_unpin(cx));
        waiting.store(false, Ordering::Relaxed);
        Poll::Ready(match next {
            Some(Ok(piece)) => {
                let moved = &self.watch.moved;
                moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Some(Ok(piece))
            }
            Some(Err(error)) => {
                let mut failure = self
                    .watch
                    .failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *failure = Some(error);
                Some(Err(ContentFailed))
            }
            None => None,
        })
    }
}
