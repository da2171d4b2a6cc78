//! Storage containers: where bundles live. In this version a container is a directory.
//!
//! It knows objects by name and nothing of what is in them.
//!
//! **Invariants.** An object is visible under its name only when it is complete and durable. Creating never
//! replaces. Nothing outside the directory is read or written, and no link is followed.

mod directory;

pub use directory::DirectoryContainer;
