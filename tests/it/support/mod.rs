//! What tests stand on: a fake registry that misbehaves on demand, random artifact graphs, real servers,
//! clouds, Entra and the built binary.
//!
//! Nothing here asserts what the program should do; it only makes worlds and looks at them.

pub(crate) mod artifacts;
pub(crate) mod base64;
pub(crate) mod clouds;
pub(crate) mod command;
pub(crate) mod containers;
pub(crate) mod door;
pub(crate) mod entra;
pub(crate) mod real;
pub(crate) mod registry;
pub(crate) mod relay;
pub(crate) mod snapshot;
pub(crate) mod tls;
pub(crate) mod wait;
