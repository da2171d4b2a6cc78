//! Members of the zlib family that no exact encoder writes (GNU gzip, pigz): predicted, with corrections, by
//! `preflate-rs`, in a process of its own.
//!
//! The crate trusts corrections: some that were made up make it loop, or ask for memory, without end, others make it
//! panic, and some streams make it print. None of that can be kept out from within a process. So the program is run
//! once more as its own child ([`Corrector`]), which bounds its memory and its processor time before it reads anything
//! ([`serve_corrections`]), and speaks over a socket, so that what the crate prints goes nowhere.
//!
//! It is no sandbox: the crate has no unsafe code, and is trusted to touch nothing else.
//!
//! Invariants: what is refused or ends the child is an answer of "no" on export and a named limit on import; neither
//! side sets memory aside by a length that was not checked; there is one child for a stream, and none is left behind.

mod bounds;
mod frame;
mod parameters;
mod prediction;
mod process;
mod serve;
mod session;

pub use process::Corrector;
pub use serve::serve_corrections;

pub(super) use parameters::check_parameters;
pub(super) use session::Session;

#[cfg(test)]
pub(super) use bounds::Bounds;
#[cfg(test)]
pub(super) use serve::serve_within;
