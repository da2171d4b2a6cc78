//! Differences between decompressed layers: copies out of older ones, and literals that are compressed beside them.
//!
//! [`AnchorIndex`] learns where the references have what; [`make_delta`] walks the new layer once, copies what a reference
//! or the layer itself has already, and compresses the rest by zstd against the places where it belongs in the
//! references; [`apply_delta`] does the reverse. The binary form is
//! described in DELTA.md.
//!
//! It names no layer, fetches none and checks no digest: references are numbered by the caller, and the result counts
//! only if the caller finds its digest right.
//!
//! Invariants: a recipe that was read has passed every limit before it is acted on; memory does not depend on the size
//! of a layer; the number of threads changes no byte.

mod anchor;
mod apply;
mod branches;
mod draft;
mod error;
mod frame;
mod index;
mod limits;
mod make;
mod matcher;
mod ops;
mod pool;
mod prefix;
mod recipe;
mod room;
mod segment;
mod source;
#[cfg(test)]
mod tests;
mod used;
mod varint;
mod window;

pub use apply::{Rebuilt, apply_delta};
pub use error::{Error, Result};
pub use index::{AnchorIndex, MAX_ANCHORS};
pub use limits::{
    MAX_PLACES, MAX_PLAIN_BYTES, MAX_PREFIX_BYTES, MAX_RECIPE_BYTES, MAX_REFERENCES,
    MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES,
};
pub use make::{Options, make_delta};
pub use ops::Op;
pub use recipe::Delta;
pub use segment::{Place, Segment};
pub use source::{PlainFile, ReadAt};
