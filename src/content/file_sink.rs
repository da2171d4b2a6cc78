//! Writes pieces into a file on a thread of its own, so that hashing and writing overlap.
//!
//! Bounded: when the disk is slower than the network, the sender waits.

use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, IoSlice, Write};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Error, ErrorKind, Result};

/// Batches that wait to be written. A batch is what became of one piece from the network, so this is a few MiB.
const BATCHES_AHEAD: usize = 16;
/// What is written with one call, at most: as many slices as a call may have.
const SLICES_MAX: usize = 1024;

/// The disk begins to write after so many bytes, so that little is left to wait for at the end.
const FLUSH_DISTANCE_BYTES: usize = 8 << 20;

/// Makes what was written durable on a thread of its own, while more is being written. The thread has let go of the
/// file when this is dropped: as long as anybody has it open, a lock on it lasts.
struct Flushing {
    wanted: Option<std::sync::mpsc::SyncSender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
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
        let thread = std::thread::Builder::new()
            .name("flush".to_owned())
            .spawn(flush)?;
        Ok(Self {
            wanted: Some(wanted),
            thread: Some(thread),
        })
    }

    /// Asks for it, and does not wait; one request may be open.
    fn begin(&self) {
        if let Some(wanted) = &self.wanted {
            let _ = wanted.try_send(());
        }
    }
}

impl Drop for Flushing {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A file being written.
pub struct FileSink {
    sender: mpsc::Sender<Vec<Bytes>>,
    writing: JoinHandle<std::io::Result<File>>,
    name: String,
}

/// Writes what arrives until the sender is gone. Nothing is copied on the way to the kernel.
fn write_batches(mut file: File, mut batches: mpsc::Receiver<Vec<Bytes>>) -> std::io::Result<File> {
    let mut flushing = None;
    let mut unflushed = 0;
    while let Some(mut pieces) = batches.blocking_recv() {
        while pieces.len() < SLICES_MAX
            && let Ok(more) = batches.try_recv()
        {
            pieces.extend(more);
        }
        for pieces in pieces.chunks(SLICES_MAX) {
            write_all(&mut file, pieces)?;
        }
        unflushed += pieces.iter().map(Bytes::len).sum::<usize>();
        if unflushed >= FLUSH_DISTANCE_BYTES {
            // Small files never get here, and need no thread of their own.
            match &flushing {
                None => flushing = Some(Flushing::of(&file)?),
                Some(flushing) => flushing.begin(),
            }
            unflushed = 0;
        }
    }
    Ok(file)
}

fn write_all(file: &mut File, pieces: &[Bytes]) -> std::io::Result<()> {
    let is_filled = |piece: &&Bytes| !piece.is_empty();
    let slices = pieces.iter().filter(is_filled);
    let mut slices: Vec<IoSlice> = slices.map(|piece| IoSlice::new(piece)).collect();
    let mut slices = &mut slices[..];
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(IoErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == IoErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl FileSink {
    /// Takes over a new, empty file; `name` is what messages call it.
    pub fn new(file: File, name: String) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let writing = tokio::task::spawn_blocking(move || write_batches(file, batches));
        Self {
            sender,
            writing,
            name,
        }
    }

    pub async fn write(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        if self.sender.send(pieces).await.is_ok() {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The next writer in this process found the file locked by the one before, now and then.
    #[test]
    fn a_lock_on_the_file_ends_with_its_writer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("object.partial");
        for _ in 0..50 {
            let file = File::create(&path).unwrap();
            file.try_lock().unwrap();
            let flushing = Flushing::of(&file).unwrap();
            flushing.begin();
            drop((flushing, file));
            let again = File::options().write(true).open(&path).unwrap();
            again.try_lock().unwrap();
        }
    }
}
