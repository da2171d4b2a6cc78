//! The places in the references where the literals of a segment belong: its prefix for the compressor.
//!
//! A changed file is a literal between two copies, and its old version lies in the gap between the same two copies in
//! the reference. The gaps, widened while there is room, are what the literals are compressed against.

use super::limits::MAX_PREFIX_BYTES;
use super::recipe::Place;

/// Literals shorter than this have nothing to find in a prefix: the time stamp in a header, for one.
const MIN_RUN_BYTES: u64 = 64;

/// A gap is taken as a whole when it is not longer than four times its literal and this many bytes.
const GAP_SLACK_BYTES: u64 = 1 << 20;

/// Places that are nearer to each other than this become one.
const JOIN_BYTES: u64 = 4 << 10;

/// How far places are widened on both sides, the first that fits.
const SLACKS: [u64; 12] = [
    8 << 20,
    4 << 20,
    2 << 20,
    1 << 20,
    512 << 10,
    256 << 10,
    128 << 10,
    64 << 10,
    32 << 10,
    16 << 10,
    4 << 10,
    0,
];

/// The most places in the prefix of one segment.
pub(super) const MAX_PLACES_PER_SEGMENT: usize = 1024;

/// A position in a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) reference: usize,
    pub(super) offset: u64,
}

/// Where the literals of one segment belong.
#[derive(Default)]
pub(super) struct Neighbourhood {
    cores: Vec<Place>,
    bytes: u64,
}

impl Neighbourhood {
    /// Takes in a literal of `length` bytes that stands after `before` and, if its end is known, before `after`.
    pub(super) fn add(&mut self, length: u64, before: Option<Point>, after: Option<Point>) {
        if length < MIN_RUN_BYTES {
            return;
        }
        if let (Some(before), Some(after)) = (before, after)
            && before.reference == after.reference
            && let Some(gap) = after.offset.checked_sub(before.offset)
            && gap <= 4 * length + GAP_SLACK_BYTES
        {
            self.push(before, gap);
            return;
        }
        if let Some(before) = before {
            self.push(before, length);
        }
        if let Some(after) = after {
            let offset = after.offset.saturating_sub(length);
            self.push(Point { offset, ..after }, after.offset - offset);
        }
    }

    /// Whether one more segment would serve these literals better than a longer prefix.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_PREFIX_BYTES as u64 / 4 * 3 || self.cores.len() >= MAX_PLACES_PER_SEGMENT
    }

    fn push(&mut self, start: Point, length: u64) {
        let Point { reference, offset } = start;
        let end = offset + length;
        if let Some(last) = self.cores.last_mut()
            && last.reference == reference
            && is_near(*last, offset)
        {
            let joined = end.max(last.offset + last.length) - last.offset;
            self.bytes += joined - last.length;
            last.length = joined;
        } else if self.cores.len() < MAX_PLACES_PER_SEGMENT {
            self.bytes += length;
            self.cores.push(Place {
                reference,
                offset,
                length,
            });
        }
    }

    /// The places, by reference and offset, as wide as `budget_bytes` allows.
    pub(super) fn choose(mut self, sizes_bytes: &[u64], budget_bytes: u64) -> Vec<Place> {
        self.cores.sort_by_key(|core| (core.reference, core.offset));
        let widened = SLACKS
            .iter()
            .map(|slack| widen(&self.cores, *slack, sizes_bytes));
        let fits = |places: &Vec<Place>| {
            places.iter().map(|place| place.length).sum::<u64>() <= budget_bytes
        };
        let mut last = Vec::new();
        for places in widened {
            if fits(&places) {
                return places;
            }
            last = places;
        }
        clip(last, budget_bytes)
    }
}

fn is_near(place: Place, offset: u64) -> bool {
    (place.offset..=place.offset + place.length + JOIN_BYTES).contains(&offset)
}

/// The `cores`, which are sorted, with `slack` bytes more on both sides, joined where they meet.
fn widen(cores: &[Place], slack: u64, sizes_bytes: &[u64]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for core in cores {
        let size_bytes = sizes_bytes[core.reference];
        let offset = core.offset.saturating_sub(slack).min(size_bytes);
        let end = (core.offset + core.length + slack).min(size_bytes);
        match places.last_mut() {
            Some(last) if last.reference == core.reference && is_near(*last, offset) => {
                last.length = last.length.max(end - last.offset);
            }
            _ => places.push(Place {
                reference: core.reference,
                offset,
                length: end - offset,
            }),
        }
    }
    places.retain(|place| place.length > 0);
    places
}

/// The first places up to `budget_bytes`.
fn clip(mut places: Vec<Place>, budget_bytes: u64) -> Vec<Place> {
    let mut left = budget_bytes;
    for place in &mut places {
        place.length = place.length.min(left);
        left -= place.length;
    }
    places.retain(|place| place.length > 0);
    places
}
