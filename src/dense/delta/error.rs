//! What can be wrong with a delta, its references and its segments.
//!
//! Every variant that a hostile recipe can provoke names the limit or the rule that it broke.

use std::io;

use super::limits::{
    MAX_PLACES, MAX_PLAIN_BYTES, MAX_PREFIX_BYTES, MAX_RECIPE_BYTES, MAX_REFERENCES,
    MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES,
};

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {what}")]
    Read { what: String, source: io::Error },
    #[error("cannot write {what}")]
    Write {
        what: &'static str,
        source: io::Error,
    },
    #[error("a layer of {plain_bytes} bytes is beyond the limit of {MAX_PLAIN_BYTES} bytes")]
    LayerTooLong { plain_bytes: u64 },
    #[error("{count} references are beyond the limit of {MAX_REFERENCES}")]
    TooManyReferences { count: u64 },
    #[error("the recipe is made for {expected} references, and there are {actual}")]
    ReferenceCount { expected: usize, actual: usize },
    #[error("a recipe of {} bytes is beyond the limit of {MAX_RECIPE_BYTES} bytes", show(*bytes))]
    RecipeTooLong { bytes: Option<u64> },
    #[error("the recipe cannot be decoded")]
    RecipeDamaged,
    #[error("the recipe ends in the middle of {what}")]
    Truncated { what: &'static str },
    #[error("the recipe is not in its one canonical form: {what}")]
    NotCanonical { what: &'static str },
    #[error("the recipe names reference {number}, and there are only {count}")]
    UnknownReference { number: u64, count: usize },
    #[error(
        "{what} of {length} bytes at {offset} leaves reference {number}, which has {size_bytes} bytes"
    )]
    BeyondReference {
        what: &'static str,
        number: u64,
        offset: u64,
        length: u64,
        size_bytes: u64,
    },
    #[error(
        "a copy of {length} bytes at {offset} out of the new layer is not wholly before its own position {position}"
    )]
    CopyFromAhead {
        offset: u64,
        length: u64,
        position: u64,
    },
    #[error("the operations make more than the {plain_bytes} bytes that the recipe declares")]
    TooMuchOutput { plain_bytes: u64 },
    #[error("the operations make {actual} bytes, and the recipe declares {plain_bytes}")]
    TooLittleOutput { plain_bytes: u64, actual: u64 },
    #[error("the literals have {literal_bytes} bytes, and the segments {segment_bytes}")]
    LiteralSum {
        literal_bytes: u64,
        segment_bytes: u64,
    },
    #[error("a segment of {bytes} bytes is beyond the limit of {MAX_SEGMENT_BYTES} bytes")]
    SegmentTooLong { bytes: u64 },
    #[error(
        "a segment of {bytes} bytes that is not the last one is below the limit of {MIN_SEGMENT_BYTES} bytes"
    )]
    SegmentTooShort { bytes: u64 },
    #[error("a prefix of {bytes} bytes is beyond the limit of {MAX_PREFIX_BYTES} bytes")]
    PrefixTooLong { bytes: u64 },
    #[error("{count} places of prefixes are beyond the limit of {MAX_PLACES}")]
    TooManyPlaces { count: u64 },
    #[error(
        "segment {number} says that it has {} bytes, and the recipe says {expected}",
        show(*declared)
    )]
    SegmentLength {
        number: usize,
        declared: Option<u64>,
        expected: usize,
    },
    #[error("segment {number} cannot be decoded: {reason}")]
    SegmentDamaged { number: usize, reason: &'static str },
    #[error("a segment cannot be compressed: {reason}")]
    Compress { reason: &'static str },
}

/// A length that a frame may have left out.
fn show(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "an unknown number of".to_owned(),
        |bytes| bytes.to_string(),
    )
}
