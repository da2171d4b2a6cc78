//! Compressed bytes as they were read, against compressed bytes as they are made again.
//!
//! Both arrive in pieces, and either may be ahead: the encoder holds back what it has not decided, and sometimes
//! writes a few bytes (the head of a block) before the reader has come to them. What is ahead is kept until the other
//! side catches up. The encoder can only be ahead by what holds no plain text, so that little is kept on that side.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most bytes that the encoder may be ahead. More are a sign that it is another encoder.
const MADE_AHEAD_BYTES_MAX: usize = 256 * 1024;

/// The most bytes that the reader may be ahead for each thread of the encoder, and once more: it has two blocks of a MiB
/// at work. Streams with more in blocks of nothing are of no encoder here.
const READ_AHEAD_BYTES_PER_THREAD: usize = 3 << 20;

/// The two sides of the comparison; clones share them.
#[derive(Clone)]
pub(super) struct Comparison {
    shared: Arc<Mutex<Sides>>,
    read_ahead_bytes_max: usize,
}

#[derive(Default)]
struct Sides {
    /// Read, but not made yet.
    read_ahead: VecDeque<u8>,
    /// Made, but not read yet. At most one of the two has anything.
    made_ahead: VecDeque<u8>,
    differ: bool,
}

impl Comparison {
    /// With an encoder on so many threads.
    pub(super) fn new(threads: NonZeroUsize) -> Self {
        Self {
            shared: Arc::default(),
            read_ahead_bytes_max: READ_AHEAD_BYTES_PER_THREAD
                .saturating_mul(threads.get().saturating_add(1)),
        }
    }

    fn sides(&self) -> MutexGuard<'_, Sides> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bytes of the stream as it was read.
    pub(super) fn read(&self, bytes: &[u8]) {
        let mut sides = self.sides();
        let Sides {
            read_ahead,
            made_ahead,
            differ,
        } = &mut *sides;
        let rest = take_equal(made_ahead, bytes, differ);
        if read_ahead.len() + rest.len() > self.read_ahead_bytes_max {
            *differ = true;
            *read_ahead = VecDeque::new();
            return;
        }
        read_ahead.extend(rest);
    }

    /// Takes bytes that were made again; false once anything differs.
    pub(super) fn made(&self, bytes: &[u8]) -> bool {
        let mut sides = self.sides();
        let Sides {
            read_ahead,
            made_ahead,
            differ,
        } = &mut *sides;
        let rest = take_equal(read_ahead, bytes, differ);
        made_ahead.extend(rest);
        *differ |= made_ahead.len() > MADE_AHEAD_BYTES_MAX;
        !*differ
    }

    /// True if a difference has been seen.
    pub(super) fn differs(&self) -> bool {
        self.sides().differ
    }

    /// True if, both sides being at their end, they are the same.
    pub(super) fn is_equal(&self) -> bool {
        let sides = self.sides();
        !sides.differ && sides.read_ahead.is_empty() && sides.made_ahead.is_empty()
    }
}

/// Takes from `queue` what `bytes` begins with, and answers the bytes that the queue did not reach.
fn take_equal<'a>(queue: &mut VecDeque<u8>, bytes: &'a [u8], differ: &mut bool) -> &'a [u8] {
    if *differ {
        return &[];
    }
    let count = queue.len().min(bytes.len());
    let (front, back) = queue.as_slices();
    let in_front = count.min(front.len());
    if front[..in_front] != bytes[..in_front] || back[..count - in_front] != bytes[in_front..count]
    {
        *differ = true;
        return &[];
    }
    queue.drain(..count);
    &bytes[count..]
}

/// The side of the encoder: writing fails at the first difference, so that no encoder goes on in vain.
impl Write for Comparison {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.made(bytes) {
            true => Ok(bytes.len()),
            false => Err(io::Error::other("the compressed bytes differ")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_runs_away_differs_and_keeps_nothing() {
        let piece = vec![0; 1 << 16];
        let comparison = Comparison::new(NonZeroUsize::MIN);
        for _ in 0..50 {
            comparison.read(&piece);
        }
        assert!(!comparison.differs());
        for _ in 0..100 {
            comparison.read(&piece);
        }
        assert!(comparison.differs());
        assert_eq!(comparison.sides().read_ahead.capacity(), 0);
    }
}
