//! Bundles from end to end: what was exported comes back, the bytes are the same again, failures leave
//! nothing half done, and other people's tools read what we write.

mod interrupted;
mod resumed;
pub(crate) mod road;
pub(crate) mod round_trip;
mod stock_tools;
mod voids;
pub(crate) mod warped;
