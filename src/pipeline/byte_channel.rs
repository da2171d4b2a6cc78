//! Bytes between asynchronous streams and threads that read and write as files are read and written.
//!
//! **Invariant.** A few pieces wait at most. Who reads learns of the other side's failure before the end of the
//! bytes, and who writes when nobody reads any more.

use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::content::{Error, RawStream, Result, VerifiedStream};

const PIECES_WAITING_MAX: usize = 8;
const PIECE_BYTES: usize = 256 << 10;

type Piece = Result<Bytes>;

/// The bytes of a verified stream, for a thread. Whoever has read to the end has read the content.
pub(super) struct StreamReader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    /// What ended the stream, for whoever asks afterwards.
    error: Option<Error>,
}

/// Hands a stream to a thread: the reader is for that, and the future is to be awaited beside it.
pub(super) fn read_stream(
    mut stream: VerifiedStream,
) -> (StreamReader, impl Future<Output = ()> + Send) {
    let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
    let reader = StreamReader {
        pieces,
        current: Bytes::new(),
        error: None,
    };
    let feeding = async move {
        while let Some(piece) = stream.next().await {
            let is_over = piece.is_err();
            if sender.send(piece).await.is_err() || is_over {
                return;
            }
        }
    };
    (reader, feeding)
}

impl StreamReader {
    /// The error that ended the stream, if one did.
    pub(super) fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }
}

impl Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => self.current = piece,
                Some(Err(error)) => {
                    self.error = Some(error);
                    return Err(io::Error::other("the content could not be read"));
                }
            }
        }
        let count = buffer.len().min(self.current.len());
        buffer[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// What a thread writes, as a stream: `skip_bytes` at the beginning are left out.
pub(super) struct StreamWriter {
    pieces: mpsc::Sender<Piece>,
    current: BytesMut,
    skip_bytes: u64,
}

pub(super) fn write_stream(skip_bytes: u64) -> (StreamWriter, RawStream) {
    let (pieces, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    let writer = StreamWriter {
        pieces,
        current: BytesMut::with_capacity(PIECE_BYTES),
        skip_bytes,
    };
    let stream = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    (writer, RawStream::new(stream))
}

impl StreamWriter {
    /// Ends the stream: with what is left, or with the error.
    pub(super) fn finish(mut self, written: Result<()>) {
        let last = match written {
            Ok(()) if self.current.is_empty() => return,
            Ok(()) => Ok(self.current.split().freeze()),
            Err(error) => Err(error),
        };
        // Where nobody reads any more, nobody wants to know.
        let _ = self.pieces.blocking_send(last);
    }
}

impl Write for StreamWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped =
            usize::try_from(self.skip_bytes).map_or(bytes.len(), |it| it.min(bytes.len()));
        self.skip_bytes -= skipped as u64;
        self.current.extend_from_slice(&bytes[skipped..]);
        if self.current.len() >= PIECE_BYTES {
            let piece = self.current.split().freeze();
            let sent = self.pieces.blocking_send(Ok(piece));
            sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
