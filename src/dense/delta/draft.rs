//! A delta in the making: operations are written down, literals are gathered into segments, full segments go to the
//! compressors.

use super::branches::put_targets;
use super::error::{Error, Result};
use super::limits::{MAX_PLACES, MAX_RECIPE_BYTES, MIN_SEGMENT_BYTES};
use super::ops::{Op, OpWriter};
use super::pool::Pool;
use super::prefix::{MAX_PLACES_PER_SEGMENT, Neighbourhood, Point};
use super::recipe::Delta;
use super::room::Room;
use super::segment::{Place, Segment};

/// From this length of the operations on there are no more copies, so that a recipe keeps its limit.
const FULL_RECIPE_BYTES: usize = MAX_RECIPE_BYTES / 2;

/// With each such step on the way there the shortest copy becomes twice as long.
const RECIPE_STEP_BYTES: usize = FULL_RECIPE_BYTES / 8;

/// The shortest copy that says where its neighbours belong: shorter ones are found by accident too.
const NEIGHBOUR_MIN_BYTES: u64 = 1024;

/// What is known so far of the delta of one layer.
pub(super) struct Draft<'scope, 'env> {
    sizes_bytes: &'env [u64],
    pool: Pool<'scope, 'env>,
    ops: OpWriter,
    segments: Vec<Segment>,
    places_left: usize,
    segment_bytes: usize,
    /// The literals of the segment that is being filled.
    literals: Room,
    neighbourhood: Neighbourhood,
    /// The length of the literal that is being gathered, and how much of it is in this segment.
    run_bytes: u64,
    run_bytes_here: usize,
    /// How many literals this segment has since the last copy that says where they belong.
    stray_bytes: u64,
    /// Where they belong if the layer went on as the reference did.
    before: Option<Point>,
}

impl<'scope, 'env> Draft<'scope, 'env> {
    pub(super) fn new(
        sizes_bytes: &'env [u64],
        segment_bytes: usize,
        pool: Pool<'scope, 'env>,
    ) -> Self {
        Self {
            sizes_bytes,
            pool,
            ops: OpWriter::new(sizes_bytes.len()),
            segments: Vec::new(),
            places_left: MAX_PLACES,
            segment_bytes,
            literals: Room::with_capacity(0),
            neighbourhood: Neighbourhood::default(),
            run_bytes: 0,
            run_bytes_here: 0,
            stray_bytes: 0,
            // A guess that serves small layers, which have no copy before their first literal.
            before: (!sizes_bytes.is_empty()).then_some(Point {
                reference: 0,
                offset: 0,
            }),
        }
    }

    /// The shortest copy that is worth its bytes in the recipe, when it would be `shortest` in a short one.
    pub(super) fn min_copy_bytes(&self, shortest: u64) -> u64 {
        match self.ops.len() {
            length @ 0..FULL_RECIPE_BYTES => shortest << (length / RECIPE_STEP_BYTES),
            _ => u64::MAX,
        }
    }

    /// Appends bytes that no layer is known to have.
    pub(super) fn literal(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.literals.is_empty() {
                self.literals.reset(self.segment_bytes);
            }
            let room = self.segment_bytes - self.literals.len();
            let (here, rest) = bytes.split_at(room.min(bytes.len()));
            self.literals.extend(here);
            self.run_bytes += here.len() as u64;
            self.run_bytes_here += here.len();
            self.stray_bytes += here.len() as u64;
            bytes = rest;
            if self.literals.len() == self.segment_bytes {
                self.close_segment()?;
            }
        }
        Ok(())
    }

    /// The end of the literal that can still be taken back.
    pub(super) fn tail(&self) -> &[u8] {
        &self.literals[self.literals.len() - self.run_bytes_here..]
    }

    /// Takes back the last `length` bytes of the literal, no more than [`Self::tail`] has.
    pub(super) fn retract(&mut self, length: usize) {
        self.literals.truncate(self.literals.len() - length);
        self.run_bytes -= length as u64;
        self.run_bytes_here -= length;
        self.stray_bytes = self.stray_bytes.saturating_sub(length as u64);
    }

    /// Appends a copy, or more of the one before.
    pub(super) fn copy(&mut self, reference: usize, offset: u64, length: u64) -> Result<()> {
        if self.run_bytes > 0 {
            self.ops.push(Op::Literal {
                length: self.run_bytes,
            });
            self.run_bytes = 0;
            self.run_bytes_here = 0;
        }
        if reference < self.sizes_bytes.len() {
            self.settle(Point { reference, offset }, length)?;
        }
        self.ops.push(Op::Copy {
            reference,
            offset,
            length,
        });
        Ok(())
    }

    /// Says where the literals before and after a copy of `length` bytes from `start` belong, if it is long.
    fn settle(&mut self, start: Point, length: u64) -> Result<()> {
        let end = Point {
            offset: start.offset + length,
            ..start
        };
        if self.before == Some(start) && self.stray_bytes == 0 {
            self.before = Some(end);
        } else if length >= NEIGHBOUR_MIN_BYTES {
            let stray_bytes = std::mem::take(&mut self.stray_bytes);
            self.neighbourhood
                .add(stray_bytes, self.before, Some(start));
            self.before = Some(end);
            if self.neighbourhood.is_full() && self.literals.len() >= MIN_SEGMENT_BYTES {
                self.close_segment()?;
            }
        }
        Ok(())
    }

    /// Hands the literals on to be compressed. A literal in the middle of which a segment ends goes on in the next one,
    /// and is expected as much further on in the reference.
    fn close_segment(&mut self) -> Result<()> {
        self.run_bytes_here = 0;
        let here = std::mem::take(&mut self.stray_bytes);
        self.neighbourhood.add(here, self.before, None);
        if let Some(before) = &mut self.before {
            before.offset = (before.offset + here).min(self.sizes_bytes[before.reference]);
        }
        let places = self.choose_places(self.literals.len());
        let segment = Segment {
            plain_bytes: self.literals.len(),
            // Places have distances.
            has_targets: places.is_empty() && put_targets(&mut self.literals),
            places,
        };
        self.pool.submit(&mut self.literals, &segment.places)?;
        self.segments.push(segment);
        Ok(())
    }

    fn choose_places(&mut self, literal_bytes: usize) -> Vec<Place> {
        let neighbourhood = std::mem::take(&mut self.neighbourhood);
        let mut places = neighbourhood.choose(self.sizes_bytes, literal_bytes);
        places.truncate(self.places_left.min(MAX_PLACES_PER_SEGMENT));
        self.places_left -= places.len();
        places
    }

    /// Waits for the compressors and gives the delta of a layer of `plain_bytes`.
    pub(super) fn finish(mut self, plain_bytes: u64) -> Result<Delta> {
        if self.run_bytes > 0 {
            self.ops.push(Op::Literal {
                length: self.run_bytes,
            });
        }
        if !self.literals.is_empty() {
            self.close_segment()?;
        }
        self.pool.finish()?;
        let ops = self.ops.finish();
        if ops.len() > MAX_RECIPE_BYTES {
            return Err(Error::RecipeTooLong {
                bytes: Some(ops.len() as u64),
            });
        }
        Ok(Delta {
            plain_bytes,
            references: self.sizes_bytes.len(),
            segments: self.segments,
            ops,
        })
    }
}
