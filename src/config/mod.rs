//! What an operator has configured: secrets by reference.

mod secret;

pub use secret::resolve_secret;
