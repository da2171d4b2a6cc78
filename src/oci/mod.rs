//! The vocabulary of the OCI specifications: digests, references, descriptors, manifests, platforms.
//!
//! This module knows the *grammar* of the field and nothing else. It does no input or output, knows no
//! registry, no bundle and no clock, and imports no other module of this program.
//!
//! **Invariants.** Every value is checked by its only constructor, so a [`Digest`], [`Repository`] or
//! [`Tag`] that exists is well formed. Manifests are *read* here and never written: the bytes that a
//! registry gave us are the bytes that travel.
//!
//! Specifications: image-spec and distribution-spec in the versions named below.

mod descriptor;
mod digest;
mod manifest;
pub mod media_type;
mod platform;
mod reference;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, Hasher, InvalidDigest};
pub use manifest::{Child, InvalidManifest, Manifest, ManifestKind};
pub use platform::{InvalidPlatform, Platform};
pub use reference::{InvalidReference, Pin, Reference, Repository, Tag, refuse_url};

/// The version of the OCI image specification that this program follows.
pub const IMAGE_SPEC: &str = "1.1.1";
/// The version of the OCI distribution specification that this program follows.
pub const DISTRIBUTION_SPEC: &str = "1.1.1";

#[cfg(test)]
mod tests;
