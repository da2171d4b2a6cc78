//! Deflate encoders whose output is the same, byte for byte, as that of the programs that write most layers.
//!
//! The output of a compressor is a pure function of its input and level; what these programs do (hash tables, match
//! rules, block splitting, construction of codes) is written here in our own words, and held by streams that the real
//! programs wrote (`fixtures/encoders`).
