//! What parent and child say to each other: a kind, lengths, and bytes.
//!
//! Both are the same program, so there is no version; lengths are checked all the same, since the child reads what
//! somebody made up.

use std::io::{self, ErrorKind, Read, Write};

use super::super::limits::{
    CHUNK_COMPRESSED_BYTES_MAX, CHUNK_CORRECTIONS_BYTES_MAX, CHUNK_PLAIN_BYTES_MAX,
};

/// What the child is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// A member follows that is to be predicted.
    BeginAnalysis,
    /// More compressed bytes of it.
    Analyse { compressed: Vec<u8> },
    /// A member follows that is to be made again.
    BeginRecreation,
    /// A chunk of it.
    Recreate {
        plain: Vec<u8>,
        corrections: Vec<u8>,
    },
}

/// What the child says to more compressed bytes, or to a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The crate cannot, or the corrections do not fit.
    No,
    /// The memory does not suffice.
    NoMemory,
    /// No block is whole in what was given.
    NeedsMore,
    /// Blocks were predicted, and made again as they were.
    Predicted(Predicted),
    /// A chunk was made again.
    Recreated { compressed: Vec<u8> },
}

/// Some blocks of a member.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Predicted {
    /// How many compressed bytes they take.
    pub(super) compressed_bytes: usize,
    /// Whether they are the last ones.
    pub(super) is_last: bool,
    pub(super) plain: Vec<u8>,
    pub(super) corrections: Vec<u8>,
}

impl Request {
    pub(super) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        match self {
            Self::BeginAnalysis => output.write_all(&[1]),
            Self::Analyse { compressed } => {
                output.write_all(&[2])?;
                write_bytes(output, compressed)
            }
            Self::BeginRecreation => output.write_all(&[3]),
            Self::Recreate { plain, corrections } => {
                output.write_all(&[4])?;
                write_bytes(output, plain)?;
                write_bytes(output, corrections)
            }
        }
    }

    /// The next one; `None` at the end.
    pub(super) fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut kind = [0];
        if input.read(&mut kind)? == 0 {
            return Ok(None);
        }
        Ok(Some(match kind {
            [1] => Self::BeginAnalysis,
            [2] => Self::Analyse {
                compressed: read_bytes(input, CHUNK_COMPRESSED_BYTES_MAX)?,
            },
            [3] => Self::BeginRecreation,
            [4] => Self::Recreate {
                plain: read_bytes(input, CHUNK_PLAIN_BYTES_MAX)?,
                corrections: read_bytes(input, CHUNK_CORRECTIONS_BYTES_MAX)?,
            },
            _ => return Err(ErrorKind::InvalidData.into()),
        }))
    }
}

impl Answer {
    pub(super) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        match self {
            Self::No => output.write_all(&[1]),
            Self::NoMemory => output.write_all(&[5]),
            Self::NeedsMore => output.write_all(&[2]),
            Self::Predicted(predicted) => {
                output.write_all(&[3, u8::from(predicted.is_last)])?;
                write_length(output, predicted.compressed_bytes)?;
                write_bytes(output, &predicted.plain)?;
                write_bytes(output, &predicted.corrections)
            }
            Self::Recreated { compressed } => {
                output.write_all(&[4])?;
                write_bytes(output, compressed)
            }
        }
    }

    pub(super) fn read(input: &mut impl Read) -> io::Result<Self> {
        Ok(match read_byte(input)? {
            1 => Self::No,
            2 => Self::NeedsMore,
            3 => Self::Predicted(Predicted {
                is_last: read_byte(input)? == 1,
                compressed_bytes: read_length(input, CHUNK_COMPRESSED_BYTES_MAX)?,
                plain: read_bytes(input, CHUNK_PLAIN_BYTES_MAX)?,
                corrections: read_bytes(input, CHUNK_CORRECTIONS_BYTES_MAX)?,
            }),
            4 => Self::Recreated {
                compressed: read_bytes(input, CHUNK_COMPRESSED_BYTES_MAX)?,
            },
            5 => Self::NoMemory,
            _ => return Err(ErrorKind::InvalidData.into()),
        })
    }
}

fn write_length(output: &mut impl Write, length: usize) -> io::Result<()> {
    let length = u32::try_from(length).map_err(|_| ErrorKind::InvalidInput)?;
    output.write_all(&length.to_le_bytes())
}

fn write_bytes(output: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    write_length(output, bytes.len())?;
    output.write_all(bytes)
}

fn read_byte(input: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn read_length(input: &mut impl Read, limit: usize) -> io::Result<usize> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_le_bytes(length)).ok();
    length
        .filter(|length| *length <= limit)
        .ok_or_else(|| ErrorKind::InvalidData.into())
}

fn read_bytes(input: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; read_length(input, limit)?];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
