//! Compressors at work beside the matcher: as many segments at once as there are threads, handed on in order.
//!
//! What a segment compresses to depends on nothing but its job, so that the number of threads changes no byte.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use super::error::{Error, Result};
use super::frame;
use super::segment::Place;
use super::source::ReadAt;

/// One segment that is to be compressed.
pub(super) struct Job {
    pub(super) literals: Arc<Vec<u8>>,
    pub(super) places: Vec<Place>,
    pub(super) previous: Option<Arc<Vec<u8>>>,
}

/// The segments that are being compressed, the oldest first.
pub(super) struct Pool<'scope, 'env> {
    pub(super) scope: &'scope Scope<'scope, 'env>,
    pub(super) references: &'env [&'env dyn ReadAt],
    pub(super) level: i32,
    pub(super) threads: usize,
    pub(super) running: VecDeque<ScopedJoinHandle<'scope, Result<Vec<u8>>>>,
    pub(super) sink: &'env mut dyn FnMut(Vec<u8>) -> io::Result<()>,
}

impl Pool<'_, '_> {
    /// Starts on `job`, after the oldest one is done if all threads are busy.
    pub(super) fn submit(&mut self, job: Job) -> Result<()> {
        while self.running.len() >= self.threads {
            self.collect()?;
        }
        let (references, level) = (self.references, self.level);
        let compressor = self.scope.spawn(move || {
            let previous = job.previous.as_deref().map(Vec::as_slice);
            frame::compress(&job.literals, &job.places, previous, references, level)
        });
        self.running.push_back(compressor);
        Ok(())
    }

    /// Waits for all segments.
    pub(super) fn finish(mut self) -> Result<()> {
        while !self.running.is_empty() {
            self.collect()?;
        }
        Ok(())
    }

    fn collect(&mut self) -> Result<()> {
        let Some(oldest) = self.running.pop_front() else {
            return Ok(());
        };
        let frame = oldest
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        (self.sink)(frame).map_err(|source| Error::Write {
            what: "a segment",
            source,
        })
    }
}
