//! How level 5 finds matches: two hash tables over a window that moves in steps.
//!
//! The short table knows, by a hash of 4 bytes, the last place where they were seen; the long one, by a hash of 7
//! bytes, the last two places. The first place that looks like a match is taken, with few looks around it. Searching
//! speeds up while nothing is found, and most positions inside a match are never entered, so what is found depends on
//! where the segments begin, on when the window moves, and on the dictionary: all of these are kept as they were.
//!
//! It knows nothing of codes and blocks: what it finds goes into [`Tokens`].
//!
//! Invariants: a position in a table is absolute (the index in the window plus `base`), below that of the byte under
//! search unless it was entered ahead of it, and positions out of [`REACH`] are never followed.

use super::Family;
use super::tokens::Tokens;
use super::window::{Match, Window, index};

/// The longest segment that is searched at once.
pub(super) const SEGMENT_BYTES: usize = 65_535;
/// Matches begin fewer bytes back than this.
const REACH: u32 = 1 << 15;
/// The capacity of the window: when a segment does not fit, all but the last [`REACH`] bytes go.
const WINDOW_BYTES: usize = 5 * SEGMENT_BYTES;
/// Nothing is searched for so near to the end of a segment.
const END_MARGIN: u32 = 11;
/// Segments shorter than this are not searched.
const SHORTEST_SEGMENT: usize = 13;
/// A match shorter than this is compared with the one that its end suggests.
const SHORT_MATCH: u32 = 30;
/// One more byte is skipped for each 64 bytes in which nothing was found.
const SKIP_SHIFT: u32 = 6;
const TABLE_BITS: u32 = 15;
/// Absolute positions are brought down once they have passed this.
pub(super) const BASE_LIMIT: u32 = 1 << 31;

const TABLE_HAS_ALL: &str = "a table is made with an entry for each hash";

/// An entry for each hash.
type Table<T> = Box<[T; 1 << TABLE_BITS]>;

/// The two last places of one hash of seven bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    last: u32,
    before: u32,
}

/// What the search returns: the match, and the position that it would have looked at next.
struct Found {
    candidate: Match,
    next_at: u32,
}

/// The window and the tables of level 5.
pub(super) struct Matcher {
    window: Vec<u8>,
    tables: Tables,
    /// How many bytes at its beginning the match suggested by an end may miss.
    missed_at_start: u32,
}

struct Tables {
    short: Table<u32>,
    long: Table<Places>,
    /// The absolute position of the window's first byte.
    base: u32,
}

impl Matcher {
    /// An empty window that knows nothing.
    pub(super) fn new(family: Family) -> Self {
        Self::starting_at(REACH, family)
    }

    /// Likewise, with another absolute position for the first byte; it is no less than [`REACH`].
    pub(super) fn starting_at(base: u32, family: Family) -> Self {
        Self {
            window: Vec::with_capacity(WINDOW_BYTES),
            tables: Tables {
                short: empty_table().try_into().expect(TABLE_HAS_ALL),
                long: empty_table().try_into().expect(TABLE_HAS_ALL),
                base,
            },
            missed_at_start: if family == Family::From1_15_0 { 0 } else { 2 },
        }
    }

    /// Forgets everything that was seen.
    pub(super) fn reset(&mut self) {
        self.window.clear();
        self.tables.short.fill(0);
        self.tables.long.fill(Places::default());
        self.tables.base = REACH;
    }

    /// Searches `segment` (at most [`SEGMENT_BYTES`]) and appends what it is made of to `tokens`; nothing is appended
    /// when no match was found.
    pub(super) fn tokenize(&mut self, segment: &[u8], tokens: &mut Tokens) {
        let start = self.take_in(segment);
        if segment.len() < SHORTEST_SEGMENT {
            return;
        }
        let window = Window {
            bytes: &self.window,
            search_end: index(self.window.len()) - END_MARGIN,
        };
        let mut pending = start;
        let mut at = start;
        let mut word = window.word(at);
        while let Some(found) = self.tables.find(&window, at, word, pending) {
            let best = window.widen(
                self.tables
                    .follow_end(&window, found.candidate, self.missed_at_start),
                pending,
            );
            tokens.push_literals(&window.bytes[pending as usize..best.at as usize]);
            tokens.push_match(best.length as usize, (best.at - best.from) as usize);
            pending = best.at + best.length;
            at = pending.max(found.next_at + 1);
            if at >= window.search_end {
                break;
            }
            self.tables.enter_inside(&window, at - best.length, at);
            let before = window.word(at - 1);
            self.tables.enter(before, at - 1);
            word = before >> 8;
        }
        if !tokens.is_empty() {
            tokens.push_literals(&window.bytes[pending as usize..]);
        }
    }

    /// Appends a segment to the window, moving it first when the segment does not fit, and returns where it begins.
    fn take_in(&mut self, segment: &[u8]) -> u32 {
        if self.window.len() + segment.len() > WINDOW_BYTES {
            let dropped = self.window.len() - REACH as usize;
            self.window.drain(..dropped);
            self.tables.advance(index(dropped));
        }
        let start = index(self.window.len());
        self.window.extend_from_slice(segment);
        start
    }
}

impl Tables {
    /// Enters `position` under both hashes of the bytes that are there.
    #[inline]
    fn enter(&mut self, word: u64, at: u32) {
        self.short[hash_4(word)] = self.base + at;
        self.enter_long(word, at);
    }

    #[inline]
    fn enter_long(&mut self, word: u64, at: u32) {
        let places = &mut self.long[hash_7(word)];
        *places = Places {
            last: self.base + at,
            before: places.last,
        };
    }

    /// Looks for the first match from `at` on, whose bytes are `word`; `pending` is where the search began.
    #[inline]
    fn find(&mut self, window: &Window<'_>, at: u32, mut word: u64, pending: u32) -> Option<Found> {
        let mut next_at = at;
        loop {
            let at = next_at;
            next_at = at + 1 + ((at - pending) >> SKIP_SHIFT);
            if next_at > window.search_end {
                return None;
            }
            let short_slot = &mut self.short[hash_4(word)];
            let long_slot = &mut self.long[hash_7(word)];
            let (short, long) = (*short_slot, *long_slot);
            *short_slot = self.base + at;
            *long_slot = Places {
                last: self.base + at,
                before: long.last,
            };
            let next_word = window.word(next_at);
            let long_match = self.match_long(window, at, word, long);
            if let Some(candidate) = long_match {
                self.enter(next_word, next_at);
                return Some(Found { candidate, next_at });
            }
            if let Some(from) = self.reach(window, at, word, short) {
                let candidate = self.match_short(
                    window,
                    Match {
                        at,
                        from,
                        length: 0,
                    },
                    next_at,
                    next_word,
                );
                self.enter(next_word, next_at);
                return Some(Found { candidate, next_at });
            }
            word = next_word;
        }
    }

    /// Where the place of a table lies in the window, if it is within reach of `at` and has the same four bytes.
    #[inline]
    fn reach(&self, window: &Window<'_>, at: u32, word: u64, place: u32) -> Option<u32> {
        let distance = self.base + at - place;
        (distance < REACH && window.has(at - distance, word)).then(|| at - distance)
    }

    /// The match of a hash of seven bytes. Its older place counts when the last one has other bytes, or is shorter.
    #[inline]
    fn match_long(&self, window: &Window<'_>, at: u32, word: u64, places: Places) -> Option<Match> {
        if self.base + at - places.last >= REACH {
            return None;
        }
        let older = self.reach(window, at, word, places.before);
        let Some(from) = self.reach(window, at, word, places.last) else {
            return older.map(|from| window.measured(at, from));
        };
        let last = Match {
            at,
            from,
            length: window.weighed(at, from),
        };
        let best = older
            .map(|from| Match {
                at,
                from,
                length: window.weighed(at, from),
            })
            .filter(|older| older.length > last.length);
        Some(window.completed(best.unwrap_or(last)))
    }

    /// The match of a hash of four bytes, or a longer one of seven bytes at the next position.
    #[inline]
    fn match_short(
        &self,
        window: &Window<'_>,
        found: Match,
        next_at: u32,
        next_word: u64,
    ) -> Match {
        let length = window.weighed(found.at, found.from);
        let places = self.long[hash_7(next_word)];
        let mut best = Match { length, ..found };
        if self.base + next_at - places.last < REACH {
            for place in [places.last, places.before] {
                let Some(from) = self.reach(window, next_at, next_word, place) else {
                    continue;
                };
                let length = window.weighed(next_at, from);
                if length > best.length {
                    best = Match {
                        at: next_at,
                        from,
                        length,
                    };
                    break;
                }
            }
        }
        window.completed(best)
    }

    /// A short match is given up for the one that follows from what was last seen after its end, if that is longer.
    #[inline]
    fn follow_end(&self, window: &Window<'_>, found: Match, missed: u32) -> Match {
        let end = found.at + found.length;
        if found.length >= SHORT_MATCH || end >= window.search_end {
            return found;
        }
        let distance = (self.base + end).wrapping_sub(self.long[hash_7(window.word(end))].last);
        let at = found.at + missed;
        if distance == 0 || distance >= REACH || distance > at {
            return found;
        }
        let from = at - distance;
        let length = window.common(at, from, u32::MAX);
        if length > found.length {
            Match { at, from, length }
        } else {
            found
        }
    }

    /// Enters some of the positions between `start`, where a match began, and `end`, where the search goes on.
    #[inline]
    fn enter_inside(&mut self, window: &Window<'_>, start: u32, end: u32) {
        let first = start + 1;
        if first + 1 >= end {
            return;
        }
        let word = window.word(first);
        self.enter(word, first);
        self.enter_long(word >> 8, first + 1);
        self.short[hash_4(word >> 16)] = self.base + first + 2;
        for at in (first + 4..end - 1).step_by(3) {
            let word = window.word(at);
            self.enter_long(word, at);
            self.short[hash_4(word >> 8)] = self.base + at + 1;
        }
    }

    /// The window has lost its first bytes. When positions have grown far, all are brought down: those that fall
    /// below zero are out of reach already.
    fn advance(&mut self, dropped: u32) {
        self.base += dropped;
        if self.base < BASE_LIMIT {
            return;
        }
        let excess = self.base - REACH;
        for place in self.short.iter_mut() {
            *place = place.saturating_sub(excess);
        }
        for places in self.long.iter_mut() {
            *places = Places {
                last: places.last.saturating_sub(excess),
                before: places.before.saturating_sub(excess),
            };
        }
        self.base = REACH;
    }
}

fn empty_table<T: Clone + Default>() -> Box<[T]> {
    vec![T::default(); 1 << TABLE_BITS].into_boxed_slice()
}

#[inline]
fn hash_4(word: u64) -> usize {
    ((((word & 0xFFFF_FFFF) * 2_654_435_761) & 0xFFFF_FFFF) >> (32 - TABLE_BITS)) as usize
}

#[inline]
fn hash_7(word: u64) -> usize {
    ((word << 8).wrapping_mul(58_295_818_150_454_627) >> (64 - TABLE_BITS)) as usize
}
