//! Differences between decompressed layers: copies out of older ones, and literals that are compressed beside them.

mod anchor;
mod apply;
mod draft;
mod error;
mod index;
mod limits;
pub mod make;
mod matcher;
mod ops;
mod pool;
mod prefix;
mod recipe;
mod segment;
mod sketch;
mod source;
mod used;
mod varint;
mod window;

pub use apply::{Rebuilt, apply_delta};
pub use error::{Error, Result};
pub use index::{AnchorIndex, MAX_ANCHORS};
pub use limits::*;
pub use make::{Options, make_delta};
pub use ops::Op;
pub use recipe::{Delta, Place, Segment};
pub use sketch::Sketch;
pub use source::{PlainFile, ReadAt};
