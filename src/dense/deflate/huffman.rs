//! Prefix codes of bounded length, as Go's `compress/flate` and its descendants build them.
//!
//! An optimal code whose lengths are bounded is not unique, and which one is taken decides the bytes. These programs
//! take the one of the package-merge algorithm (Larmore and Hirschberg, 1990; their variant by Katajainen, Moffat and
//! Turpin gives the same lengths) where symbols stand by frequency, then by number, and where a package goes before a
//! symbol of the same weight. The bits of the codes then follow from their lengths (RFC 1951, section 3.2.2).
//!
//! This is not what zlib does, whose trees are built and cut down in another way.

/// The longest code that any alphabet of deflate allows, in bits.
pub const MAX_CODE_BITS: usize = 15;

/// The code of one symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// The bits, first bit lowest, as they go into the stream.
    pub bits: u16,
    /// How many bits there are; 0 for a symbol that does not occur.
    pub length: u8,
}

/// Builds codes, and keeps the memory that this takes from one to the next.
#[derive(Debug, Default)]
pub struct CodeBuilder {
    /// Frequency and symbol of everything that occurs, rising.
    symbols: Vec<(u32, u16)>,
    /// The weights of one list of the algorithm.
    weights: Vec<u32>,
    /// The sums of pairs of those weights.
    packages: Vec<u32>,
    /// For each list, how many symbols are among its first items.
    symbols_among: [Vec<u16>; MAX_CODE_BITS],
}

impl CodeBuilder {
    /// Sets `codes` to the code for symbols that occur so many times, none longer than `max_bits`.
    ///
    /// One or two symbols get codes of one bit, and no symbol none. `codes` is as long as `frequencies`; their sum is
    /// below 2^31, and the alphabet has at most 2^`max_bits` symbols, with `max_bits` at most [`MAX_CODE_BITS`].
    pub fn build(&mut self, frequencies: &[u32], max_bits: usize, codes: &mut [Code]) {
        assert!((1..=MAX_CODE_BITS).contains(&max_bits) && frequencies.len() == codes.len());
        codes.fill(Code::default());
        self.symbols.clear();
        let occurring = (0_u16..)
            .zip(frequencies)
            .filter(|(_, frequency)| **frequency > 0);
        self.symbols
            .extend(occurring.map(|(symbol, frequency)| (*frequency, symbol)));
        if self.symbols.len() <= 2 {
            for (_, symbol) in &self.symbols {
                codes[usize::from(*symbol)].length = 1;
            }
        } else {
            assert!(
                self.symbols.len() <= 1 << max_bits,
                "more symbols than codes of this length"
            );
            self.symbols.sort_unstable();
            self.set_lengths(max_bits, codes);
        }
        assign_bits(codes);
    }

    /// Finds the lengths for three symbols or more.
    fn set_lengths(&mut self, max_bits: usize, codes: &mut [Code]) {
        // No code for so few symbols is deeper, and fewer lists settle ties otherwise than more lists do.
        let lists = max_bits.min(self.symbols.len() - 1);
        let wanted_items = 2 * self.symbols.len() - 2;
        self.packages.clear();
        for list in 0..lists {
            self.merge(list, wanted_items);
            self.packages.clear();
            self.packages
                .extend(self.weights.chunks_exact(2).map(|pair| pair[0] + pair[1]));
        }
        // The items wanted of the last list are symbols and packages, and each package wants two items of the list
        // before it. A symbol's length is the number of lists that it is wanted of.
        let mut items = wanted_items;
        for symbols_among in self.symbols_among[..lists].iter().rev() {
            let symbols = usize::from(symbols_among[items]);
            for (_, symbol) in &self.symbols[..symbols] {
                codes[usize::from(*symbol)].length += 1;
            }
            items = 2 * (items - symbols);
        }
    }

    /// Makes a list out of the symbols and the packages of the list before it, by weight, as far as it can be wanted.
    fn merge(&mut self, list: usize, wanted_items: usize) {
        let symbols_among = &mut self.symbols_among[list];
        symbols_among.clear();
        symbols_among.push(0);
        self.weights.clear();
        let items = wanted_items.min(self.symbols.len() + self.packages.len());
        let (mut symbol, mut package) = (0_u16, 0);
        for _ in 0..items {
            let symbol_weight = self
                .symbols
                .get(usize::from(symbol))
                .map_or(u32::MAX, |(weight, _)| *weight);
            let package_weight = self.packages.get(package).copied().unwrap_or(u32::MAX);
            let takes_symbol = symbol_weight < package_weight;
            symbol += u16::from(takes_symbol);
            package += usize::from(!takes_symbol);
            self.weights.push(symbol_weight.min(package_weight));
            symbols_among.push(symbol);
        }
    }
}

/// Gives each symbol the bits that follow from all lengths: shorter codes first, and by symbol within a length.
pub fn assign_bits(codes: &mut [Code]) {
    let mut codes_of_length = [0_u16; MAX_CODE_BITS + 1];
    for code in codes.iter().filter(|code| code.length > 0) {
        codes_of_length[usize::from(code.length)] += 1;
    }
    let mut next = [0_u16; MAX_CODE_BITS + 1];
    for length in 1..=MAX_CODE_BITS {
        next[length] = (next[length - 1] + codes_of_length[length - 1]) << 1;
    }
    for code in codes.iter_mut().filter(|code| code.length > 0) {
        let value = &mut next[usize::from(code.length)];
        code.bits = value.reverse_bits() >> (16 - code.length);
        *value += 1;
    }
}

/// How many bits symbols take that occur so many times. Symbols without a code take none.
pub fn encoded_bits(codes: &[Code], frequencies: &[u32]) -> usize {
    let bits = codes
        .iter()
        .zip(frequencies)
        .map(|(code, frequency)| *frequency as usize * usize::from(code.length));
    bits.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn build(frequencies: &[u32], max_bits: usize) -> Vec<Code> {
        let mut codes = vec![Code::default(); frequencies.len()];
        CodeBuilder::default().build(frequencies, max_bits, &mut codes);
        codes
    }

    fn lengths(frequencies: &[u32], max_bits: usize) -> Vec<u8> {
        build(frequencies, max_bits)
            .iter()
            .map(|code| code.length)
            .collect()
    }

    #[test]
    fn one_or_two_symbols_take_one_bit() {
        assert_eq!(lengths(&[0, 0, 0], 15), [0, 0, 0]);
        assert_eq!(lengths(&[0, 9, 0], 15), [0, 1, 0]);
        let codes = build(&[7, 0, 9], 15);
        assert_eq!((codes[0].bits, codes[0].length), (0, 1));
        assert_eq!((codes[2].bits, codes[2].length), (1, 1));
    }

    #[test]
    fn a_package_goes_before_a_symbol_of_the_same_weight() {
        // Both {1, 2, 3, 3} and {2, 2, 2, 2} are optimal here.
        assert_eq!(lengths(&[1, 1, 2, 2], 15), [3, 3, 2, 1]);
    }

    #[test]
    fn no_code_is_longer_than_allowed() {
        let fibonacci = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89];
        assert_eq!(lengths(&fibonacci, 15), [10, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(lengths(&fibonacci, 7), [7, 7, 7, 7, 6, 6, 5, 5, 3, 2, 1]);
        assert_eq!(lengths(&[1, 2, 4, 8, 16, 32, 64, 128], 3), [3; 8]);
    }

    #[test]
    fn bits_follow_from_lengths_as_in_the_specification() {
        // The example of RFC 1951, section 3.2.2.
        let mut codes = [3, 3, 3, 3, 3, 2, 4, 4].map(|length| Code { bits: 0, length });
        assign_bits(&mut codes);
        let written = codes.map(|code| code.bits.reverse_bits() >> (16 - code.length));
        assert_eq!(
            written,
            [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]
        );
    }

    /// The cost of an optimal code without a bound: the sum of all inner nodes of its tree.
    fn optimal_bits(frequencies: &[u32]) -> usize {
        let mut weights: Vec<usize> = frequencies
            .iter()
            .filter(|frequency| **frequency > 0)
            .map(|frequency| *frequency as usize)
            .collect();
        let mut bits = 0;
        while weights.len() > 1 {
            weights.sort_unstable_by(|a, b| b.cmp(a));
            let pair = weights.pop().unwrap_or(0) + weights.pop().unwrap_or(0);
            bits += pair;
            weights.push(pair);
        }
        bits
    }

    proptest! {
        #[test]
        fn codes_are_complete_and_cost_no_less_than_the_optimum(
            frequencies in prop::collection::vec(prop_oneof![0..3_u32, 0..50_u32, 0..20_000_u32], 3..128),
            max_bits in 7..=15_usize,
        ) {
            let codes = build(&frequencies, max_bits);
            let occurring = frequencies.iter().filter(|frequency| **frequency > 0).count();
            prop_assume!(occurring > 1);
            let space: u32 =
                codes.iter().filter(|code| code.length > 0).map(|code| 1 << (15 - code.length)).sum();
            prop_assert_eq!(space, 1 << 15);
            let longest = codes.iter().map(|code| usize::from(code.length)).max();
            prop_assert!(longest <= Some(max_bits));
            let (bits, optimum) = (encoded_bits(&codes, &frequencies), optimal_bits(&frequencies));
            prop_assert!(bits >= optimum);
            prop_assert!(bits == optimum || longest == Some(max_bits));
        }
    }
}
