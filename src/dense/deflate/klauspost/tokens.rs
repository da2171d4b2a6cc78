//! What a segment is made of, literals and matches, with the histogram of their symbols.
//!
//! The estimate of their size decides whether a table of codes is written anew, so it is a sum of single-precision
//! numbers in a fixed order, with an approximate logarithm: no other way of reckoning gives the same bytes.

use super::super::alphabet::{
    DISTANCE_EXTRA_BITS, DISTANCE_SYMBOLS, END_OF_BLOCK, FIRST_LENGTH, LENGTH_EXTRA_BITS,
    LITERAL_SYMBOLS, MAX_MATCH_BYTES, MIN_MATCH_BYTES, distance_index, length_index,
};
use super::super::token::Token;

/// Up to this length a match is cut so that what is left of it is a match.
const LAST_BUT_ONE: usize = MAX_MATCH_BYTES + MIN_MATCH_BYTES;
/// What is added to the estimate for the end of the block, in bits.
const END_OF_BLOCK_BITS: f32 = 15.0;

/// The tokens of one segment.
pub(super) struct Tokens {
    list: Vec<Token>,
    /// Whether the end of the block is one of the symbols.
    ends: bool,
    /// How often each literal and each length occurs, and the end of the block.
    pub(super) literals: [u32; LITERAL_SYMBOLS],
    /// How often each distance symbol occurs.
    pub(super) distances: [u32; DISTANCE_SYMBOLS],
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self {
            list: Vec::new(),
            ends: false,
            literals: [0; LITERAL_SYMBOLS],
            distances: [0; DISTANCE_SYMBOLS],
        }
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.ends = false;
        self.literals.fill(0);
        self.distances.fill(0);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn as_slice(&self) -> &[Token] {
        &self.list
    }

    /// How many symbols there are: literals, matches and, once it is counted, the end of the block.
    pub(super) fn symbols(&self) -> usize {
        self.list.len() + usize::from(self.ends)
    }

    #[inline]
    pub(super) fn push_literals(&mut self, bytes: &[u8]) {
        self.list
            .extend(bytes.iter().map(|byte| Token::literal(*byte)));
        for byte in bytes {
            self.literals[usize::from(*byte)] += 1;
        }
    }

    /// Appends a match of any length of 3 bytes or more, in pieces if one symbol cannot say it. No piece is too short.
    #[inline]
    pub(super) fn push_match(&mut self, mut length: usize, distance: usize) {
        while length > 0 {
            let piece = if length <= MAX_MATCH_BYTES {
                length
            } else if length <= LAST_BUT_ONE {
                MAX_MATCH_BYTES - MIN_MATCH_BYTES
            } else {
                MAX_MATCH_BYTES
            };
            length -= piece;
            self.push_piece(Token::back(piece, distance));
        }
    }

    #[inline]
    fn push_piece(&mut self, token: Token) {
        self.list.push(token);
        if let Err((length, distance)) = token.parts() {
            self.literals[FIRST_LENGTH + length_index(length)] += 1;
            self.distances[distance_index(distance)] += 1;
        }
    }

    /// Counts the end of the block among the symbols.
    pub(super) fn push_end_of_block(&mut self) {
        self.ends = true;
        self.want_end_of_block();
    }

    /// Gives the end of the block a code, though it may not be one of the symbols.
    pub(super) fn want_end_of_block(&mut self) {
        self.literals[END_OF_BLOCK] = 1;
    }

    /// How many bits the extra bits of all matches are.
    pub(super) fn extra_bits(&self) -> usize {
        let lengths = self.literals[FIRST_LENGTH..].iter().zip(LENGTH_EXTRA_BITS);
        let distances = self.distances.iter().zip(DISTANCE_EXTRA_BITS);
        lengths
            .chain(distances)
            .map(|(times, bits)| *times as usize * usize::from(bits))
            .sum()
    }

    /// The size in bits that codes made for these tokens would at least give, without those codes.
    pub(super) fn estimated_bits(&self) -> usize {
        let mut entropy = 0.0;
        let symbols = f32_of(self.symbols());
        entropy = add_entropy(entropy, &self.literals[..END_OF_BLOCK], symbols);
        entropy += END_OF_BLOCK_BITS;
        entropy = add_entropy(entropy, &self.literals[FIRST_LENGTH..], symbols);
        let matches: u32 = self.literals[FIRST_LENGTH..].iter().sum();
        entropy = add_entropy(entropy, &self.distances, f32_of(matches as usize));
        whole_bits(entropy) + self.extra_bits()
    }
}

/// Adds what symbols take that occur so many times among `total`, each at least one bit and at most fifteen.
fn add_entropy(entropy: f32, frequencies: &[u32], total: f32) -> f32 {
    let share = 1.0 / total;
    frequencies
        .iter()
        .filter(|times| **times > 0)
        .fold(entropy, |entropy, times| {
            let times = f32_of(*times as usize);
            entropy + (-approximate_log2(times * share)).clamp(1.0, 15.0) * times
        })
}

/// The exponent of a number, and a parabola through its mantissa.
fn approximate_log2(value: f32) -> f32 {
    let bits = value.to_bits();
    let exponent = f32_of((bits >> 23 & 0xFF) as usize) - 128.0;
    let mantissa = f32::from_bits((bits & 0x807F_FFFF) + (127 << 23));
    exponent + ((-0.344_848_43 * mantissa + 2.024_665_8) * mantissa - 0.674_877_6)
}

/// A count of symbols, none of which is more than a segment has.
#[expect(clippy::cast_precision_loss, reason = "counts are at most 65,536")]
fn f32_of(count: usize) -> f32 {
    count as f32
}

/// The whole bits of an estimate.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate is positive and below 2^24"
)]
fn whole_bits(estimate: f32) -> usize {
    estimate as usize
}
