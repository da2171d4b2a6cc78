//! The code that a person carries where nothing else may cross: it names a bundle that has arrived completely.
//!
//! Pure. It proves nothing, and is no secret. Specification: RECEIPTS.md, "Codes".

use std::fmt;
use std::str::FromStr;

use crate::oci::Digest;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SYMBOLS: usize = 16;
const CHECKS: usize = 2;
const GROUP: usize = 6;

/// 80 bits that name lane and bundle, and two check characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptCode([u8; SYMBOLS + CHECKS]);

/// Why a text is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCode {
    #[error("a code has 18 letters and digits, and this has {0}")]
    Length(usize),
    #[error("`{}` stands in no code", .0.escape_default())]
    Character(char),
    #[error("the code is mistyped: its check characters do not fit")]
    Mistyped,
}

impl ReceiptCode {
    pub fn new(lane: &str, pipeline_id: &str, sequence: u64, inventory: &Digest) -> Self {
        let text =
            format!("airlift receipt code v1\n{lane}\n{pipeline_id}\n{sequence}\n{inventory}\n");
        let hex = Digest::sha256(text.as_bytes()).hex();
        // The first 80 bits, five at a time, from 20 hex digits.
        let bits = u128::from_str_radix(&hex[..20], 16).unwrap_or_default();
        let mut symbols = [0; SYMBOLS];
        for (position, symbol) in symbols.iter_mut().enumerate() {
            let shift = 5 * (SYMBOLS - 1 - position);
            *symbol = u8::try_from((bits >> shift) & 31).unwrap_or_default();
        }
        Self::with_checks(symbols)
    }

    fn with_checks(symbols: [u8; SYMBOLS]) -> Self {
        let (mut high, mut low) = (0, 0);
        for symbol in symbols {
            // Division by (x-1)(x-2) = x² + 3x + 2.
            let lead = symbol ^ high;
            (high, low) = (low ^ multiply(lead, 3), multiply(lead, 2));
        }
        let mut code = [0; SYMBOLS + CHECKS];
        code[..SYMBOLS].copy_from_slice(&symbols);
        code[SYMBOLS..].copy_from_slice(&[high, low]);
        Self(code)
    }

    fn has_right_checks(&self) -> bool {
        let at = |point| {
            let step = |value, symbol: &u8| multiply(value, point) ^ symbol;
            self.0.iter().fold(0, step)
        };
        at(1) == 0 && at(2) == 0
    }
}

/// In GF(32) with x⁵ + x² + 1.
fn multiply(mut one: u8, mut other: u8) -> u8 {
    let mut product = 0;
    while other > 0 {
        if other & 1 == 1 {
            product ^= one;
        }
        one <<= 1;
        if one & 32 != 0 {
            one ^= 0b10_0101;
        }
        other >>= 1;
    }
    product
}

impl fmt::Display for ReceiptCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, symbol) in self.0.iter().enumerate() {
            if position > 0 && position % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(ALPHABET[usize::from(*symbol)]))?;
        }
        Ok(())
    }
}

impl FromStr for ReceiptCode {
    type Err = InvalidCode;

    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        let typed = text.chars().filter(|c| *c != '-' && !c.is_whitespace());
        let symbols = typed.map(|c| symbol_of(c).ok_or(InvalidCode::Character(c)));
        let symbols: Vec<u8> = symbols.collect::<Result<_, _>>()?;
        let length = symbols.len();
        let symbols = symbols
            .try_into()
            .map_err(|_| InvalidCode::Length(length))?;
        let code = Self(symbols);
        match code.has_right_checks() {
            true => Ok(code),
            false => Err(InvalidCode::Mistyped),
        }
    }
}

/// What people write for what they read.
fn symbol_of(c: char) -> Option<u8> {
    let c = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let position = ALPHABET.iter().position(|known| char::from(*known) == c)?;
    u8::try_from(position).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(sequence: u64) -> ReceiptCode {
        let id = "00112233445566778899aabbccddeeff";
        ReceiptCode::new("north", id, sequence, &Digest::sha256(b"inventory"))
    }

    proptest! {
        #[test]
        fn a_code_is_read_as_people_write_it(sequence: u64) {
            let code = code(sequence);
            let text = code.to_string();
            prop_assert_eq!(text.len(), 20);
            prop_assert_eq!(text.parse(), Ok(code));
            let sloppy = text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
            prop_assert_eq!(sloppy.parse(), Ok(code));
        }

        #[test]
        fn any_wrong_character_and_any_exchange_is_noticed(
            sequence: u64, place in 0_usize..18, other in 0_u8..32, with in 0_usize..18,
        ) {
            let right = code(sequence);
            let mut wrong = right;
            wrong.0[place] = other;
            prop_assert_eq!(wrong.to_string().parse::<ReceiptCode>().is_ok(), wrong == right);
            let mut swapped = right;
            swapped.0.swap(place, with);
            prop_assert_eq!(swapped.to_string().parse::<ReceiptCode>().is_ok(), swapped == right);
        }
    }

    #[test]
    fn a_code_is_of_one_lane_one_pipeline_and_one_bundle() {
        let (id, inventory) = ("00112233445566778899aabbccddeeff", Digest::sha256(b"i"));
        let code = ReceiptCode::new("north", id, 1, &inventory);
        for other in [
            ReceiptCode::new("south", id, 1, &inventory),
            ReceiptCode::new("north", &id.replace('0', "1"), 1, &inventory),
            ReceiptCode::new("north", id, 2, &inventory),
            ReceiptCode::new("north", id, 1, &Digest::sha256(b"j")),
        ] {
            assert_ne!(code, other);
        }
        assert_eq!("0000".parse::<ReceiptCode>(), Err(InvalidCode::Length(4)));
        assert_eq!("U".parse::<ReceiptCode>(), Err(InvalidCode::Character('U')));
    }
}
