//! The codes of a block, one for each of the two alphabets, and how tokens are written with them.

use super::alphabet::{
    DISTANCE_BASE, DISTANCE_EXTRA_BITS, DISTANCE_SYMBOLS, END_OF_BLOCK, FIRST_LENGTH, LENGTH_BASE,
    LENGTH_EXTRA_BITS, LITERAL_SYMBOLS, distance_index, length_index,
};
use super::bits::BitWriter;
use super::huffman::{self, Code};
use super::token::Token;

/// The codes for the two alphabets of a block.
#[derive(Debug)]
pub(super) struct Codes {
    pub(super) literals: [Code; LITERAL_SYMBOLS],
    pub(super) distances: [Code; DISTANCE_SYMBOLS],
}

impl Codes {
    /// No codes.
    pub(super) fn none() -> Self {
        Self {
            literals: [Code::default(); LITERAL_SYMBOLS],
            distances: [Code::default(); DISTANCE_SYMBOLS],
        }
    }

    /// The fixed codes (RFC 1951, section 3.2.6).
    pub(super) fn fixed() -> Self {
        // Two symbols that never occur take part in the code.
        let mut literals = [Code { bits: 0, length: 8 }; LITERAL_SYMBOLS + 2];
        literals[144..256].fill(Code { bits: 0, length: 9 });
        literals[256..280].fill(Code { bits: 0, length: 7 });
        huffman::assign_bits(&mut literals);
        let mut codes = Self::none();
        codes.literals.copy_from_slice(&literals[..LITERAL_SYMBOLS]);
        codes.distances.fill(Code { bits: 0, length: 5 });
        huffman::assign_bits(&mut codes.distances);
        codes
    }

    /// How many symbols of each alphabet there are up to the last that has a code.
    pub(super) fn occurring(&self) -> (usize, usize) {
        let symbols = |codes: &[Code]| {
            codes
                .iter()
                .rposition(|code| code.length > 0)
                .map_or(0, |last| last + 1)
        };
        (symbols(&self.literals), symbols(&self.distances))
    }

    /// How many bits symbols take that occur so many times, without their extra bits.
    pub(super) fn encoded_bits(&self, literal_counts: &[u32], distance_counts: &[u32]) -> usize {
        huffman::encoded_bits(&self.literals, literal_counts)
            + huffman::encoded_bits(&self.distances, distance_counts)
    }

    /// Writes tokens and the end of their block.
    pub(super) fn put_block(&self, tokens: &[Token], bits: &mut BitWriter, output: &mut Vec<u8>) {
        self.put_tokens(tokens, bits, output);
        self.put_end(bits, output);
    }

    /// Writes the end of a block.
    pub(super) fn put_end(&self, bits: &mut BitWriter, output: &mut Vec<u8>) {
        bits.put_code(self.literals[END_OF_BLOCK], output);
    }

    /// Writes tokens.
    pub(super) fn put_tokens(&self, tokens: &[Token], bits: &mut BitWriter, output: &mut Vec<u8>) {
        for token in tokens {
            match token.parts() {
                Ok(byte) => bits.put_code(self.literals[usize::from(byte)], output),
                Err((length, distance)) => {
                    let index = length_index(length);
                    let extra = u16::from(length) - LENGTH_BASE[index];
                    let code = self.literals[FIRST_LENGTH + index];
                    bits.put_code_and_extra(code, extra, LENGTH_EXTRA_BITS[index], output);
                    let index = distance_index(distance);
                    let extra = distance - DISTANCE_BASE[index];
                    bits.put_code_and_extra(
                        self.distances[index],
                        extra,
                        DISTANCE_EXTRA_BITS[index],
                        output,
                    );
                }
            }
        }
    }
}
