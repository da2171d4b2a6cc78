//! Writes pieces into a file on a thread of its own, so that hashing and writing overlap.
//!
//! Bounded: when the disk is slower than the network, the sender waits.

use std::fs::File;
use std::io::{BufWriter, Write};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Error, ErrorKind, Result};

/// Pieces that wait to be written; block headers of frames are pieces too, so this is a few MiB at most.
const PIECES_AHEAD: usize = 64;
const BUFFER_BYTES: usize = 256 << 10;

/// The disk begins to write after so many bytes, so that little is left to wait for at the end.
const FLUSH_DISTANCE_BYTES: usize = 32 << 20;

/// Makes what was written durable on a thread of its own, while more is being written.
struct Flushing {
    wanted: std::sync::mpsc::SyncSender<()>,
}

impl Flushing {
    fn of(file: &File) -> std::io::Result<Self> {
        let file = file.try_clone()?;
        let (wanted, requests) = std::sync::mpsc::sync_channel::<()>(1);
        let flush = move || {
            while requests.recv().is_ok() {
                // The sync at the end tells what went wrong; this one only begins early.
                let _ = file.sync_data();
            }
        };
        std::thread::Builder::new()
            .name("flush".to_owned())
            .spawn(flush)?;
        Ok(Self { wanted })
    }

    /// Asks for it, and does not wait; one request may be open.
    fn begin(&self) {
        let _ = self.wanted.try_send(());
    }
}

/// A file being written.
pub struct FileSink {
    sender: mpsc::Sender<Bytes>,
    writing: JoinHandle<std::io::Result<File>>,
    name: String,
}

impl FileSink {
    /// Takes over a new, empty file; `name` is what messages call it.
    pub fn new(file: File, name: String) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(PIECES_AHEAD);
        let writing = tokio::task::spawn_blocking(move || {
            let mut flushing = None;
            let mut writer = BufWriter::with_capacity(BUFFER_BYTES, file);
            let mut unflushed = 0;
            while let Some(piece) = receiver.blocking_recv() {
                writer.write_all(&piece)?;
                unflushed += piece.len();
                if unflushed >= FLUSH_DISTANCE_BYTES {
                    // Small files never get here, and need no thread of their own.
                    match &flushing {
                        None => flushing = Some(Flushing::of(writer.get_ref())?),
                        Some(flushing) => flushing.begin(),
                    }
                    unflushed = 0;
                }
            }
            let file = writer
                .into_inner()
                .map_err(std::io::IntoInnerError::into_error)?;
            Ok(file)
        });
        Self {
            sender,
            writing,
            name,
        }
    }

    pub async fn write(&mut self, piece: Bytes) -> Result<()> {
        if self.sender.send(piece).await.is_ok() {
            return Ok(());
        }
        // The thread ends before its channel only when writing has failed.
        match (&mut self.writing).await {
            Ok(Err(cause)) => Err(self.failed(cause)),
            _ => Err(Error::new(
                ErrorKind::Failed,
                format!("cannot write `{}`", self.name),
            )),
        }
    }

    /// Waits until everything is written, and makes it durable.
    pub async fn finish(self) -> Result<File> {
        let Self {
            sender,
            writing,
            name,
        } = self;
        drop(sender);
        let failed = |cause| Error::io(format!("cannot write `{name}`"), cause);
        let joined = writing
            .await
            .map_err(|cause| failed(std::io::Error::other(cause)))?;
        let file = joined.map_err(failed)?;
        let synced = tokio::task::spawn_blocking(move || file.sync_data().map(|()| file)).await;
        synced
            .map_err(|cause| failed(std::io::Error::other(cause)))?
            .map_err(failed)
    }

    fn failed(&self, cause: std::io::Error) -> Error {
        Error::io(format!("cannot write `{}`", self.name), cause)
    }
}
