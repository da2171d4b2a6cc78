//! The two alphabets of a compressed block (RFC 1951, section 3.2.5): bytes and match lengths in one, distances in the
//! other, both with extra bits below each symbol.
//!
//! Lengths and distances are given here as what lies above the smallest one, so that a length fits a byte and a
//! distance 15 bits.

/// The smallest match length of the format, in bytes.
pub const MIN_MATCH_BYTES: usize = 3;
/// The largest match length of the format, in bytes.
pub const MAX_MATCH_BYTES: usize = 258;
/// The largest distance of the format, in bytes.
pub const WINDOW_BYTES: usize = 1 << 15;
/// The symbol that ends a block.
pub const END_OF_BLOCK: usize = 256;
/// The first symbol that stands for a length.
pub const FIRST_LENGTH: usize = 257;
/// How many symbols for bytes, the end of a block and lengths may be written.
pub const LITERAL_SYMBOLS: usize = 286;
/// How many symbols for distances may be written.
pub const DISTANCE_SYMBOLS: usize = 30;
/// How many symbols describe the lengths of codes.
pub const CODE_LENGTH_SYMBOLS: usize = 19;
/// The order in which the lengths of the code length code stand in a block (RFC 1951, section 3.2.7).
pub const CODE_LENGTH_ORDER: [usize; CODE_LENGTH_SYMBOLS] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// How many extra bits follow each symbol for a length, counted from [`FIRST_LENGTH`].
pub const LENGTH_EXTRA_BITS: [u8; 29] = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
/// How many extra bits follow each symbol for a distance.
pub const DISTANCE_EXTRA_BITS: [u8; DISTANCE_SYMBOLS] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13,
];

/// The least length above [`MIN_MATCH_BYTES`] of each symbol for a length.
pub const LENGTH_BASE: [u16; 29] = {
    let mut base = first_values(&LENGTH_EXTRA_BITS);
    // The largest length has a symbol of its own, which takes it away from the symbol before.
    base[28] = 255;
    base
};
/// The least distance above one byte of each symbol for a distance.
pub const DISTANCE_BASE: [u16; DISTANCE_SYMBOLS] = first_values(&DISTANCE_EXTRA_BITS);

const LENGTH_INDEX: [u8; 256] = {
    let mut index = [0; 256];
    let mut symbol = 0_u8;
    while symbol < 29 {
        let mut length = LENGTH_BASE[symbol as usize] as usize;
        while length < 256 {
            // The later symbols overwrite the tail that the earlier ones left.
            index[length] = symbol;
            length += 1;
        }
        symbol += 1;
    }
    index
};

const fn first_values<const SYMBOLS: usize>(extra_bits: &[u8; SYMBOLS]) -> [u16; SYMBOLS] {
    let mut base = [0; SYMBOLS];
    let mut symbol = 1;
    while symbol < SYMBOLS {
        base[symbol] = base[symbol - 1] + (1 << extra_bits[symbol - 1]);
        symbol += 1;
    }
    base
}

/// Which symbol, counted from [`FIRST_LENGTH`], stands for a match of `length` bytes above [`MIN_MATCH_BYTES`].
#[inline]
pub fn length_index(length: u8) -> usize {
    usize::from(LENGTH_INDEX[usize::from(length)])
}

/// Which symbol stands for a distance of `distance` bytes above one; it is below 32,768.
#[inline]
pub fn distance_index(distance: u16) -> usize {
    // Two symbols for each power of two: the leading bit of the distance, and the one after it.
    if distance < 2 {
        return usize::from(distance);
    }
    let exponent = distance.ilog2() as usize;
    2 * exponent + usize::from((distance >> (exponent - 1)) & 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_distance_lies_within_its_symbol() {
        for length in 0..=255_u8 {
            let index = length_index(length);
            assert!((LENGTH_BASE[index]..).contains(&u16::from(length)));
            let extra = u16::from(length) - LENGTH_BASE[index];
            assert_eq!(extra >> LENGTH_EXTRA_BITS[index], 0, "{length}");
        }
        for distance in 0..1 << 15 {
            let index = distance_index(distance);
            let extra = distance
                .checked_sub(DISTANCE_BASE[index])
                .expect("no less than the base");
            assert_eq!(extra >> DISTANCE_EXTRA_BITS[index], 0, "{distance}");
        }
    }

    #[test]
    fn the_ends_of_the_tables_are_those_of_the_specification() {
        assert_eq!(
            (length_index(0), length_index(254), length_index(255)),
            (0, 27, 28)
        );
        assert_eq!((LENGTH_BASE[8], LENGTH_BASE[27]), (8, 224));
        assert_eq!((distance_index(4), distance_index(32_767)), (4, 29));
        assert_eq!((DISTANCE_BASE[4], DISTANCE_BASE[29]), (4, 24_576));
    }
}
