//! The places in the references where the literals of a segment belong: its prefix for the compressor.
//!
//! A changed file is a literal between two copies, and its old version lies in the gap between the same two copies in
//! the reference. The gaps, widened while there is room, are what the literals are compressed against.

use super::segment::Place;

/// Literals shorter than this have nothing to find in a prefix: the time stamp in a header, for one.
const MIN_RUN_BYTES: u64 = 64;

/// A gap is taken as a whole when it is not longer than four times its literal and this many bytes.
const GAP_SLACK_BYTES: u64 = 1 << 20;

/// How much of a reference is taken beside a literal whose gap is not known: a guess, and no better further away.
const GUESS_BYTES: u64 = 256 << 10;

/// From this many literals on a prefix is worth its time only where most of them are known to belong somewhere: copies
/// that are neighbours by accident are in every layer.
const GUESSED_LITERALS_MAX: u64 = 1 << 20;

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

/// The most bytes of places in the prefix of one segment. More were measured to gain less than shorter segments do.
const PREFIX_BYTES: usize = 8 << 20;

/// From this much of the references on, another segment serves literals better than a longer prefix.
const CORE_BYTES: u64 = 4 << 20;

/// The most places in the prefix of one segment.
pub(super) const MAX_PLACES_PER_SEGMENT: usize = 1024;

/// How long the places for so many literals may be: few literals are not worth reading a long prefix for.
fn budget_bytes(literal_bytes: usize) -> usize {
    PREFIX_BYTES.min(8 * literal_bytes + (1 << 20))
}

/// A position in a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) reference: usize,
    pub(super) offset: u64,
}

/// Where the literals of one segment belong.
#[derive(Default)]
pub(super) struct Neighbourhood {
    cores: Vec<Stretch>,
    bytes: u64,
    /// How many literals lie in a gap, and for how many that is a guess.
    known_literals: u64,
    guessed_literals: u64,
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
            self.known_literals += length;
            self.push(before, gap);
            return;
        }
        self.guessed_literals += length;
        let length = length.min(GUESS_BYTES);
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
        self.bytes >= CORE_BYTES || self.cores.len() >= MAX_PLACES_PER_SEGMENT
    }

    fn push(&mut self, start: Point, length: u64) {
        let stretch = Stretch {
            reference: start.reference,
            start: start.offset,
            end: start.offset + length,
        };
        let before = self.cores.last().map_or(0, Stretch::length);
        if self.cores.last_mut().is_some_and(|last| last.join(stretch)) {
            self.bytes += self.cores.last().map_or(0, Stretch::length) - before;
        } else if self.cores.len() < MAX_PLACES_PER_SEGMENT {
            self.bytes += length;
            self.cores.push(stretch);
        }
    }

    /// The places for so many bytes of literals, by reference and offset, as wide as is worth it.
    pub(super) fn choose(mut self, sizes_bytes: &[u64], literal_bytes: usize) -> Vec<Place> {
        let is_guess = self.guessed_literals > 2 * self.known_literals;
        if is_guess && self.guessed_literals > GUESSED_LITERALS_MAX {
            return Vec::new();
        }
        let budget_bytes = budget_bytes(literal_bytes);
        self.cores.sort_by_key(|core| (core.reference, core.start));
        let widened = SLACKS
            .iter()
            .map(|slack| widen(&self.cores, *slack, sizes_bytes));
        let fits = |stretches: &Vec<Stretch>| {
            let bytes: u64 = stretches.iter().map(Stretch::length).sum();
            bytes <= budget_bytes as u64
        };
        let mut narrowest = Vec::new();
        for stretches in widened {
            let is_fitting = fits(&stretches);
            narrowest = stretches;
            if is_fitting {
                break;
            }
        }
        clip(&narrowest, budget_bytes)
    }
}

/// The bytes of a reference from `start` to `end`.
#[derive(Clone, Copy)]
struct Stretch {
    reference: usize,
    start: u64,
    end: u64,
}

impl Stretch {
    fn length(&self) -> u64 {
        self.end - self.start
    }

    /// Takes in `next` when it starts in this stretch or a little after it.
    fn join(&mut self, next: Self) -> bool {
        let is_near = (self.start..=self.end + JOIN_BYTES).contains(&next.start);
        let is_joined = self.reference == next.reference && is_near;
        if is_joined {
            self.end = self.end.max(next.end);
        }
        is_joined
    }
}

/// The `cores`, which are sorted, with `slack` bytes more on both sides, joined where they meet.
fn widen(cores: &[Stretch], slack: u64, sizes_bytes: &[u64]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for core in cores {
        let size_bytes = sizes_bytes[core.reference];
        let wider = Stretch {
            start: core.start.saturating_sub(slack).min(size_bytes),
            end: (core.end + slack).min(size_bytes),
            ..*core
        };
        if !stretches.last_mut().is_some_and(|last| last.join(wider)) {
            stretches.push(wider);
        }
    }
    stretches
}

/// The first stretches up to `budget_bytes`, as places.
fn clip(stretches: &[Stretch], budget_bytes: usize) -> Vec<Place> {
    let mut left = budget_bytes;
    let mut places = Vec::new();
    for stretch in stretches {
        let length = usize::try_from(stretch.length()).map_or(left, |length| length.min(left));
        left -= length;
        if length > 0 {
            places.push(Place {
                reference: stretch.reference,
                offset: stretch.start,
                length,
            });
        }
    }
    places
}
