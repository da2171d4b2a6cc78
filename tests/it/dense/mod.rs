//! Version 2 of the bundle: layers that are taken apart and made again, and content that is left out because the
//! target has it.
//!
//! In process, from a fake registry to another, with a ledger at either end; the binary is run in `kills` and `real`.

mod bases;
mod commands;
mod frozen;
mod hostile;
mod interrupted;
mod lanes;
mod parts;
mod readings;
mod round_trip;
mod walks;
mod world;
