//! Making a delta: the matcher on this thread, the compressors beside it.

use std::io;
use std::thread;

use super::draft::Draft;
use super::error::Result;
use super::index::{AnchorIndex, check_layer};
use super::limits::{MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES};
use super::matcher::Matcher;
use super::pool::Pool;
use super::recipe::Delta;
use super::source::{ReadAt, for_each_block};
use super::window::Window;

/// How much of the new layer is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// How many bytes of literals go into one segment at most: as many as keep two compressors within their memory.
const SEGMENT_BYTES: usize = 8 << 20;

const _: () = assert!(MIN_SEGMENT_BYTES <= SEGMENT_BYTES && SEGMENT_BYTES <= MAX_SEGMENT_BYTES);

/// How a delta is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The level of zstd.
    pub level: i32,
    /// How many segments are compressed at once, up to the few that memory allows.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: 5,
            threads: 2,
        }
    }
}

/// Describes `new` by `references`, which `index` knows under the numbers that they have here. The compressed segments
/// go to `sink` in order. With the delta come the anchors that `new` would add to the index.
pub fn make_delta(
    new: &dyn ReadAt,
    index: &AnchorIndex,
    references: &[&dyn ReadAt],
    options: Options,
    sink: &mut dyn FnMut(Vec<u8>) -> io::Result<()>,
) -> Result<(Delta, AnchorIndex)> {
    make_in_segments(new, index, references, options, SEGMENT_BYTES, sink)
}

/// As [`make_delta`], with segments of at most `segment_bytes`.
pub(super) fn make_in_segments(
    new: &dyn ReadAt,
    index: &AnchorIndex,
    references: &[&dyn ReadAt],
    options: Options,
    segment_bytes: usize,
    sink: &mut dyn FnMut(Vec<u8>) -> io::Result<()>,
) -> Result<(Delta, AnchorIndex)> {
    let sizes_bytes: Vec<u64> = references
        .iter()
        .map(|reference| reference.size_bytes())
        .collect();
    for (number, layer) in references.iter().enumerate() {
        check_layer(number, *layer)?;
    }
    check_layer(0, new)?;
    let own_number = references.len();
    let layers = references.iter().copied().chain([new]).collect();
    thread::scope(|scope| {
        let pool = Pool::new(scope, references, options, sink);
        let draft = Draft::new(&sizes_bytes, segment_bytes, pool);
        let mut matcher = Matcher::new(index, Window::new(layers), own_number, draft);
        for_each_block(new, own_number, READ_BYTES, |start, block| {
            matcher.walk(start, block)
        })?;
        let (draft, own) = matcher.into_parts();
        Ok((draft.finish(new.size_bytes())?, own))
    })
}
