//! The parameters of a prediction, which stand before the corrections of the first chunk of a member.
//!
//! `preflate-rs` 0.7 reads them without doubt, and with some it would never end: blocks of no token, or chains as long
//! as the input. So they are read here before, with the values that they can have.

use super::super::Error;
use super::super::limits::CHAIN_LENGTH_MAX;

/// The longest match of deflate.
const MATCH_BYTES_MAX: u32 = 258;
/// The window of deflate, as a power of two.
const WINDOW_BITS_MAX: u32 = 15;
/// The farthest that a match can be.
const DISTANCE_MAX: u32 = 1 << WINDOW_BITS_MAX;

/// Checks that a first chunk begins with parameters that make the prediction end.
pub(in super::super) fn check_parameters(corrections: &[u8]) -> Result<(), Error> {
    let mut fields = Fields { rest: corrections };
    fields.tag(1)?; // matches reach the first byte
    fields.tag(1)?; // matches reach as far as the window
    fields.number(1, WINDOW_BITS_MAX, "bits of window")?;
    fields.tag(3)?; // strategy
    fields.number(0, MATCH_BYTES_MAX, "bytes in a match that is nice")?;
    let adds_first = matches!(fields.tag(4)?, 1 | 2);
    if adds_first {
        fields.short()?;
    }
    if fields.short()? == 0 {
        return Err(Error::damaged("a prediction has blocks without tokens"));
    }
    fields.tag(1)?; // like zlib in all
    fields.number(0, DISTANCE_MAX, "bytes to a match of three")?;
    let is_lazy = fields.tag(1)? == 1;
    if is_lazy {
        fields.short()?;
        fields.short()?;
    }
    fields.number(0, CHAIN_LENGTH_MAX, "links in a chain")?;
    fields.number(3, MATCH_BYTES_MAX, "bytes in a shortest match")?;
    let is_zlib_hash = fields.tag(7)? == 1;
    if is_zlib_hash {
        fields.short()?;
        fields.number(0, WINDOW_BITS_MAX, "bits of shift")?;
    }
    fields.tag(3)?; // types of blocks
    Ok(())
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(OTHER_PARAMETERS)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// A choice, of which there are `last + 1`.
    fn tag(&mut self, last: u8) -> Result<u8, Error> {
        let [tag] = self.bytes()?;
        match tag <= last {
            true => Ok(tag),
            false => Err(OTHER_PARAMETERS),
        }
    }

    fn short(&mut self) -> Result<u16, Error> {
        self.bytes().map(u16::from_le_bytes)
    }

    /// A number of 32 bits, which stands in one byte or in two if it fits, and says so before.
    fn number(&mut self, least: u32, limit: u32, what: &'static str) -> Result<(), Error> {
        let number = match self.bytes()? {
            [4] => self.bytes().map(|[byte]: [u8; 1]| u32::from(byte))?,
            [2] => u32::from(self.short()?),
            [_] => {
                return Err(Error::Limit {
                    what,
                    limit: u64::from(limit),
                });
            }
        };
        match number {
            _ if number > limit => Err(Error::Limit {
                what,
                limit: u64::from(limit),
            }),
            _ if number < least => Err(OTHER_PARAMETERS),
            _ => Ok(()),
        }
    }
}

const OTHER_PARAMETERS: Error = Error::damaged("a prediction has parameters that it cannot have");
