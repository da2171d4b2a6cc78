//! Which kind of block tokens become, and its bits.
//!
//! Levels above 1 take the smallest, and of equal ones fixed codes before dynamic ones before a stored block; level 1
//! never writes fixed codes, and stores what would not shrink by a sixteenth or so.

use super::super::alphabet::{
    DISTANCE_EXTRA_BITS, DISTANCE_SYMBOLS, END_OF_BLOCK, FIRST_LENGTH, LENGTH_EXTRA_BITS,
    LITERAL_SYMBOLS, distance_index, length_index,
};
use super::super::bits::BitWriter;
use super::super::code_lengths::CodeLengths;
use super::super::codes::Codes;
use super::super::huffman::{CodeBuilder, MAX_CODE_BITS};
use super::super::token::Token;

/// The most bytes that a stored block holds.
pub(super) const MAX_STORED_BYTES: usize = 65_535;
/// The bits before every block: whether it is the last, and its kind.
const BLOCK_HEADER_BITS: usize = 3;
/// The values of the kind, shifted past the mark of the last block.
const FIXED: u32 = 1 << 1;
const DYNAMIC: u32 = 2 << 1;

/// Writes blocks to a stream of bits, none of which is the last one.
#[derive(Debug)]
pub(super) struct BlockWriter {
    bits: BitWriter,
    literal_counts: [u32; LITERAL_SYMBOLS],
    distance_counts: [u32; DISTANCE_SYMBOLS],
    fixed: Codes,
    dynamic: Codes,
    code_lengths: CodeLengths,
    builder: CodeBuilder,
}

impl BlockWriter {
    /// Writes behind what `bits` holds.
    pub(super) fn new(bits: BitWriter) -> Self {
        Self {
            bits,
            literal_counts: [0; LITERAL_SYMBOLS],
            distance_counts: [0; DISTANCE_SYMBOLS],
            fixed: Codes::fixed(),
            dynamic: Codes::none(),
            code_lengths: CodeLengths::default(),
            builder: CodeBuilder::default(),
        }
    }

    /// Writes tokens in the smallest way. `source` is what they stand for, when it is still known.
    pub(super) fn write_smallest(
        &mut self,
        tokens: &[Token],
        source: Option<&[u8]>,
        output: &mut Vec<u8>,
    ) {
        self.count(tokens);
        self.build_dynamic();
        let (fixed_bits, dynamic_bits) = (self.fixed_bits(), self.dynamic_bits());
        let coded_bits = fixed_bits.min(dynamic_bits) + self.extra_bits();
        if let Some(source) =
            source.filter(|source| stored_bits(source).is_some_and(|bits| bits < coded_bits))
        {
            self.write_stored(source, output);
            return;
        }
        if dynamic_bits < fixed_bits {
            self.put_dynamic_header(output);
            self.dynamic.put_block(tokens, &mut self.bits, output);
        } else {
            self.bits.put(FIXED, 3, output);
            self.fixed.put_block(tokens, &mut self.bits, output);
        }
    }

    /// Writes tokens with codes of their own, unless `source`, which they stand for, is hardly larger.
    pub(super) fn write_dynamic(&mut self, tokens: &[Token], source: &[u8], output: &mut Vec<u8>) {
        self.count(tokens);
        self.build_dynamic();
        if self.stores_instead(source) {
            self.write_stored(source, output);
            return;
        }
        self.put_dynamic_header(output);
        self.dynamic.put_block(tokens, &mut self.bits, output);
    }

    /// Writes bytes without matches, with codes of their own, unless that makes them hardly smaller.
    pub(super) fn write_literals(&mut self, source: &[u8], output: &mut Vec<u8>) {
        self.literal_counts.fill(0);
        self.distance_counts.fill(0);
        for byte in source {
            self.literal_counts[usize::from(*byte)] += 1;
        }
        self.literal_counts[END_OF_BLOCK] = 1;
        self.build_dynamic();
        if self.stores_instead(source) {
            self.write_stored(source, output);
            return;
        }
        self.put_dynamic_header(output);
        for byte in source {
            self.bits
                .put_code(self.dynamic.literals[usize::from(*byte)], output);
        }
        self.bits
            .put_code(self.dynamic.literals[END_OF_BLOCK], output);
    }

    /// Writes bytes as they are; at most [`MAX_STORED_BYTES`].
    pub(super) fn write_stored(&mut self, source: &[u8], output: &mut Vec<u8>) {
        self.bits.put_stored_block(false, source, output);
    }

    /// Ends the stream: an empty stored block that is marked as the last one.
    pub(super) fn write_end(&mut self, output: &mut Vec<u8>) {
        self.bits.put_stored_block(true, &[], output);
    }

    /// Counts the symbols of tokens and of the end of their block.
    fn count(&mut self, tokens: &[Token]) {
        self.literal_counts.fill(0);
        self.distance_counts.fill(0);
        for token in tokens {
            match token.parts() {
                Ok(byte) => self.literal_counts[usize::from(byte)] += 1,
                Err((length, distance)) => {
                    self.literal_counts[FIRST_LENGTH + length_index(length)] += 1;
                    self.distance_counts[distance_index(distance)] += 1;
                }
            }
        }
        self.literal_counts[END_OF_BLOCK] = 1;
    }

    /// Builds the codes for what was counted, and their description.
    fn build_dynamic(&mut self) {
        // A code for distances has at least one symbol, and where none occurs, it counts as if it did once.
        if self.distance_counts.iter().all(|count| *count == 0) {
            self.distance_counts[0] = 1;
        }
        let codes = &mut self.dynamic;
        self.builder
            .build(&self.literal_counts, MAX_CODE_BITS, &mut codes.literals);
        self.builder
            .build(&self.distance_counts, MAX_CODE_BITS, &mut codes.distances);
        let (literals, distances) = codes.occurring();
        self.code_lengths.describe(
            &codes.literals[..literals],
            &codes.distances[..distances],
            &mut self.builder,
        );
    }

    /// What the block takes with the fixed codes, without extra bits.
    fn fixed_bits(&self) -> usize {
        BLOCK_HEADER_BITS
            + self
                .fixed
                .encoded_bits(&self.literal_counts, &self.distance_counts)
    }

    /// What the block takes with its own codes, without extra bits.
    fn dynamic_bits(&self) -> usize {
        let symbols = self
            .dynamic
            .encoded_bits(&self.literal_counts, &self.distance_counts);
        BLOCK_HEADER_BITS + self.code_lengths.bits() + symbols
    }

    /// What lengths and distances take below their symbols, whatever the codes.
    fn extra_bits(&self) -> usize {
        let lengths = self.literal_counts[FIRST_LENGTH..]
            .iter()
            .zip(LENGTH_EXTRA_BITS);
        let distances = self.distance_counts.iter().zip(DISTANCE_EXTRA_BITS);
        lengths
            .chain(distances)
            .map(|(count, bits)| *count as usize * usize::from(bits))
            .sum()
    }

    /// Whether level 1 stores bytes: when that takes less than a sixteenth more than codes (extra bits not counted).
    fn stores_instead(&self, source: &[u8]) -> bool {
        let dynamic_bits = self.dynamic_bits();
        stored_bits(source).is_some_and(|bits| bits < dynamic_bits + (dynamic_bits >> 4))
    }

    fn put_dynamic_header(&mut self, output: &mut Vec<u8>) {
        self.bits.put(DYNAMIC, 3, output);
        let (literals, distances) = self.dynamic.occurring();
        self.code_lengths
            .put(literals, distances, &mut self.bits, output);
    }
}

/// What a stored block takes in all, if the bytes fit into one.
fn stored_bits(source: &[u8]) -> Option<usize> {
    (source.len() <= MAX_STORED_BYTES).then_some((source.len() + 5) * 8)
}
