//! What happens while content moves, told once, for progress bars, logs and reports alike.

use std::sync::Arc;

use super::copy_options::{ArtifactOutcome, Replaced};
use super::provision::Provision;
use crate::oci::{Digest, Repository, Tag};

/// Something that happened. Numbers are bytes.
#[derive(Clone, Debug)]
pub enum Event {
    /// Layers are read and taken apart, before it is known what will be moved.
    TakingApart { layers: usize, bytes: u64 },
    /// The plan is complete: this much will be looked at.
    Planned { contents: usize, bytes: u64 },
    /// So many bytes more will be gone through, because the target is read back.
    ReadingBack(u64),
    /// Bytes of content passed the verification.
    Moved(u64),
    /// Bytes that need not be moved, because they are there already.
    Spared(u64),
    /// A content is at its place.
    ContentDone(Digest),
    /// The target has got something that it had to have before the first push.
    Created(Provision),
    /// A tag is visible.
    Tagged(Repository, Tag),
    /// What became of an artifact is certain, whatever becomes of the others.
    Settled {
        /// By position in the plan.
        artifact: usize,
        outcome: ArtifactOutcome,
        /// What its tag has left.
        replaced: Option<Replaced>,
    },
    /// Something that a person should know, and that stops nothing.
    Warning(String),
}

/// Where events go.
pub type Events = Arc<dyn Fn(Event) + Send + Sync>;

/// For callers that do not watch.
pub fn ignore_events() -> Events {
    Arc::new(|_| {})
}
