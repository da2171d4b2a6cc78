//! How tokens become blocks: stored, with the codes of the format, with codes of their own, or as one more part of the
//! block before, whose end is not written until it is known that its codes are of no further use.
//!
//! What is chosen follows from sizes in bits, exact ones and estimates, and from whether literals alone are written.
//!
//! Invariant: the end of an open block is written before anything but its own tokens.

use super::super::alphabet::{DISTANCE_SYMBOLS, END_OF_BLOCK, FIRST_LENGTH, LITERAL_SYMBOLS};
use super::super::bits::BitWriter;
use super::super::code_lengths::CodeLengths;
use super::super::codes::Codes;
use super::super::huffman::{Code, CodeBuilder, MAX_CODE_BITS, encoded_bits};
use super::Family;
use super::tokens::Tokens;

/// The bits before every block: whether it is the last, and its kind.
const BLOCK_HEADER_BITS: usize = 3;
/// Those bits, before a block with the codes of the format and one with its own.
const FIXED: u32 = 0b010;
const DYNAMIC: u32 = 0b100;
/// Fewer tokens than this are tried with the codes of the format.
const FEW_TOKENS: usize = 250;
/// New codes are taken to be worse than estimated, by one part in this power of two.
const PENALTY_SHIFT: u32 = 7;
/// What a header is taken for before it is known, in bits.
const GUESSED_HEADER_BITS: usize = 70 * 8;
/// A segment of literals no longer than this is not looked at for being random.
const SHORTEST_RANDOM: usize = 1024;

/// A block whose end is owed.
struct OpenBlock {
    header_bits: usize,
    has_only_literals: bool,
}

/// Writes blocks, and remembers the codes of the last one.
pub(super) struct BlockWriter {
    family: Family,
    bits: BitWriter,
    builder: CodeBuilder,
    open: Option<OpenBlock>,
    /// The codes of the block that was opened last.
    codes: Codes,
    fixed: Codes,
    header: CodeLengths,
}

impl BlockWriter {
    pub(super) fn new(family: Family) -> Self {
        Self {
            family,
            bits: BitWriter::default(),
            builder: CodeBuilder::default(),
            open: None,
            codes: Codes::none(),
            fixed: Codes::fixed(),
            header: CodeLengths::default(),
        }
    }

    /// Writes the tokens of the segment `plain`, in the way that seems smallest; `ends` says whether the block has to
    /// end with them. There is at least one match among them.
    pub(super) fn write_tokens(
        &mut self,
        tokens: &mut Tokens,
        plain: &[u8],
        ends: bool,
        output: &mut Vec<u8>,
    ) {
        if ends {
            tokens.push_end_of_block();
        } else if self.family == Family::From1_18_2 {
            tokens.want_end_of_block();
        }
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.has_only_literals)
            || !self.has_codes_for(tokens)
        {
            self.end_block(output);
        }
        let fixed_bits = (tokens.symbols() < FEW_TOKENS).then(|| self.fixed_bits(tokens));
        if let Some(open) = &self.open {
            let estimate = open.header_bits + tokens.estimated_bits();
            let new_bits = estimate
                + usize::from(self.codes.literals[END_OF_BLOCK].length)
                + (estimate >> PENALTY_SHIFT);
            let same_bits = self.coded_bits(tokens);
            let expected = new_bits.min(same_bits);
            if fixed_bits.is_some_and(|bits| bits + 7 < expected) && stored_bits(plain) > expected {
                return self.write_fixed(tokens, output);
            }
            if stored_bits(plain) <= expected {
                return self.write_stored(plain, output);
            }
            if new_bits >= same_bits {
                return self.write_symbols(tokens, ends, output);
            }
            self.end_block(output);
        }
        self.write_with_new_codes(tokens, plain, ends, fixed_bits.is_some(), output);
    }

    /// Writes the tokens under codes of their own, unless they would be no smaller than something simpler.
    fn write_with_new_codes(
        &mut self,
        tokens: &mut Tokens,
        plain: &[u8],
        ends: bool,
        are_few: bool,
        output: &mut Vec<u8>,
    ) {
        tokens.want_end_of_block();
        self.builder
            .build(&tokens.literals, MAX_CODE_BITS, &mut self.codes.literals);
        self.builder
            .build(&tokens.distances, MAX_CODE_BITS, &mut self.codes.distances);
        let names_all = !ends && matches!(self.family, Family::From1_15_0 | Family::From1_15_10);
        let (literals, distances) = if names_all {
            (LITERAL_SYMBOLS, DISTANCE_SYMBOLS)
        } else {
            self.codes.occurring()
        };
        self.header.describe(
            &self.codes.literals[..literals],
            &self.codes.distances[..distances],
            &mut self.builder,
        );
        let header_bits = BLOCK_HEADER_BITS + self.header.bits();
        let bits = header_bits + self.coded_bits(tokens);
        let fixed_bits = self.fixed_bits(tokens);
        if are_few && fixed_bits <= bits && stored_bits(plain) > fixed_bits {
            return self.write_fixed(tokens, output);
        }
        if stored_bits(plain) <= bits {
            return self.write_stored(plain, output);
        }
        self.bits.put(DYNAMIC, 3, output);
        self.header.put(literals, distances, &mut self.bits, output);
        self.open = Some(OpenBlock {
            header_bits,
            has_only_literals: false,
        });
        self.write_symbols(tokens, ends, output);
    }

    /// Writes a segment as literals, or stored if that helps too little.
    pub(super) fn write_literals(&mut self, plain: &[u8], ends: bool, output: &mut Vec<u8>) {
        let mut frequencies = [0; FIRST_LENGTH];
        for byte in plain {
            frequencies[usize::from(*byte)] += 1;
        }
        if plain.len() > SHORTEST_RANDOM && looks_random(&frequencies, plain.len()) {
            return self.write_stored(plain, output);
        }
        frequencies[END_OF_BLOCK] = 1;
        let mut codes = [Code::default(); FIRST_LENGTH];
        self.builder.build(&frequencies, MAX_CODE_BITS, &mut codes);
        let header_bits = self
            .open
            .as_ref()
            .map_or(GUESSED_HEADER_BITS, |open| open.header_bits);
        let estimate = encoded_bits(&codes, &frequencies) + header_bits;
        let new_bits = estimate + (estimate >> PENALTY_SHIFT);
        if stored_bits(plain) <= new_bits {
            return self.write_stored(plain, output);
        }
        let literals = &frequencies[..END_OF_BLOCK];
        if !has_codes_for(&self.codes.literals, literals)
            || new_bits < encoded_bits(&self.codes.literals[..END_OF_BLOCK], literals)
        {
            self.end_block(output);
        }
        if self.open.is_none() {
            self.begin_literals(&codes, output);
        }
        for byte in plain {
            self.bits
                .put_code(self.codes.literals[usize::from(*byte)], output);
        }
        if ends {
            self.end_block(output);
        }
    }

    /// Opens a block under codes for literals; one code for distances stands there because the format asks for one.
    fn begin_literals(&mut self, codes: &[Code; FIRST_LENGTH], output: &mut Vec<u8>) {
        self.codes.literals[..FIRST_LENGTH].copy_from_slice(codes);
        self.header
            .describe(codes, &[Code { bits: 0, length: 1 }], &mut self.builder);
        self.bits.put(DYNAMIC, 3, output);
        self.header.put(FIRST_LENGTH, 1, &mut self.bits, output);
        self.open = Some(OpenBlock {
            header_bits: BLOCK_HEADER_BITS + self.header.bits(),
            has_only_literals: true,
        });
    }

    /// Writes a segment as it is.
    pub(super) fn write_stored(&mut self, plain: &[u8], output: &mut Vec<u8>) {
        self.end_block(output);
        self.bits.put_stored_block(false, plain, output);
    }

    /// Writes the last block, an empty one, and fills the last byte.
    pub(super) fn write_end(&mut self, output: &mut Vec<u8>) {
        self.end_block(output);
        self.bits.put(FIXED | 1, 3, output);
        self.fixed.put_end(&mut self.bits, output);
        self.bits.align(output);
    }

    fn write_fixed(&mut self, tokens: &Tokens, output: &mut Vec<u8>) {
        self.end_block(output);
        self.bits.put(FIXED, 3, output);
        self.fixed
            .put_block(tokens.as_slice(), &mut self.bits, output);
    }

    /// Writes the tokens under the codes of the open block.
    fn write_symbols(&mut self, tokens: &Tokens, ends: bool, output: &mut Vec<u8>) {
        self.codes
            .put_tokens(tokens.as_slice(), &mut self.bits, output);
        if ends {
            self.end_block(output);
        }
    }

    /// Writes the end of the open block, if there is one.
    fn end_block(&mut self, output: &mut Vec<u8>) {
        if self.open.take().is_some() {
            self.codes.put_end(&mut self.bits, output);
        }
    }

    /// Whether the last codes have one for each symbol of the tokens.
    fn has_codes_for(&self, tokens: &Tokens) -> bool {
        has_codes_for(&self.codes.literals, &tokens.literals)
            && has_codes_for(&self.codes.distances, &tokens.distances)
    }

    /// The size of the tokens under the last codes.
    fn coded_bits(&self, tokens: &Tokens) -> usize {
        self.codes.encoded_bits(&tokens.literals, &tokens.distances) + tokens.extra_bits()
    }

    /// The size of a block of the tokens under the codes of the format.
    fn fixed_bits(&self, tokens: &Tokens) -> usize {
        BLOCK_HEADER_BITS
            + self.fixed.encoded_bits(&tokens.literals, &tokens.distances)
            + tokens.extra_bits()
    }
}

/// Whether each symbol that occurs has a code.
fn has_codes_for(codes: &[Code], frequencies: &[u32]) -> bool {
    codes
        .iter()
        .zip(frequencies)
        .all(|(code, times)| *times == 0 || code.length > 0)
}

/// The size of a stored block of these bytes.
fn stored_bits(plain: &[u8]) -> usize {
    (plain.len() + 5) * 8
}

/// Whether all bytes occur about equally often: the squares of the differences add up to less than twice the length.
fn looks_random(frequencies: &[u32; FIRST_LENGTH], length: usize) -> bool {
    let length = length as u64;
    // Everything is scaled by 256, so that the average is a whole number.
    let squares = frequencies[..END_OF_BLOCK]
        .iter()
        .map(|times| (u64::from(*times) * 256).abs_diff(length).pow(2));
    squares.sum::<u64>() < 2 * length * 65_536
}
