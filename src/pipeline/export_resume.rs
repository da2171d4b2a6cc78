//! What of an interrupted export is at the store already, and what of that the next run can build on.
//!
//! Pure: the plan and what the ledger remembers go in, what is kept comes out.
//!
//! **Invariants.** Kept is only what lies within entries whose content was verified to its end; the bytes of one
//! that was not may be wrong. A blob that is cut over volumes is verified behind its last part. Everything else is
//! read again and takes the place of what is there.

use std::collections::HashSet;

use crate::bundle::{FinishedEntry, Slice};
use crate::content::{Plan, PlannedBlob, Uploaded};

/// One volume as an interrupted run has left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftVolume {
    /// What the store has.
    pub uploaded: Uploaded,
    /// In their order, from the first one on.
    pub entries: Vec<FinishedEntry>,
}

impl LeftVolume {
    /// Where the volume goes on.
    pub(super) fn start(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.end_offset)
    }

    /// How many parts, and how many entries lying wholly in them, can be kept.
    fn count_kept(&self) -> (usize, usize) {
        let finished = self.start();
        let mut parts_bytes = 0;
        let mut parts = 0;
        for part in &self.uploaded.parts {
            if parts_bytes + part.size_bytes > finished {
                break;
            }
            parts_bytes += part.size_bytes;
            parts += 1;
        }
        let is_within = |entry: &&FinishedEntry| entry.end_offset <= parts_bytes;
        (parts, self.entries.iter().take_while(is_within).count())
    }

    fn keep(&mut self, (parts, entries): (usize, usize)) {
        self.uploaded.parts.truncate(parts);
        self.entries.truncate(entries);
    }
}

/// Cuts what is left of each volume to what can be kept. A volume without entries has nothing to build on.
pub(super) fn keep_what_fits(
    plan: &Plan,
    volumes: &[Vec<Slice>],
    mut left: Vec<LeftVolume>,
) -> Vec<LeftVolume> {
    for (left, slices) in left.iter_mut().zip(volumes) {
        let is_planned = |(entry, slice): &(&FinishedEntry, &Slice)| is_of(plan, entry, slice);
        let planned = left.entries.iter().zip(slices).take_while(is_planned);
        let planned = planned.count();
        left.entries.truncate(planned);
    }
    while drop_unfinished_blobs(volumes, &mut left) {}
    for left in &mut left {
        left.keep(left.count_kept());
    }
    left
}

/// Drops the entries from the first part on whose blob was not finished.
fn drop_unfinished_blobs(volumes: &[Vec<Slice>], left: &mut [LeftVolume]) -> bool {
    let unfinished = find_unfinished_blobs(volumes, left);
    let mut has_dropped = false;
    for (left, slices) in left.iter_mut().zip(volumes) {
        let is_finished =
            |slice: &&Slice| slice.part.is_none() || !unfinished.contains(&slice.blob);
        let finished = slices.iter().take_while(is_finished).count();
        has_dropped |= finished < left.entries.len();
        left.entries.truncate(finished);
    }
    has_dropped
}

fn find_unfinished_blobs(volumes: &[Vec<Slice>], left: &[LeftVolume]) -> HashSet<usize> {
    let unfinished = volumes.iter().zip(left).flat_map(|(slices, left)| {
        let behind = &slices[left.entries.len()..];
        behind.iter().filter(|slice| slice.part.is_some())
    });
    unfinished.map(|slice| slice.blob).collect()
}

fn is_of(plan: &Plan, entry: &FinishedEntry, slice: &Slice) -> bool {
    let blob: &PlannedBlob = &plan.blobs[slice.blob];
    let (row, descriptor) = (&entry.row, &blob.descriptor);
    let repositories = row.repositories.iter().map(|position| *position as usize);
    let is_same_part = match (&row.part, &slice.part) {
        (None, None) => true,
        (Some(found), Some(part)) => {
            let size = part.range.end - part.range.start;
            (found.number, found.of, found.size) == (part.number, part.of, size)
        }
        _ => false,
    };
    is_same_part
        && row.digest == descriptor.digest
        && row.size == descriptor.size
        && *row.media_type == *descriptor.media_type
        && repositories.eq(blob.repositories.iter().copied())
}
