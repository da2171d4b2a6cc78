//! Making a delta: the matcher on this thread, the compressors beside it.

use std::collections::VecDeque;
use std::io;
use std::thread;

use super::draft::Draft;
use super::error::Result;
use super::index::{AnchorIndex, check_layer};
use super::matcher::Matcher;
use super::pool::Pool;
use super::recipe::Delta;
use super::source::{ReadAt, for_each_block};
use super::window::Window;

/// How much of the new layer is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

pub struct Tuning {
    pub hash_log: u32,
    pub chain_log: u32,
    pub ldm: bool,
    pub ldm_min: u32,
    pub ldm_rate: u32,
    pub previous_first: bool,
    pub prefix_bytes: usize,
    pub prefix_times: usize,
    pub resume: usize,
    pub min_resumed: usize,
    pub min_copy: u64,
    pub own: bool,
    pub segment: usize,
}
pub fn tuning() -> &'static Tuning {
    static T: std::sync::OnceLock<Tuning> = std::sync::OnceLock::new();
    fn v(name: &str, default: usize) -> usize {
        std::env::var(name)
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(default)
    }
    T.get_or_init(|| Tuning {
        hash_log: v("HASH", 20) as u32,
        chain_log: v("CHAIN", 20) as u32,
        ldm: v("LDM", 1) == 1,
        ldm_min: v("LDMMIN", 0) as u32,
        ldm_rate: v("LDMRATE", 0) as u32,
        previous_first: v("PF", 0) == 1,
        prefix_bytes: v("PREFIX", 32) << 20,
        prefix_times: v("TIMES", 8),
        resume: v("RESUME", 1024),
        min_resumed: v("MINRES", 64),
        min_copy: v("MINCOPY", 256) as u64,
        own: v("OWN", 1) == 1,
        segment: v("SEG", 16) << 20,
    })
}

/// How a delta is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The level of zstd.
    pub level: i32,
    /// How many segments are compressed at once.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            level: 3,
            threads: 2,
        }
    }
}

/// Describes `new` by `references`, which `index` knows under the numbers that they have here. The compressed segments
/// go to `sink` in order.
pub fn make_delta(
    new: &dyn ReadAt,
    index: &AnchorIndex,
    references: &[&dyn ReadAt],
    options: Options,
    sink: &mut dyn FnMut(Vec<u8>) -> io::Result<()>,
) -> Result<Delta> {
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
        let pool = Pool {
            scope,
            references,
            level: options.level,
            threads: options.threads.max(1),
            running: VecDeque::new(),
            sink,
        };
        let draft = Draft::new(&sizes_bytes, tuning().segment, pool);
        let mut matcher = Matcher::new(index, Window::new(layers), own_number, draft);
        for_each_block(new, own_number, READ_BYTES, |start, block| {
            matcher.walk(start, block)
        })?;
        matcher.into_draft().finish(new.size_bytes())
    })
}
