//! What is noted of a copy while it arrives, so that a run that goes on with it trusts nothing blindly.
//!
//! The record is a hidden file beside the partial one: the digest of the origin (its name, version and size), then
//! one line with the SHA-256 of every chunk of 4 MiB, in order. It is written beside the data and in no order with
//! it, because none is needed: what counts is only what is read back and agrees. So a record that is torn, stale or
//! ahead of the data costs chunks, and never lets a wrong one pass. It guards against accidents; against whoever can
//! write to the directory the signatures do, at the import.

use std::fs::File;
use std::io::{Read, Result as IoResult, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::container::Origin;
use crate::oci::{Algorithm, Digest, Hasher};

const CHUNK_BYTES: usize = 4 << 20;
/// Copies smaller than this are begun anew.
pub(super) const RECORDED_MIN_BYTES: u64 = 2 * CHUNK_BYTES as u64;
/// The hexadecimal digits of a digest, and the end of the line.
const LINE_BYTES: u64 = 65;
/// Batches that wait to be hashed.
const BATCHES_AHEAD: usize = 16;

/// The name of the record of an object's partial file.
pub(super) fn name_for(object: &str) -> String {
    format!(".{object}.record")
}

fn line(digest: &Digest) -> String {
    format!("{}\n", digest.hex())
}

/// Bytes at the start of the partial file that are what arrived of this version.
pub(super) fn prove(partial: &File, record: &File, origin: &Origin) -> u64 {
    let length_max = (origin.size_bytes / CHUNK_BYTES as u64 + 1) * LINE_BYTES;
    let mut lines = String::new();
    let mut record = record.take(length_max);
    if record.read_to_string(&mut lines).is_err() {
        return 0;
    }
    let mut lines = lines.split_inclusive('\n');
    if lines.next() != Some(&line(&origin.digest())) {
        return 0;
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut proven = 0;
    for expected in lines {
        let is_there = partial.read_exact_at(&mut chunk, proven).is_ok();
        if !is_there || line(&Digest::sha256(&chunk)) != expected {
            break;
        }
        proven += CHUNK_BYTES as u64;
    }
    proven
}

/// A record being written, on a thread of its own.
pub(super) struct PartialRecord {
    sender: mpsc::Sender<Vec<Bytes>>,
    writing: JoinHandle<IoResult<()>>,
}

impl PartialRecord {
    /// Into a new, empty file.
    pub(super) fn begin(mut file: File, origin: &Origin) -> IoResult<Self> {
        file.write_all(line(&origin.digest()).as_bytes())?;
        Ok(Self::of(file))
    }

    /// Behind the lines of what is proven.
    pub(super) fn go_on(mut file: File, proven_bytes: u64) -> IoResult<Self> {
        let length = (1 + proven_bytes / CHUNK_BYTES as u64) * LINE_BYTES;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        Ok(Self::of(file))
    }

    fn of(file: File) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let writing = tokio::task::spawn_blocking(move || write_lines(file, batches));
        Self { sender, writing }
    }

    /// The next bytes of the object. A record that cannot be written stands still, and the copy goes on.
    pub(super) async fn note(&self, pieces: Vec<Bytes>) {
        let _ = self.sender.send(pieces).await;
    }

    pub(super) async fn finish(self) {
        let Self { sender, writing } = self;
        drop(sender);
        if let Ok(Err(error)) = writing.await {
            tracing::debug!(%error, "the record of a partial file is not complete");
        }
    }
}

fn write_lines(mut file: File, mut batches: mpsc::Receiver<Vec<Bytes>>) -> IoResult<()> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut hashed = 0;
    while let Some(pieces) = batches.blocking_recv() {
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(CHUNK_BYTES - hashed));
                hasher.update(now);
                hashed += now.len();
                rest = later;
                if hashed == CHUNK_BYTES {
                    let whole = std::mem::replace(&mut hasher, Hasher::new(Algorithm::Sha256));
                    file.write_all(line(&whole.finish()).as_bytes())?;
                    hashed = 0;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::content::Version;

    fn origin(version: &str) -> Origin {
        Origin {
            name: "source/object".to_owned(),
            version: Version::new(version),
            size_bytes: 3 * CHUNK_BYTES as u64 + 5,
        }
    }

    #[tokio::test]
    async fn only_what_agrees_is_proven() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * CHUNK_BYTES + 5).collect();
        fs::write(path("partial"), &bytes).unwrap();
        let file = File::create(path("record")).unwrap();
        let record = PartialRecord::begin(file, &origin("1")).unwrap();
        for piece in bytes.chunks(1_000_003) {
            record.note(vec![Bytes::copy_from_slice(piece)]).await;
        }
        record.finish().await;
        let proven = |version: &str| {
            let open = |name: &str| File::options().read(true).open(path(name)).unwrap();
            prove(&open("partial"), &open("record"), &origin(version))
        };
        let chunk = CHUNK_BYTES as u64;
        assert_eq!((proven("1"), proven("2")), (3 * chunk, 0));
        let written = File::options().write(true).open(path("partial")).unwrap();
        written.set_len(2 * chunk + 7).unwrap();
        assert_eq!(proven("1"), 2 * chunk, "the data is behind the record");
        written.write_all_at(b"?", chunk + 1).unwrap();
        assert_eq!(proven("1"), chunk, "a chunk is damaged");
        fs::write(path("partial"), &bytes).unwrap();
        let record = File::options().write(true).open(path("record")).unwrap();
        record.set_len(LINE_BYTES * 3 - 1).unwrap();
        assert_eq!(proven("1"), chunk, "the last line is torn");
    }
}
