//! The bytes of a recompression in a bundle, written in one way and read strictly.
//!
//! There is one form for each recompression: numbers are shortest, runs are as long as they can be, nothing is behind
//! the end. Every count is checked against its limit, and no memory is set aside for more than was read.

use super::Error;
use super::corrections::check_parameters;
use super::header::is_header;
use super::limits::{
    CHUNK_CORRECTIONS_BYTES_MAX, CHUNK_PLAIN_BYTES_MAX, CORRECTED_PLAIN_BYTES_MAX,
    CORRECTIONS_BYTES_MAX, HEADER_BYTES_MAX, HEADERS_BYTES_MAX, MEMBERS_MAX, METHOD_NAME_BYTES_MAX,
    TRAILING_BYTES_MAX,
};
use super::method::{Encoder, Method};
use super::recompression::{Chunk, Members, Recompression, Run};

/// The first byte: which form follows.
const FORM: u8 = 1;

impl Recompression {
    /// The bytes of the format: the same for the same recompression.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORM];
        put_number(&mut bytes, self.runs.len() as u64);
        for run in &self.runs {
            put_bytes(&mut bytes, &run.header);
            put_bytes(&mut bytes, run.method().to_string().as_bytes());
            put_members(&mut bytes, &run.members);
        }
        put_bytes(&mut bytes, &self.trailing);
        bytes
    }

    /// Reads the bytes of the format, all of them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reading = Reading {
            rest: bytes,
            totals: Totals::default(),
        };
        if reading.byte()? != FORM {
            return Err(Error::damaged("its form is unknown"));
        }
        let count = reading.number_up_to("runs", MEMBERS_MAX)?;
        let mut runs: Vec<Run> = Vec::new();
        for _ in 0..count {
            let run = reading.run()?;
            if runs.last().is_some_and(|before| before.could_take(&run)) {
                return Err(Error::damaged("two runs should be one"));
            }
            runs.push(run);
        }
        if runs.is_empty() {
            return Err(Error::damaged("it has no member"));
        }
        let trailing =
            reading.bytes_up_to("bytes behind its last member", TRAILING_BYTES_MAX as u64)?;
        match reading.rest {
            [] => Ok(Self {
                runs,
                trailing: trailing.to_vec(),
            }),
            _ => Err(Error::damaged("something is behind its end")),
        }
    }
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [group, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        if number == 0 {
            return bytes.push(group);
        }
        bytes.push(group | 0x80);
    }
}

fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put_number(bytes, value.len() as u64);
    bytes.extend(value);
}

fn put_members(bytes: &mut Vec<u8>, members: &Members) {
    match members {
        Members::Exact {
            encoder: _,
            plain_bytes,
        } => {
            put_number(bytes, plain_bytes.len() as u64);
            for &length in plain_bytes {
                put_number(bytes, length);
            }
        }
        Members::Corrected { chunks } => {
            put_number(bytes, chunks.len() as u64);
            for chunk in chunks {
                put_number(bytes, chunk.plain_bytes);
                put_bytes(bytes, &chunk.corrections);
            }
        }
    }
}

/// What is left to be read, and what was read of everything that is limited as a whole.
struct Reading<'a> {
    rest: &'a [u8],
    totals: Totals,
}

#[derive(Default)]
struct Totals {
    members: u64,
    headers_bytes: u64,
    corrections_bytes: u64,
    plain_bytes: u64,
}

/// Adds to a total, which must stay within its limit.
fn add(total: &mut u64, number: u64, what: &'static str, limit: u64) -> Result<(), Error> {
    *total = total
        .checked_add(number)
        .filter(|&sum| sum <= limit)
        .ok_or(Error::Limit { what, limit })?;
    Ok(())
}

impl<'a> Reading<'a> {
    fn byte(&mut self) -> Result<u8, Error> {
        let (&byte, rest) = self.rest.split_first().ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(byte)
    }

    /// A number in groups of seven bits, the lowest first, in as few bytes as hold it.
    fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let group = u64::from(byte & 0x7f);
            if group << shift >> shift != group || (byte == 0 && shift > 0) {
                return Err(Error::damaged("a number is not in its shortest form"));
            }
            number |= group << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Error::damaged("a number is not in its shortest form"))
    }

    fn number_up_to(&mut self, what: &'static str, limit: u64) -> Result<u64, Error> {
        let number = self.number()?;
        match number <= limit {
            true => Ok(number),
            false => Err(Error::Limit { what, limit }),
        }
    }

    fn bytes_up_to(&mut self, what: &'static str, limit: u64) -> Result<&'a [u8], Error> {
        let length = usize::try_from(self.number_up_to(what, limit)?).map_err(|_| ENDS_EARLY)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(ENDS_EARLY)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn run(&mut self) -> Result<Run, Error> {
        let header = self.bytes_up_to("bytes in a header", HEADER_BYTES_MAX as u64)?;
        add(
            &mut self.totals.headers_bytes,
            header.len() as u64,
            "bytes of headers",
            HEADERS_BYTES_MAX,
        )?;
        if !is_header(header) {
            return Err(Error::damaged("a header is none"));
        }
        let members = match self.method()? {
            Method::Exact(encoder) => self.exact(encoder)?,
            Method::Corrected => self.corrected()?,
        };
        Ok(Run {
            header: header.to_vec(),
            members,
        })
    }

    fn method(&mut self) -> Result<Method, Error> {
        let name = self.bytes_up_to(
            "bytes in the name of a method",
            METHOD_NAME_BYTES_MAX as u64,
        )?;
        String::from_utf8_lossy(name).parse()
    }

    fn exact(&mut self, encoder: Encoder) -> Result<Members, Error> {
        let count = self.count("a run has no member")?;
        add(&mut self.totals.members, count, "members", MEMBERS_MAX)?;
        let mut plain_bytes = Vec::new();
        for _ in 0..count {
            plain_bytes.push(self.plain_length()?);
        }
        Ok(Members::Exact {
            encoder,
            plain_bytes,
        })
    }

    fn corrected(&mut self) -> Result<Members, Error> {
        add(&mut self.totals.members, 1, "members", MEMBERS_MAX)?;
        let count = self.count("a member has no chunk")?;
        let mut chunks = Vec::new();
        let mut member_bytes = 0;
        for _ in 0..count {
            let chunk = self.chunk()?;
            if chunks.is_empty() {
                check_parameters(&chunk.corrections)?;
            }
            add(
                &mut member_bytes,
                chunk.plain_bytes,
                "bytes in a corrected member",
                CORRECTED_PLAIN_BYTES_MAX,
            )?;
            chunks.push(chunk);
        }
        Ok(Members::Corrected { chunks })
    }

    fn chunk(&mut self) -> Result<Chunk, Error> {
        let plain_bytes = self.plain_length()?;
        let limit = CHUNK_PLAIN_BYTES_MAX as u64;
        if plain_bytes > limit {
            return Err(Error::Limit {
                what: "plain bytes in a chunk",
                limit,
            });
        }
        let corrections = self.bytes_up_to(
            "bytes of corrections in a chunk",
            CHUNK_CORRECTIONS_BYTES_MAX as u64,
        )?;
        let total = &mut self.totals.corrections_bytes;
        add(
            total,
            corrections.len() as u64,
            "bytes of corrections",
            CORRECTIONS_BYTES_MAX,
        )?;
        Ok(Chunk {
            plain_bytes,
            corrections: corrections.to_vec(),
        })
    }

    /// A count that is not zero. It needs no limit of its own: everything that is counted takes bytes.
    fn count(&mut self, none: &'static str) -> Result<u64, Error> {
        match self.number()? {
            0 => Err(Error::damaged(none)),
            count => Ok(count),
        }
    }

    fn plain_length(&mut self) -> Result<u64, Error> {
        let length = self.number()?;
        add(
            &mut self.totals.plain_bytes,
            length,
            "plain bytes",
            i64::MAX.cast_unsigned(),
        )?;
        Ok(length)
    }
}

const ENDS_EARLY: Error = Error::damaged("it ends early");
