//! How a layer is made again: its plain bytes out of references and segments, and the gzip around them.
//!
//! **Invariant.** A value has passed every check that needs no reference and no segment.
//! Specification: FORMAT.md, "Version 2", Recipe.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use super::delta::{self, Delta, ReadAt, Rebuilt, apply_delta};
use super::gzip::{self, Corrector, Recompression};
use super::plain::is_about_content;

const FIRST_LINE: &[u8] = b"airlift recipe 1\n";
/// A varint of 64 bits.
const VARINT_MAX_BYTES: u32 = 10;

/// What cannot be read as a recipe, or not be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is no recipe of version 1")]
    NotARecipe,
    #[error("it is cut off, or spelled in a way that no writer chooses")]
    Malformed,
    #[error("it makes {found} plain bytes, and the inventory says {said}")]
    OtherSize { found: u64, said: u64 },
    #[error("it has {found} segments, and the inventory says {said}")]
    OtherSegments { found: usize, said: usize },
    #[error("its gzip cannot be made again")]
    Gzip(#[from] gzip::Error),
    #[error("its delta cannot be followed")]
    Delta(#[from] delta::Error),
}

impl Error {
    /// What reading or writing failed with, where nothing is wrong with the recipe.
    pub fn io_failure(&self) -> Option<&io::Error> {
        match self {
            Self::Gzip(gzip::Error::Io(cause))
            | Self::Delta(
                delta::Error::Read { source: cause, .. }
                | delta::Error::Write { source: cause, .. },
            ) => (!is_about_content(cause)).then_some(cause),
            _ => None,
        }
    }
}

/// A layer, described.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// `None` where there is no gzip around it.
    pub recompression: Option<Recompression>,
    pub delta: Delta,
}

impl Recipe {
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let recompression = self.recompression.as_ref();
        let recompression = recompression.map_or_else(Vec::new, Recompression::to_bytes);
        let mut bytes = FIRST_LINE.to_vec();
        for part in [recompression, self.delta.to_bytes()?] {
            put_length(&mut bytes, part.len() as u64);
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    /// Reads a recipe for references of these plain sizes, in bytes.
    pub fn from_bytes(bytes: &[u8], sizes_bytes: &[u64]) -> Result<Self, Error> {
        let rest = bytes.strip_prefix(FIRST_LINE).ok_or(Error::NotARecipe)?;
        let (recompression, rest) = take_part(rest)?;
        let (delta, rest) = take_part(rest)?;
        if !rest.is_empty() {
            return Err(Error::Malformed);
        }
        Ok(Self {
            recompression: match recompression.is_empty() {
                true => None,
                false => Some(Recompression::from_bytes(recompression)?),
            },
            delta: Delta::from_bytes(delta, sizes_bytes)?,
        })
    }

    /// Whether it makes what the signed inventory says of it.
    pub fn check(&self, plain_size_bytes: u64, segments: usize) -> Result<(), Error> {
        let recompressed = self.recompression.as_ref().map(Recompression::plain_bytes);
        let sizes = [Some(self.delta.plain_bytes()), recompressed];
        for found in sizes.into_iter().flatten() {
            if found != plain_size_bytes {
                let said = plain_size_bytes;
                return Err(Error::OtherSize { found, said });
            }
        }
        let found = self.delta.segments().len();
        match found == segments {
            true => Ok(()),
            false => Err(Error::OtherSegments {
                found,
                said: segments,
            }),
        }
    }

    /// Writes the plain bytes.
    pub fn apply(
        &self,
        references: &[&dyn ReadAt],
        segments: &mut dyn FnMut(usize) -> std::io::Result<Vec<u8>>,
        output: &mut dyn Rebuilt,
    ) -> Result<u64, Error> {
        Ok(apply_delta(&self.delta, references, segments, output)?)
    }
}

/// Writes a layer as it was, from its plain bytes.
pub fn put_together(
    recompression: Option<&Recompression>,
    plain: &mut (impl Read + Send),
    output: &mut (impl Write + Send),
    (threads, corrector): (NonZeroUsize, &Corrector),
) -> Result<u64, Error> {
    Ok(match recompression {
        Some(found) => gzip::put_together(found, plain, output, threads, corrector)?,
        None => std::io::copy(plain, output).map_err(gzip::Error::Io)?,
    })
}

fn put_length(bytes: &mut Vec<u8>, mut length: u64) {
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push((length & 0x7f) as u8);
}

fn take_part(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (length, rest) = take_length(bytes).ok_or(Error::Malformed)?;
    let length = usize::try_from(length).map_err(|_| Error::Malformed)?;
    rest.split_at_checked(length).ok_or(Error::Malformed)
}

/// A varint in its shortest form.
fn take_length(mut bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut length = 0_u64;
    for number in 0..VARINT_MAX_BYTES {
        let (byte, rest) = bytes.split_first()?;
        let bits = u64::from(byte & 0x7f);
        let shifted = bits
            .checked_shl(7 * number)
            .filter(|it| it >> (7 * number) == bits)?;
        length |= shifted;
        bytes = rest;
        if byte & 0x80 == 0 {
            let is_shortest = number == 0 || bits != 0;
            return is_shortest.then_some((length, bytes));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_spelling() {
        for length in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_length(&mut bytes, length);
            assert_eq!(take_length(&bytes), Some((length, &[][..])), "{length}");
            bytes.pop();
            assert_eq!(take_length(&bytes), None, "{length}, cut off");
        }
        for wrong in [&[0x80, 0][..], &[0xff; 10], &[0xff; 11], &[0x80; 9]] {
            assert_eq!(take_length(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_recipe_is_refused() {
        for wrong in [
            &b""[..],
            b"airlift recipe 2\n\0\0",
            b"airlift recipe 1\n",
            b"airlift recipe 1\n\0\x05ab",
            b"airlift recipe 1\n\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        ] {
            assert!(Recipe::from_bytes(wrong, &[]).is_err(), "{wrong:?}");
        }
    }
}
