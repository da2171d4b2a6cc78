//! The operations of a recipe, in the bytes in which they are kept and carried.
//!
//! They stay encoded in memory, at a few bytes each, and are decoded as they are walked. An operation starts with a
//! number: its length times four, plus its kind. A copy that goes on at the distance from the output at which the last
//! copy stood (the usual case after an edit in place) needs nothing else.

use super::error::{Error, Result};
use super::varint::{self, Input};

const LITERAL: u64 = 0;
const COPY_ALIGNED: u64 = 1;
const COPY: u64 = 2;

/// One step in making the new layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `length` bytes of reference `reference` from `offset`. The number after the last reference is the new layer.
    Copy {
        reference: usize,
        offset: u64,
        length: u64,
    },
    /// The next `length` bytes of the segments.
    Literal { length: u64 },
}

impl Op {
    pub fn length(&self) -> u64 {
        match *self {
            Self::Copy { length, .. } | Self::Literal { length } => length,
        }
    }
}

/// Where the copies of each reference stand against the output.
#[derive(Clone)]
struct Course {
    position: u64,
    distances: Vec<i64>,
    last_copied: usize,
    previous: Option<Op>,
}

impl Course {
    fn new(references: usize) -> Self {
        Self {
            position: 0,
            distances: vec![0; references + 1],
            last_copied: 0,
            previous: None,
        }
    }

    /// Where a copy out of `reference` is expected to start.
    fn expected(&self, reference: usize) -> i64 {
        self.position
            .cast_signed()
            .wrapping_add(self.distances[reference])
    }

    fn advance(&mut self, op: Op) {
        if let Op::Copy {
            reference, offset, ..
        } = op
        {
            self.distances[reference] = offset
                .cast_signed()
                .wrapping_sub(self.position.cast_signed());
            self.last_copied = reference;
        }
        self.position = self.position.saturating_add(op.length());
        self.previous = Some(op);
    }

    /// Whether `reference` stands for the new layer. Its copies must end before they start, so that what belongs together
    /// may have to stay in pieces.
    fn is_own(&self, reference: usize) -> bool {
        reference + 1 == self.distances.len()
    }

    /// Whether `op` only goes on with the operation before it, so that the two should be one.
    fn continues(&self, op: Op) -> bool {
        match (self.previous, op) {
            (Some(Op::Literal { .. }), Op::Literal { .. }) => true,
            (
                Some(Op::Copy {
                    reference: before, ..
                }),
                Op::Copy {
                    reference, offset, ..
                },
            ) => {
                before == reference
                    && !self.is_own(reference)
                    && offset.cast_signed() == self.expected(reference)
            }
            _ => false,
        }
    }
}

/// Encodes operations, merging those that belong together.
pub(super) struct OpWriter {
    bytes: Vec<u8>,
    course: Course,
    pending: Option<Op>,
}

impl OpWriter {
    pub(super) fn new(references: usize) -> Self {
        Self {
            bytes: Vec::new(),
            course: Course::new(references),
            pending: None,
        }
    }

    /// Appends `op`; one of no length is dropped.
    pub(super) fn push(&mut self, op: Op) {
        if op.length() == 0 {
            return;
        }
        if !self.merge(op) {
            self.flush();
            self.pending = Some(op);
        }
    }

    /// Makes the operation before longer by `op` if that says the same.
    fn merge(&mut self, op: Op) -> bool {
        match (&mut self.pending, op) {
            (Some(Op::Literal { length }), Op::Literal { length: more }) => *length += more,
            (
                Some(Op::Copy {
                    reference,
                    offset,
                    length,
                }),
                Op::Copy {
                    reference: next,
                    offset: start,
                    length: more,
                },
            ) if *reference == next && *offset + *length == start => {
                if self.course.is_own(next) && start + more > self.course.position {
                    return false;
                }
                *length += more;
            }
            _ => return false,
        }
        true
    }

    /// How many bytes are written so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.bytes
    }

    fn flush(&mut self) {
        let Some(op) = self.pending.take() else {
            return;
        };
        match op {
            Op::Literal { length } => varint::put(&mut self.bytes, length << 2 | LITERAL),
            Op::Copy {
                reference,
                offset,
                length,
            } => {
                let difference = offset
                    .cast_signed()
                    .wrapping_sub(self.course.expected(reference));
                if reference == self.course.last_copied && difference == 0 {
                    varint::put(&mut self.bytes, length << 2 | COPY_ALIGNED);
                } else {
                    varint::put(&mut self.bytes, length << 2 | COPY);
                    varint::put(&mut self.bytes, reference as u64);
                    varint::put_signed(&mut self.bytes, difference);
                }
            }
        }
        self.course.advance(op);
    }
}

/// Decodes operations. It refuses what is not canonical and references that are not there; whether a copy lies
/// within its reference is for the caller to check.
#[derive(Clone)]
pub(super) struct OpReader<'a> {
    input: Input<'a>,
    course: Course,
    references: usize,
}

impl<'a> OpReader<'a> {
    pub(super) fn new(bytes: &'a [u8], references: usize) -> Self {
        Self {
            input: Input { bytes },
            course: Course::new(references),
            references,
        }
    }

    fn read(&mut self) -> Result<Op> {
        let head = self.input.take("an operation")?;
        let length = head >> 2;
        let op = match head & 3 {
            LITERAL => Op::Literal { length },
            COPY_ALIGNED => self.copy(self.course.last_copied, 0, length),
            COPY => self.read_copy(length)?,
            _ => return Err(not_canonical("an operation of a kind that does not exist")),
        };
        if length == 0 {
            return Err(not_canonical("an operation of no length"));
        }
        if self.course.continues(op) {
            return Err(not_canonical(
                "an operation that goes on with the one before it",
            ));
        }
        self.course.advance(op);
        Ok(op)
    }

    fn read_copy(&mut self, length: u64) -> Result<Op> {
        let number = self.input.take("the reference of a copy")?;
        let count = self.references + 1;
        let reference = usize::try_from(number)
            .ok()
            .filter(|reference| *reference < count)
            .ok_or(Error::UnknownReference { number, count })?;
        let difference = self.input.take_signed("the offset of a copy")?;
        if reference == self.course.last_copied && difference == 0 {
            return Err(not_canonical("a copy that has a shorter spelling"));
        }
        Ok(self.copy(reference, difference, length))
    }

    /// A copy that starts `difference` after the expected place. An offset below zero becomes a very large one, which
    /// is beyond the end of every reference.
    fn copy(&self, reference: usize, difference: i64, length: u64) -> Op {
        let offset = self
            .course
            .expected(reference)
            .wrapping_add(difference)
            .cast_unsigned();
        Op::Copy {
            reference,
            offset,
            length,
        }
    }
}

impl Iterator for OpReader<'_> {
    type Item = Result<Op>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.input.bytes.is_empty()).then(|| self.read())
    }
}

fn not_canonical(what: &'static str) -> Error {
    Error::NotCanonical { what }
}
