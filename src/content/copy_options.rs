//! What a copy is told, and what it tells afterwards.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::Result;
use super::event::Events;
use crate::oci::{Digest, Repository, Tag};

/// Tags at the target that are not to be moved whatever they point to, and why.
pub type HeldTags = HashMap<(Repository, Tag), String>;

/// What to do with a tag that the target has already, for other content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    #[default]
    Overwrite,
    /// The artifact is left as it is at the target.
    Keep,
    /// Nothing is moved, or where the copy goes on after errors, nothing of this artifact.
    Fail,
}

/// What to do with a blob of which the target says that it has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentBlobs {
    Spared,
    /// A registry says so of what is damaged too.
    PushedAgain,
}

/// Whether one artifact's failure stops the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    #[default]
    Stop,
    Continue,
}

/// A tag of the target that is about to leave other content.
#[derive(Clone, Copy, Debug)]
pub struct TagOverwrite<'a> {
    /// By position in the plan.
    pub artifact: usize,
    /// At the target.
    pub repository: &'a Repository,
    pub tag: &'a Tag,
    pub replaced: &'a Digest,
    pub new: &'a Digest,
}

/// What is to become of such a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overwriting {
    /// It moves. What it leaves has this tag now, where it was given one.
    Move { rollback_tag: Option<Tag> },
    /// It stays, for this reason.
    Hold(String),
}

/// What the caller of a copy has to say before a tag is overwritten: the tags of artifacts, not those of cosign.
#[async_trait]
pub trait OverwriteRules: Send + Sync {
    /// Whatever is to remember the content that is replaced has been done when this says that the tag moves.
    async fn decide(&self, overwrite: TagOverwrite<'_>) -> Result<Overwriting>;
}

/// What the tag of an artifact has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    pub digest: Digest,
    /// The tag under which it is still found.
    pub rollback_tag: Option<Tag>,
}

#[derive(Clone)]
pub struct CopyOptions {
    pub existing: Existing,
    pub on_error: OnError,
    /// What these names stand for is delivered, and the names stay where they are.
    pub held: Arc<HeldTags>,
    /// Asked before a tag is overwritten; without rules it is.
    pub overwrites: Option<Arc<dyn OverwriteRules>>,
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
    /// What the tags of artifacts stood for before they moved, by position in the plan.
    pub replaced: HashMap<usize, Replaced>,
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
