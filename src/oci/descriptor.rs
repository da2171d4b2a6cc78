//! Descriptors: what a piece of content is, how long it is, and what its bytes must hash to.
//!
//! Only the three properties that identify content are kept; annotations, `data` and `urls` stay in the
//! manifest bytes, which travel unchanged.
//!
//! Specification: image-spec, descriptor.md.

use std::sync::Arc;

use super::{Digest, media_type};

/// Media type, digest and size in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor {
    pub media_type: Arc<str>,
    pub digest: Digest,
    pub size: u64,
}

impl Descriptor {
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
        }
    }

    /// The descriptor of `bytes`, addressed by SHA-256.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    }

    pub fn is_manifest(&self) -> bool {
        media_type::is_manifest(&self.media_type)
    }
}
