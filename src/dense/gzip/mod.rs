//! Gzip streams that are taken apart reversibly: who wrote each member, and the proof that it can be made again.
//!
//! [`take_apart()`] answers the plain text of a gzip file (RFC 1952, any number of members) and a [`Recompression`],
//! from which [`put_together()`] makes the same bytes again. It names the encoder of each member ([`Encoder`]), or keeps
//! corrections for what the zlib family writes, or says that the file had better be carried as it is.
//!
//! It is no general gzip reader, and no judge of layers: it knows no tar, no digest, no registry.
//!
//! Invariants: nothing is answered that was not proven byte for byte with the encoders that make it again; memory is
//! bounded by named limits whatever the size of the file; no content makes [`take_apart()`] panic or fail; the form of a
//! [`Recompression`] is read strictly, and nothing is allocated by a number that was not checked.
//! Corrections are worked out in a process of its own, which a [`Corrector`] starts, within limits that the kernel holds.

mod compare;
mod corrections;
mod encode;
mod error;
mod form;
mod header;
mod inflate;
mod limits;
mod member;
mod method;
mod put_together;
mod recompression;
mod sample;
mod source;
mod take_apart;

#[cfg(test)]
mod tests;

pub use corrections::{Corrector, serve_corrections};
pub use error::Error;
pub use method::{Encoder, Level, Method, Release};
pub use put_together::put_together;
pub use recompression::{Recompression, Share};
pub use take_apart::take_apart;
