//! Compressors at work beside the matcher: a few segments at once, handed on in order.
//!
//! What a segment compresses to depends on nothing but its job, so that the number of threads changes no byte.

use std::collections::VecDeque;
use std::io;
use std::thread::{Scope, ScopedJoinHandle};

use super::error::{Error, Result};
use super::frame::Buffers;
use super::make::Options;
use super::room::Room;
use super::segment::Place;
use super::source::ReadAt;

/// The most segments that are compressed at once, whatever the machine has: each takes some 60 MiB.
const MAX_COMPRESSORS: usize = 2;

/// A segment as a frame, and what it was compressed in.
struct Compressed {
    frame: Vec<u8>,
    buffers: Buffers,
}

/// The segments that are being compressed, the oldest first.
pub(super) struct Pool<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    references: &'env [&'env dyn ReadAt],
    level: i32,
    running: VecDeque<ScopedJoinHandle<'scope, Result<Compressed>>>,
    idle: Vec<Buffers>,
    sink: &'env mut dyn FnMut(Vec<u8>) -> io::Result<()>,
}

impl<'scope, 'env> Pool<'scope, 'env> {
    /// A pool whose segments go to `sink`.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        references: &'env [&'env dyn ReadAt],
        options: Options,
        sink: &'env mut dyn FnMut(Vec<u8>) -> io::Result<()>,
    ) -> Self {
        let compressors = options.threads.clamp(1, MAX_COMPRESSORS);
        Self {
            scope,
            references,
            level: options.level,
            running: VecDeque::new(),
            idle: (0..compressors).map(|_| Buffers::new()).collect(),
            sink,
        }
    }

    /// Starts on a segment of all `literals`, after the oldest one is done if all threads are busy. They become empty.
    pub(super) fn submit(&mut self, literals: &mut Room, places: &[Place]) -> Result<()> {
        if self.idle.is_empty() {
            self.collect()?;
        }
        let mut buffers = self.idle.pop().unwrap_or_else(Buffers::new);
        std::mem::swap(&mut buffers.literals, literals);
        literals.truncate(0);
        let (references, level) = (self.references, self.level);
        let places = places.to_vec();
        let compressor = self.scope.spawn(move || {
            let frame = buffers.compress(&places, references, level)?;
            Ok(Compressed { frame, buffers })
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
        let Compressed { frame, buffers } = oldest
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        self.idle.push(buffers);
        (self.sink)(frame).map_err(|source| Error::Write {
            what: "a segment",
            source,
        })
    }
}
