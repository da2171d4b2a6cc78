//! Integers as few bytes: seven bits each, lowest first, the highest bit set on all but the last (LEB128).
//!
//! Every number has one spelling: a last byte of zero is refused unless it is the only one. Signed numbers are folded so
//! that small ones of either sign stay short (zigzag).

use super::error::{Error, Result};

/// Appends `value`.
pub(super) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

/// Appends `value` with its sign.
pub(super) fn put_signed(bytes: &mut Vec<u8>, value: i64) {
    put(bytes, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// What is left to be read of some bytes.
#[derive(Clone)]
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
}

impl Input<'_> {
    /// Takes a number off the front; `what` names it in errors.
    pub(super) fn take(&mut self, what: &'static str) -> Result<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or(Error::Truncated { what })?;
            self.bytes = rest;
            let digit = u64::from(byte & 0x7f);
            if byte == 0 && shift > 0 || (digit << shift) >> shift != digit {
                return Err(Error::NotCanonical { what });
            }
            value |= digit << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::NotCanonical { what })
    }

    /// Takes a number with a sign off the front.
    pub(super) fn take_signed(&mut self, what: &'static str) -> Result<i64> {
        let folded = self.take(what)?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }
}
