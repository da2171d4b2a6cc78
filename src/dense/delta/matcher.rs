//! Finds what of the new layer the references have, and what the new layer has twice.
//!
//! One walk from front to back. Where a copy is under way it is followed byte by byte; where it ends, it is tried a
//! little further on at the same distance (an edit in place); otherwise the next anchor that is known leads to the next
//! copy, which grows backwards into the literal before it. Every copied byte has been compared.

use super::anchor::{Anchor, Roll};
use super::draft::Draft;
use super::error::Result;
use super::index::{AnchorIndex, MAX_ANCHORS};
use super::window::{Window, common_end, common_start};

/// How far after the end of a copy it is looked for again at the same distance: past the header of a file in a tar.
const RESUME_BYTES: usize = 1024;

/// How much must be equal there in a reference, whose bytes stand beside shorter pieces in the prefix of a segment.
const MIN_RESUMED_BYTES: u64 = 256;

/// How much must be equal there in the new layer, most of which no segment has in its prefix.
const MIN_RESUMED_OWN_BYTES: u64 = 32;

/// The most anchors of the new layer itself.
const MAX_OWN_ANCHORS: usize = MAX_ANCHORS / 2;

/// The shortest copy that an anchor leads to. Shorter ones cost as much in the recipe as in a segment.
const MIN_COPY_BYTES: u64 = 128;

/// A copy under way: the byte that comes next, and how many more there may be.
#[derive(Clone, Copy)]
struct Course {
    layer: usize,
    offset: u64,
    room: u64,
}

/// The walk over one new layer.
pub(super) struct Matcher<'a, 'scope, 'env> {
    index: &'a AnchorIndex,
    /// Anchors among the literals of the new layer itself.
    own: AnchorIndex,
    own_number: usize,
    window: Window<'a>,
    draft: Draft<'scope, 'env>,
    roll: Roll,
    /// The anchors of the block, kept for its memory.
    anchors: Vec<Anchor>,
    copying: Option<Course>,
}

impl<'a, 'scope, 'env> Matcher<'a, 'scope, 'env> {
    /// A matcher whose `window` shows the references and, as the last one, the new layer.
    pub(super) fn new(
        index: &'a AnchorIndex,
        window: Window<'a>,
        own_number: usize,
        draft: Draft<'scope, 'env>,
    ) -> Self {
        Self {
            index,
            own: AnchorIndex::with_capacity(MAX_OWN_ANCHORS),
            own_number,
            window,
            draft,
            roll: Roll::default(),
            anchors: Vec::new(),
            copying: None,
        }
    }

    /// The draft with everything that was found, and the anchors that no reference had.
    pub(super) fn into_parts(self) -> (Draft<'scope, 'env>, AnchorIndex) {
        (self.draft, self.own)
    }

    /// Goes on over `block`, which stands at `start` in the new layer.
    pub(super) fn walk(&mut self, start: u64, block: &[u8]) -> Result<()> {
        let mut anchors = std::mem::take(&mut self.anchors);
        self.roll.find(block, &mut anchors);
        let mut ahead = anchors.iter();
        let mut at = 0;
        while at < block.len() {
            at = match self.copying {
                Some(course) => at + self.follow(course, &block[at..])?,
                None => self.seek(start, block, at, &mut ahead)?,
            };
        }
        self.anchors = anchors;
        Ok(())
    }

    /// Copies as much of `new` as is equal; at the first difference tries to resume. Gives how far it went.
    fn follow(&mut self, course: Course, new: &[u8]) -> Result<usize> {
        let Course {
            layer,
            offset,
            room,
        } = course;
        let old = self.window.from(layer, offset)?;
        let room_here = usize::try_from(room).unwrap_or(usize::MAX).min(old.len());
        let equal = common_start(&old[..room_here], new);
        let next = Course {
            layer,
            offset: offset + equal as u64,
            room: room - equal as u64,
        };
        self.copying = Some(next);
        if equal > 0 {
            self.draft.copy(layer, offset, equal as u64)?;
            return Ok(equal);
        }
        self.copying = None;
        self.resume(next, new)
    }

    /// Looks for `course` a little further on; what lies between becomes a literal, whose length is given.
    fn resume(&mut self, course: Course, new: &[u8]) -> Result<usize> {
        let old = self.window.from(course.layer, course.offset)?;
        let shortest = match course.layer == self.own_number {
            true => MIN_RESUMED_OWN_BYTES,
            false => MIN_RESUMED_BYTES,
        };
        let run = self.draft.min_copy_bytes(shortest);
        let skipped = first_equal_run(old, new, RESUME_BYTES, run);
        let Some(skipped) =
            skipped.filter(|skipped| run.saturating_add(*skipped as u64) <= course.room)
        else {
            return Ok(0);
        };
        self.draft.literal(&new[..skipped])?;
        self.copying = Some(Course {
            offset: course.offset + skipped as u64,
            room: course.room - skipped as u64,
            ..course
        });
        Ok(skipped)
    }

    /// Gathers literals from `at` in `block` until one of the anchors ahead leads to a copy. Gives how far it went.
    fn seek(
        &mut self,
        start: u64,
        block: &[u8],
        mut at: usize,
        ahead: &mut std::slice::Iter<Anchor>,
    ) -> Result<usize> {
        for anchor in ahead {
            if anchor.end <= at {
                continue;
            }
            self.draft.literal(&block[at..anchor.end])?;
            at = anchor.end;
            if let Some(copied) = self.start_copy(anchor.hash, start + at as u64, &block[at..])? {
                return Ok(at + copied);
            }
        }
        self.draft.literal(&block[at..])?;
        Ok(block.len())
    }

    /// Starts a copy at the anchor `hash`, which ends at `position`, when a layer has it and the copy is long enough.
    /// `new` is what comes after the anchor; gives how much of it is copied.
    fn start_copy(&mut self, hash: u64, position: u64, new: &[u8]) -> Result<Option<usize>> {
        let own_end = self.own.find(hash).map(|(_, end)| end);
        if let Some((layer, end)) = self.index.find(hash)
            && let Some(copied) = self.try_copy(layer, end, u64::MAX, new)?
        {
            return Ok(Some(copied));
        }
        if let Some(end) = own_end {
            return self.try_copy(self.own_number, end, position - end, new);
        }
        self.own.insert(hash, self.own_number, position);
        Ok(None)
    }

    /// Starts a copy that has the anchor which ends at `end` in `layer` in it, of at most `room` bytes after that.
    fn try_copy(&mut self, layer: usize, end: u64, room: u64, new: &[u8]) -> Result<Option<usize>> {
        let back = self.common_before(layer, end)?;
        let Some(room) = room.checked_sub(back as u64) else {
            return Ok(None);
        };
        let old = self.window.from(layer, end)?;
        let room_here = usize::try_from(room).unwrap_or(usize::MAX).min(old.len());
        let forward = common_start(&old[..room_here], new);
        let length = (back + forward) as u64;
        if length < self.draft.min_copy_bytes(MIN_COPY_BYTES) {
            return Ok(None);
        }
        self.draft.retract(back);
        self.draft.copy(layer, end - back as u64, length)?;
        self.copying = Some(Course {
            layer,
            offset: end + forward as u64,
            room: room - forward as u64,
        });
        Ok(Some(forward))
    }

    /// How many bytes before `end` in `layer` are those at the end of the literal.
    fn common_before(&mut self, layer: usize, end: u64) -> Result<usize> {
        let mut equal = 0;
        loop {
            let tail = self.draft.tail();
            let tail = &tail[..tail.len() - equal];
            let old = self.window.before(layer, end - equal as u64)?;
            let more = common_end(old, tail);
            equal += more;
            if more == 0 || more < old.len() {
                return Ok(equal);
            }
        }
    }
}

/// Where in the first `reach` bytes both slices begin to be equal for at least `run` bytes.
fn first_equal_run(old: &[u8], new: &[u8], reach: usize, run: u64) -> Option<usize> {
    let run = usize::try_from(run).ok()?;
    let mut equal = 0;
    for (i, (a, b)) in old
        .iter()
        .zip(new)
        .enumerate()
        .take(reach.saturating_add(run))
    {
        equal = if a == b { equal + 1 } else { 0 };
        if equal == run {
            return Some(i + 1 - run);
        }
    }
    None
}
