//! What a stream is made of before it becomes bits: bytes, and matches with what came before.

use super::alphabet::{MAX_MATCH_BYTES, MIN_MATCH_BYTES, WINDOW_BYTES};

/// A literal byte, or a match: its length above [`MIN_MATCH_BYTES`] in bits 16 to 23 and its distance above one byte
/// below those, under a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(u32);

/// The highest byte of a match.
const MATCH_MARK: u8 = 0x80;

impl Token {
    #[inline]
    pub(super) fn literal(byte: u8) -> Self {
        Self(u32::from(byte))
    }

    /// A match of `length` bytes, `distance` bytes back; both within the limits of the format.
    #[inline]
    pub(super) fn back(length: usize, distance: usize) -> Self {
        debug_assert!((MIN_MATCH_BYTES..=MAX_MATCH_BYTES).contains(&length));
        debug_assert!((1..=WINDOW_BYTES).contains(&distance));
        let [low, high, ..] = (distance - 1).to_le_bytes();
        let [above_minimum, ..] = (length - MIN_MATCH_BYTES).to_le_bytes();
        Self(u32::from_le_bytes([low, high, above_minimum, MATCH_MARK]))
    }

    /// The byte, or else the length above [`MIN_MATCH_BYTES`] and the distance above one byte.
    #[inline]
    pub(super) fn parts(self) -> Result<u8, (u8, u16)> {
        let [low, high, length, mark] = self.0.to_le_bytes();
        match mark {
            0 => Ok(low),
            _ => Err((length, u16::from_le_bytes([low, high]))),
        }
    }
}
