//! How a block with codes of its own describes them (RFC 1951, section 3.2.7): the lengths of both codes in a row,
//! with runs drawn together, in a third code.
//!
//! Runs go on from the first code into the second. A run is taken greedily: the most that a symbol can say, as often
//! as it can, and what is too short for one more is written out.

use std::ops::RangeInclusive;

use super::alphabet::{CODE_LENGTH_ORDER, CODE_LENGTH_SYMBOLS};
use super::bits::BitWriter;
use super::huffman::{self, Code, CodeBuilder};

/// The longest code that three bits can give a length to.
const MAX_BITS: usize = 7;
/// The symbol that says the length before it again, three to six times.
const REPEAT: u8 = 16;
/// The symbol for three to ten zeros.
const FEW_ZEROS: u8 = 17;
/// The symbol for 11 to 138 zeros.
const MANY_ZEROS: u8 = 18;

/// A symbol of the code length code, with the value of the extra bits after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    symbol: u8,
    extra: u8,
}

impl Item {
    fn extra_bits(self) -> u32 {
        match self.symbol {
            REPEAT => 2,
            FEW_ZEROS => 3,
            MANY_ZEROS => 7,
            _ => 0,
        }
    }
}

/// The description of two codes.
#[derive(Debug, Default)]
pub(super) struct CodeLengths {
    items: Vec<Item>,
    codes: [Code; CODE_LENGTH_SYMBOLS],
    /// How many lengths of the third code are written.
    written_lengths: usize,
    /// How many bits everything after the counts takes.
    bits: usize,
}

impl CodeLengths {
    /// Describes the codes for literals and for distances, which are described as far as they are given: no less
    /// than 257 and one.
    pub(super) fn describe(
        &mut self,
        literals: &[Code],
        distances: &[Code],
        builder: &mut CodeBuilder,
    ) {
        self.items.clear();
        let mut lengths = literals
            .iter()
            .chain(distances)
            .map(|code| code.length)
            .peekable();
        while let Some(length) = lengths.next() {
            let mut run = 1;
            while lengths.next_if_eq(&length).is_some() {
                run += 1;
            }
            self.push_run(length, run);
        }
        let mut frequencies = [0_u32; CODE_LENGTH_SYMBOLS];
        for item in &self.items {
            frequencies[usize::from(item.symbol)] += 1;
        }
        builder.build(&frequencies, MAX_BITS, &mut self.codes);
        let last = CODE_LENGTH_ORDER
            .iter()
            .rposition(|symbol| frequencies[*symbol] > 0)
            .unwrap_or(0);
        self.written_lengths = (last + 1).max(4);
        let extra_bits: u32 = self.items.iter().map(|item| item.extra_bits()).sum();
        self.bits = 3 * self.written_lengths
            + huffman::encoded_bits(&self.codes, &frequencies)
            + extra_bits as usize;
    }

    /// Writes a run of one length, of at most all symbols.
    fn push_run(&mut self, length: u8, run: u16) {
        let mut left = run;
        if length == 0 {
            self.push_repeats(MANY_ZEROS, 11..=138, &mut left);
            self.push_repeats(FEW_ZEROS, 3..=10, &mut left);
        } else {
            self.items.push(Item {
                symbol: length,
                extra: 0,
            });
            left -= 1;
            self.push_repeats(REPEAT, 3..=6, &mut left);
        }
        for _ in 0..left {
            self.items.push(Item {
                symbol: length,
                extra: 0,
            });
        }
    }

    /// Writes as much of what is left of a run as a symbol for so many at once can say.
    fn push_repeats(&mut self, symbol: u8, span: RangeInclusive<u8>, left: &mut u16) {
        while *left >= u16::from(*span.start()) {
            let taken = u8::try_from(*left).unwrap_or(u8::MAX).min(*span.end());
            self.items.push(Item {
                symbol,
                extra: taken - span.start(),
            });
            *left -= u16::from(taken);
        }
    }

    /// How many bits [`Self::put`] writes.
    pub(super) fn bits(&self) -> usize {
        5 + 5 + 4 + self.bits
    }

    /// Writes the counts of all three codes, then the third code, then the lengths of the first two.
    pub(super) fn put(
        &self,
        literals: usize,
        distances: usize,
        bits: &mut BitWriter,
        output: &mut Vec<u8>,
    ) {
        bits.put(count(literals - 257), 5, output);
        bits.put(count(distances - 1), 5, output);
        bits.put(count(self.written_lengths - 4), 4, output);
        for symbol in &CODE_LENGTH_ORDER[..self.written_lengths] {
            bits.put(u32::from(self.codes[*symbol].length), 3, output);
        }
        for item in &self.items {
            let code = self.codes[usize::from(item.symbol)];
            bits.put(u32::from(code.bits), u32::from(code.length), output);
            bits.put(u32::from(item.extra), item.extra_bits(), output);
        }
    }
}

/// A count as it is written.
fn count(symbols: usize) -> u32 {
    u32::try_from(symbols).expect("alphabets are small")
}
