//! What makes a bundle dense: layers without their compression, and only what changed in them.
//!
//! Registries address a layer by the digest of its *compressed* bytes, so a saving counts only if the far side gets
//! those exact bytes back. Three things make that so, each in a room of its own:
//! [`deflate`] writes what well-known compressors write, byte for byte; [`gzip`] takes a stream apart, names who wrote
//! it and proves that it can be made again; [`delta`] describes decompressed bytes by what older layers have of them.
//!
//! [`recipe`] has all of it for one layer, and [`plain`] is what both ends mean by a layer without its compression.
//!
//! It is not the format of bundles, and knows no registry and no inventory: it reads and writes plain files, without
//! an async runtime, and everything that it makes is proven on the spot or not used.
//!
//! Invariants: memory is bounded whatever the size of a layer; what is read of a recipe is checked against named
//! limits before it is acted on.

pub mod deflate;
pub mod delta;
pub mod gzip;
pub mod plain;
pub mod recipe;
