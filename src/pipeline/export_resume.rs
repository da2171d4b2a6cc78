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
use crate::history::CompleteUpload;

/// One volume as an interrupted run has left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftVolume {
    /// What the store has.
    pub uploaded: Uploaded,
    /// In their order, from the first one on.
    pub entries: Vec<FinishedEntry>,
    /// Where the store has its last byte, too.
    pub complete: Option<CompleteUpload>,
}

impl LeftVolume {
    /// Where the volume goes on.
    pub(super) fn start(&self) -> u64 {
        match self.complete {
            Some(_) => self.uploaded.size_bytes(),
            None => self.finished_bytes(),
        }
    }

    fn finished_bytes(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.end_offset)
    }

    /// Keeps only what lies within the finished entries.
    pub(super) fn reopen(&mut self) {
        self.complete = None;
        let (parts, entries) = self.count_kept();
        self.uploaded.parts.truncate(parts);
        self.entries.truncate(entries);
    }

    /// How many parts, and how many entries lying wholly in them, can be kept.
    fn count_kept(&self) -> (usize, usize) {
        let finished = self.finished_bytes();
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
    for (left, slices) in left.iter_mut().zip(volumes) {
        if left.complete.is_none() || left.entries.len() < slices.len() {
            left.reopen();
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::{Encoding, Part, Row, SlicePart};
    use crate::content::{Place, UploadedPart};
    use crate::oci::{Descriptor, Digest};

    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    fn plan(sizes: &[u64]) -> Plan {
        let blob = |(number, size): (usize, &u64)| PlannedBlob {
            descriptor: Descriptor::new(LAYER, Digest::sha256(&number.to_le_bytes()), *size),
            place: Place {
                source: 0,
                repository: "apps/web".parse().unwrap(),
            },
            repositories: vec![0],
        };
        Plan {
            blobs: sizes.iter().enumerate().map(blob).collect(),
            ..Plan::default()
        }
    }

    fn whole(blob: usize) -> Slice {
        Slice { blob, part: None }
    }

    fn part(blob: usize, number: u32, of: u32, range: std::ops::Range<u64>) -> Slice {
        let part = Some(SlicePart { number, of, range });
        Slice { blob, part }
    }

    /// The volume as a run has written it, of which the store has parts of these sizes.
    fn left(plan: &Plan, slices: &[Slice], parts: &[u64]) -> LeftVolume {
        let mut end_offset = 0;
        let entry = |slice: &Slice| {
            let descriptor = &plan.blobs[slice.blob].descriptor;
            let part = slice.part.as_ref().map(|part| Part {
                number: part.number,
                of: part.of,
                digest: descriptor.digest.clone(),
                size: part.range.end - part.range.start,
            });
            end_offset += part.as_ref().map_or(descriptor.size, |part| part.size);
            FinishedEntry {
                row: Row {
                    digest: descriptor.digest.clone(),
                    size: descriptor.size,
                    media_type: descriptor.media_type.clone(),
                    offset: 0,
                    encoding: Encoding::Raw,
                    repositories: vec![0],
                    part,
                },
                end_offset,
                tar_position: end_offset,
                frames: Vec::new(),
            }
        };
        let uploaded = |size_bytes: &u64| UploadedPart {
            id: String::new(),
            size_bytes: *size_bytes,
        };
        LeftVolume {
            entries: slices.iter().map(entry).collect(),
            uploaded: Uploaded {
                upload_id: "upload".to_owned(),
                parts: parts.iter().map(uploaded).collect(),
            },
            complete: None,
        }
    }

    fn complete(mut left: LeftVolume) -> LeftVolume {
        let digest = Digest::sha256(b"inventory");
        left.complete = Some(CompleteUpload {
            frame: digest.clone(),
            inventory: digest,
        });
        left
    }

    fn kept(left: &LeftVolume) -> (usize, usize, u64) {
        let (parts, entries) = (left.uploaded.parts.len(), left.entries.len());
        (parts, entries, left.start())
    }

    #[test]
    fn only_what_lies_in_finished_entries_is_kept() {
        let plan = plan(&[5, 5, 5, 5]);
        let slices: Vec<Slice> = (0..4).map(whole).collect();
        for (finished, parts, expected) in [
            // The second part ends in the last finished entry, of which a piece is given again.
            (4, &[8, 8][..], (2, 3, 15)),
            // The second part holds bytes of an entry that was not finished.
            (3, &[8, 8], (1, 1, 5)),
            (3, &[8, 7], (2, 3, 15)),
            (1, &[8], (0, 0, 0)),
            (0, &[8, 8], (0, 0, 0)),
            (4, &[], (0, 0, 0)),
            (4, &[4], (1, 0, 0)),
        ] {
            let volume = left(&plan, &slices[..finished], parts);
            let found = keep_what_fits(&plan, std::slice::from_ref(&slices), vec![volume]);
            assert_eq!(kept(&found[0]), expected, "{finished} {parts:?}");
        }
    }

    #[test]
    fn another_plan_keeps_what_is_the_same_at_its_start() {
        let before = plan(&[5, 5, 5]);
        let slices: Vec<Slice> = (0..3).map(whole).collect();
        let volume = || left(&before, &slices, &[5, 5, 5]);
        let mut after = plan(&[5, 5, 5]);
        after.blobs[1].descriptor.digest = Digest::sha256(b"other");
        let found = keep_what_fits(&after, std::slice::from_ref(&slices), vec![volume()]);
        assert_eq!(kept(&found[0]), (1, 1, 5));
        after.blobs[0].repositories.push(1);
        let found = keep_what_fits(
            &after,
            std::slice::from_ref(&slices),
            vec![complete(volume())],
        );
        assert_eq!(kept(&found[0]), (0, 0, 0));
        assert_eq!(found[0].complete, None);
    }

    /// Its digest is checked behind its last part; until then no part of it is known to be right.
    #[test]
    fn a_cut_blob_that_was_not_finished_takes_its_parts_along() {
        let plan = plan(&[2, 10, 3]);
        let volumes = [
            vec![whole(0), part(1, 1, 3, 0..4)],
            vec![part(1, 2, 3, 4..8)],
            vec![part(1, 3, 3, 8..10), whole(2)],
        ];
        let written = |finished: usize| {
            vec![
                complete(left(&plan, &volumes[0], &[6, 1])),
                complete(left(&plan, &volumes[1], &[4, 1])),
                left(&plan, &volumes[2][..finished], &[]),
            ]
        };
        let found = keep_what_fits(&plan, &volumes, written(1));
        let starts = found.iter().map(LeftVolume::start);
        assert_eq!(starts.collect::<Vec<_>>(), [7, 5, 0]);
        let found = keep_what_fits(&plan, &volumes, written(0));
        assert_eq!(found.iter().map(kept).collect::<Vec<_>>(), [(0, 0, 0); 3]);
    }
}
