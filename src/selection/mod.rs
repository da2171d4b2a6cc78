//! The selection grammar: which repositories, and which of their tags, a pipeline takes, and what it calls them.
//!
//! One grammar for export, import and promotion. Pure: rules, names and facts go in, a verdict with its reason for
//! every tag comes out. Who fetches the facts is told which ones it needs, and never more than that.
//!
//! **Invariants.** The same names, facts and time give the same verdicts, in whatever order they were learned. A
//! tag is taken only when every rule that was given holds; what a rule cannot know is left, with that reason.
#![doc = include_str!("GRAMMAR.md")]

mod evaluate;
mod mirrored;
mod pattern;
mod rename;
mod rollback_tag;
mod rules;
mod tag_version;
mod verdict;

#[cfg(test)]
mod tests;

pub use evaluate::{Candidate, Evaluation, TagRole, evaluate};
pub use mirrored::{Mirrored, MirroredName, Scope};
pub use pattern::{InvalidPattern, RepositoryPattern, RepositorySelection, TagPattern};
pub use rename::{CannotRename, InvalidRenameRule, RenameRule, RenameRules};
pub use rollback_tag::{InvalidRollbackTag, Overwritten, RollbackTag};
pub use rules::{Facts, InvalidRange, NEWEST_MAX, Newest, NewestBy, Rules, VersionRange};
pub use tag_version::TagVersion;
pub use verdict::{Judged, Left, Taken, Verdict};
