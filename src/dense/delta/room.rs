//! Large memory that is taken from the operating system, and given back to it at once.
//!
//! Not a `Vec`: whenever memory of some size is freed, glibc keeps what comes after it of that size in the heap of a thread
//! (`M_MMAP_THRESHOLD` in mallopt(3)), and with a few threads that take turns at segments those heaps add up.

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Bytes with room for more, up to a capacity that stays.
pub(super) struct Room {
    map: Option<MmapMut>,
    length: usize,
}

impl Room {
    pub(super) fn with_capacity(capacity_bytes: usize) -> Self {
        let map = (capacity_bytes > 0).then(|| map(capacity_bytes));
        Self { map, length: 0 }
    }

    fn capacity(&self) -> usize {
        self.map.as_ref().map_or(0, |map| map.len())
    }

    /// Empties it, and makes it larger where it is smaller than `capacity_bytes`.
    pub(super) fn reset(&mut self, capacity_bytes: usize) {
        if self.capacity() < capacity_bytes {
            // What was there goes first, so that the two are never there together.
            self.map = None;
            *self = Self::with_capacity(capacity_bytes);
        }
        self.length = 0;
    }

    /// Appends `length` zeros or what was there before, within the capacity, to be written over.
    pub(super) fn grow(&mut self, length: usize) -> &mut [u8] {
        let start = self.length;
        self.length += length;
        match &mut self.map {
            Some(map) => &mut map[start..start + length],
            None => &mut [],
        }
    }

    /// Appends `bytes`, within the capacity.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.grow(bytes.len()).copy_from_slice(bytes);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |map| &map[..self.length])
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        let length = self.length;
        self.map.as_mut().map_or(&mut [], |map| &mut map[..length])
    }
}

/// Ends the process where there is no memory, as every allocation does.
fn map(bytes: usize) -> MmapMut {
    let map = MmapMut::map_anon(bytes).unwrap_or_else(|_| {
        handle_alloc_error(Layout::array::<u8>(bytes).unwrap_or(Layout::new::<u8>()))
    });
    // Pages of 2 MiB are a twentieth of the time of a delta less. Where there are none, small ones serve too.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    map
}
