//! Levels 2 to 9 remember every place where four bytes were seen, newest first, as far back as the window reaches.
//!
//! A search walks the chain of a hash for a bounded number of places and takes the longest match, of equal ones the
//! nearest; four bytes alone count only within 4,096 bytes.
//!
//! Places are counted in 32 bits from before the window slides; long before they run out, they are counted anew, and
//! those that left the window are forgotten, which changes no output.

use super::super::alphabet::{MAX_MATCH_BYTES, WINDOW_BYTES};
use super::{Level, new_table};

/// Matches are looked for by this many bytes, and none is shorter.
pub(super) const LEAST_MATCH_BYTES: usize = 4;
/// A match of no more than [`LEAST_MATCH_BYTES`] is taken up to this distance.
const SHORT_MATCH_REACH_BYTES: usize = 4096;
const HASH_BITS: u32 = 17;
/// Where places begin to be counted; zero stands for none.
const FIRST_PLACE: u32 = 1;
/// Places are counted anew when the window begins behind this one.
pub(super) const LAST_PLACE: u32 = u32::MAX - 4 * WINDOW_BYTES as u32;

/// How hard a level looks for matches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// How many places a search looks at.
    pub(super) tries: usize,
    /// A match of this length ends a search, in bytes.
    pub(super) nice_bytes: usize,
    pub(super) choice: Choice,
}

/// What is done with a match that was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Choice {
    /// It is taken. Places within it are remembered when it is no longer than this.
    First { remembered_bytes: usize },
    /// It is held back for one byte when it is shorter than this, and a longer one there wins.
    Longer { sought_below_bytes: usize },
}

impl Effort {
    /// What Go does at a level; level 1 does not search.
    pub(super) fn of(level: Level) -> Option<Self> {
        let first = |remembered_bytes| Choice::First { remembered_bytes };
        let longer = |sought_below_bytes| Choice::Longer { sought_below_bytes };
        let (tries, nice_bytes, choice) = match level.get() {
            2 => (8, 16, first(5)),
            3 => (32, 32, first(6)),
            4 => (16, 16, longer(4)),
            5 => (32, 32, longer(16)),
            6 => (128, 128, longer(16)),
            7 => (256, 128, longer(32)),
            8 => (1024, 258, longer(128)),
            9 => (4096, 258, longer(258)),
            _ => return None,
        };
        Some(Self {
            tries,
            nice_bytes,
            choice,
        })
    }
}

/// A match: how many bytes, how far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) length: usize,
    pub(super) distance: usize,
}

/// The places that were seen, by the hash of four bytes.
#[derive(Debug)]
pub(super) struct Chains {
    /// The newest place of each hash.
    newest: Box<[u32; 1 << HASH_BITS]>,
    /// For each position in the window, the place before it with the same hash.
    older: Box<[u32; WINDOW_BYTES]>,
    /// The place of the first byte of the window's buffer.
    first_place: u32,
}

impl Chains {
    pub(super) fn new() -> Self {
        Self::starting_at(FIRST_PLACE)
    }

    /// Counts places from `first_place`, which is not zero.
    pub(super) fn starting_at(first_place: u32) -> Self {
        Self {
            newest: new_table(),
            older: new_table(),
            first_place,
        }
    }

    /// Remembers a position, and gives the newest one before it with the same hash, if the buffer still has it.
    #[inline]
    pub(super) fn insert(&mut self, buffer: &[u8], position: usize) -> Option<usize> {
        let bytes = u32::from_be_bytes(four_bytes(buffer, position));
        let newest =
            &mut self.newest[(bytes.wrapping_mul(0x1e35_a7bd) >> (32 - HASH_BITS)) as usize];
        let before = std::mem::replace(newest, self.first_place + position as u32);
        self.older[position % WINDOW_BYTES] = before;
        before
            .checked_sub(self.first_place)
            .map(|position| position as usize)
    }

    /// Looks for the longest match with what lies at `position`, beginning with the place `newest`. `buffer` ends where
    /// matches must, with four bytes or more ahead.
    pub(super) fn find_longest(
        &self,
        buffer: &[u8],
        position: usize,
        newest: usize,
        effort: Effort,
    ) -> Option<Match> {
        let ahead = &buffer[position..buffer.len().min(position + MAX_MATCH_BYTES)];
        let nice_bytes = effort.nice_bytes.min(ahead.len());
        let mut best = Match {
            length: LEAST_MATCH_BYTES - 1,
            distance: 0,
        };
        let mut telling_bytes = four_bytes(ahead, 0);
        for source in self.sources(position, newest).take(effort.tries) {
            // A better source has one byte more in common; together with those before it, that rules most out.
            if four_bytes(buffer, source + best.length + 1 - LEAST_MATCH_BYTES) != telling_bytes {
                continue;
            }
            let length = common_bytes(&buffer[..position + ahead.len()], position, source);
            let distance = position - source;
            let is_worth_it = length > LEAST_MATCH_BYTES || distance <= SHORT_MATCH_REACH_BYTES;
            if length > best.length && is_worth_it {
                best = Match { length, distance };
                if length >= nice_bytes {
                    break;
                }
                telling_bytes = four_bytes(ahead, length + 1 - LEAST_MATCH_BYTES);
            }
        }
        (best.length >= LEAST_MATCH_BYTES).then_some(best)
    }

    /// The positions with the same hash that are within the window of `position`, beginning with the newest.
    #[inline]
    fn sources(&self, position: usize, newest: usize) -> impl Iterator<Item = usize> {
        let older = move |source: &usize| {
            if position - source >= WINDOW_BYTES {
                // What came before this source was overwritten by the position itself.
                return None;
            }
            let place = self.older[source % WINDOW_BYTES];
            place
                .checked_sub(self.first_place)
                .map(|source| source as usize)
        };
        let is_near = move |source: &usize| position - source <= WINDOW_BYTES;
        std::iter::successors(Some(newest), older).take_while(is_near)
    }

    /// Follows the buffer, whose first [`WINDOW_BYTES`] are dropped.
    pub(super) fn slide(&mut self) {
        self.first_place += WINDOW_BYTES as u32;
        if self.first_place > LAST_PLACE {
            let excess = self.first_place - FIRST_PLACE;
            for place in self.newest.iter_mut().chain(self.older.iter_mut()) {
                *place = place.saturating_sub(excess);
            }
            self.first_place = FIRST_PLACE;
        }
    }
}

/// The bytes by which matches are looked for, of which as many lie ahead of every position that is looked at.
#[inline]
pub(super) fn four_bytes(buffer: &[u8], position: usize) -> [u8; LEAST_MATCH_BYTES] {
    let bytes = buffer[position..].first_chunk().copied();
    bytes.expect("no position is looked at with less ahead")
}

/// How many bytes from `position` to the end of the buffer are the same as those from `source`, which is before it.
#[inline]
pub(super) fn common_bytes(buffer: &[u8], position: usize, source: usize) -> usize {
    let ahead = &buffer[position..];
    let behind = &buffer[source..][..ahead.len()];
    let mut common = 0;
    while let (Some(a), Some(b)) = (
        ahead[common..].first_chunk(),
        behind[common..].first_chunk(),
    ) {
        let difference = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if difference != 0 {
            return common + difference.trailing_zeros() as usize / 8;
        }
        common += 8;
    }
    let rest = ahead[common..].iter().zip(&behind[common..]);
    common + rest.take_while(|(a, b)| a == b).count()
}
