//! Whether a file is the content that its name says: read from the disk and hashed.
//!
//! Bytes go through one buffer, on threads that may block, and a call that is given up ends with the step
//! that it is in.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::content::{Error, Result};
use crate::oci::{Descriptor, Digest, Hasher};

const BUFFER_BYTES: usize = 256 << 10;
/// Hashed in one go; small enough to end soon, and large enough for the change of threads not to matter.
const BUFFERS_PER_STEP: usize = 32;

/// The blobs that this process has hashed, when it wrote them or found them there.
#[derive(Default)]
pub(super) struct Proven(Mutex<HashSet<Digest>>);

impl Proven {
    fn lock(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn holds(&self, digest: &Digest) -> bool {
        self.lock().contains(digest)
    }

    pub(super) fn add(&self, digest: &Digest) {
        self.lock().insert(digest.clone());
    }
}

struct Step {
    file: File,
    hasher: Hasher,
    buffer: Vec<u8>,
    hashed_bytes: u64,
}

impl Step {
    /// Says whether there is more.
    fn run(&mut self, size: u64) -> std::io::Result<bool> {
        for _ in 0..BUFFERS_PER_STEP {
            let count = self.file.read(&mut self.buffer)?;
            self.hasher.update(&self.buffer[..count]);
            self.hashed_bytes += count as u64;
            if count == 0 || self.hashed_bytes > size {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether the bytes of `file`, which messages call `name`, are the content of `descriptor`.
pub(super) async fn is_content(file: File, descriptor: &Descriptor, name: &str) -> Result<bool> {
    let failed = |cause| Error::io(format!("cannot read `{name}`"), cause);
    let size = descriptor.size;
    let mut step = Step {
        file,
        hasher: Hasher::new(descriptor.digest.algorithm()),
        buffer: vec![0; BUFFER_BYTES],
        hashed_bytes: 0,
    };
    loop {
        let done = tokio::task::spawn_blocking(move || {
            let goes_on = step.run(size)?;
            Ok((step, goes_on))
        });
        let (after, goes_on) = done
            .await
            .map_err(|cause| failed(std::io::Error::other(cause)))?
            .map_err(failed)?;
        step = after;
        if !goes_on {
            let is_whole = step.hashed_bytes == size;
            return Ok(is_whole && step.hasher.finish() == descriptor.digest);
        }
    }
}
