//! The named limits of a delta: what a reader refuses, and what a writer therefore never makes.
//!
//! A recipe comes out of a bundle that somebody else wrote. Each limit stands between one of its numbers and memory,
//! disk or time.

/// The longest layer that a delta describes, in plain bytes: 256 GiB.
pub const MAX_PLAIN_BYTES: u64 = 1 << 38;

/// The longest recipe in bytes. With it the number of its operations is bounded too.
pub const MAX_RECIPE_BYTES: usize = 16 << 20;

/// The most references that one delta names.
pub const MAX_REFERENCES: usize = 1024;

/// The most literals that one segment holds, in plain bytes.
pub const MAX_SEGMENT_BYTES: usize = 8 << 20;

/// The fewest literals in a segment that is not the last one, in plain bytes.
///
/// Each segment costs a reader its whole prefix, so that many short ones would be many reads for few bytes.
pub const MIN_SEGMENT_BYTES: usize = 1 << 20;

/// The most bytes that the places of one prefix have together.
pub const MAX_PREFIX_BYTES: usize = 32 << 20;

/// The most places that the prefixes of one delta have together.
pub const MAX_PLACES: usize = 1 << 18;
