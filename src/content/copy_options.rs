//! What a copy is told, and what it tells afterwards.

use std::collections::HashMap;
use std::sync::Arc;

use super::event::Events;
use crate::oci::{Repository, Tag};

/// Tags at the target that are not to be moved whatever they point to, and why.
pub type HeldTags = HashMap<(Repository, Tag), String>;

/// What to do with a tag that the target has already, for other content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    #[default]
    Overwrite,
    /// The artifact is left as it is at the target.
    Keep,
    /// Nothing is moved.
    Fail,
}

/// Whether one artifact's failure stops the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    #[default]
    Stop,
    Continue,
}

#[derive(Clone)]
pub struct CopyOptions {
    pub existing: Existing,
    pub on_error: OnError,
    /// What these names stand for is delivered, and the names stay where they are.
    pub held: Arc<HeldTags>,
    /// Contents in flight.
    pub concurrency: usize,
    pub events: Events,
}

/// What became of one artifact, in plan order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactOutcome {
    Delivered,
    /// Everything was there already.
    Unchanged,
    /// The target's tag was kept.
    Kept,
    /// Everything is there, and the tag was to be left alone, for this reason.
    Held(String),
    Failed(String),
}

/// What a copy did. Sizes are bytes.
#[derive(Clone, Debug, Default)]
pub struct CopyReport {
    pub outcomes: Vec<Option<ArtifactOutcome>>,
    pub pushed_bytes: u64,
    pub pushed_contents: usize,
    pub mounted_contents: usize,
    pub present_bytes: u64,
    pub present_contents: usize,
    pub tags_moved: usize,
}

impl CopyReport {
    pub fn failed(&self) -> usize {
        let is_failed = |outcome: &&Option<ArtifactOutcome>| {
            matches!(outcome, Some(ArtifactOutcome::Failed(_)))
        };
        self.outcomes.iter().filter(is_failed).count()
    }
}
