//! Verdicts about tags, and their reasons in words.

use std::fmt;

use jiff::Timestamp;

use super::rules::NewestBy;
use crate::oci::Tag;

/// A tag with its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub tag: Tag,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Taken(Taken),
    Left(Left),
}

/// What took a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was asked for by tag or digest, which no rule touches.
    Named,
    /// No rule was given.
    All,
    /// Every rule holds.
    ByRules,
    NewestPatch {
        minor: (u64, u64),
    },
    Newest {
        rank: u32,
        count: u32,
        by: NewestBy,
    },
}

/// What left a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    Referrer,
    /// It keeps what another tag has left.
    KeptForRollback,
    Unmatched {
        pattern: String,
    },
    Excluded {
        pattern: String,
    },
    NoVersion {
        rule: &'static str,
    },
    OutOfRange {
        range: String,
    },
    Gone,
    /// It could not be read, and the rest was to go on.
    Unreadable {
        reason: String,
    },
    WrongPlatform {
        found: Vec<String>,
    },
    WrongType {
        found: Option<String>,
    },
    CreatedUnknown {
        rule: &'static str,
    },
    TooYoung {
        created: Timestamp,
    },
    TooOld {
        created: Timestamp,
    },
    NewerPatch {
        tag: Tag,
    },
    NotNewest {
        count: u32,
        by: NewestBy,
    },
}

impl Verdict {
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Taken(_))
    }

    /// The name of the rule that decided, as in the configuration; nothing where none did.
    pub fn rule(&self) -> Option<&'static str> {
        Some(match self {
            Self::Taken(Taken::Named | Taken::All | Taken::ByRules) => return None,
            Self::Taken(Taken::NewestPatch { .. }) | Self::Left(Left::NewerPatch { .. }) => {
                "newest-patch"
            }
            Self::Taken(Taken::Newest { .. }) | Self::Left(Left::NotNewest { .. }) => "newest",
            Self::Left(
                Left::Referrer | Left::KeptForRollback | Left::Gone | Left::Unreadable { .. },
            ) => return None,
            Self::Left(Left::Unmatched { .. }) => "tags",
            Self::Left(Left::Excluded { .. }) => "exclude-tags",
            Self::Left(Left::NoVersion { rule } | Left::CreatedUnknown { rule }) => rule,
            Self::Left(Left::OutOfRange { .. }) => "versions",
            Self::Left(Left::WrongPlatform { .. }) => "platforms",
            Self::Left(Left::WrongType { .. }) => "artifact-types",
            Self::Left(Left::TooYoung { .. }) => "min-age",
            Self::Left(Left::TooOld { .. }) => "max-age",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(taken) => taken.fmt(f),
            Self::Left(left) => left.fmt(f),
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("was asked for by name"),
            Self::All => f.write_str("no rule leaves a tag"),
            Self::ByRules => f.write_str("all rules hold"),
            Self::NewestPatch {
                minor: (major, minor),
            } => {
                write!(f, "the newest of {major}.{minor}")
            }
            Self::Newest { rank, count, by } => {
                write!(f, "number {rank} of the newest {count} by {by}")
            }
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Referrer => f.write_str("refers to another artifact, and travels with it"),
            Self::KeptForRollback => f.write_str("is kept for rollback"),
            Self::Unmatched { pattern } => write!(f, "does not match `{pattern}`"),
            Self::Excluded { pattern } => write!(f, "matches `{pattern}`"),
            Self::NoVersion { .. } => f.write_str("is no version"),
            Self::OutOfRange { range } => write!(f, "is not in `{range}`"),
            Self::Gone => f.write_str("was removed meanwhile"),
            Self::Unreadable { reason } => write!(f, "could not be read: {reason}"),
            Self::WrongPlatform { found } if found.is_empty() => f.write_str("has no platform"),
            Self::WrongPlatform { found } => write!(f, "is for {}", found.join(", ")),
            Self::WrongType { found: Some(found) } => write!(f, "is of type `{found}`"),
            Self::WrongType { found: None } => f.write_str("has no artifact type"),
            Self::CreatedUnknown { .. } => f.write_str("does not say when it was created"),
            Self::TooYoung { created } => write!(f, "was created {created:.0}, and is too young"),
            Self::TooOld { created } => write!(f, "was created {created:.0}, and is too old"),
            Self::NewerPatch { tag } => write!(f, "`{tag}` is newer"),
            Self::NotNewest { count: 0, .. } => f.write_str("nothing is to be taken"),
            Self::NotNewest { count, by } => write!(f, "is not among the newest {count} by {by}"),
        }
    }
}
