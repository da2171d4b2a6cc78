//! The rules of a selection as they were given, and what has to be known of an artifact to apply them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use semver::VersionReq;

use super::pattern::TagPattern;
use super::tag_version::TagVersion;
use crate::oci::{Platform, Tag};

/// As many as a rule may ask for.
pub const NEWEST_MAX: u32 = 1000;

/// What newest means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewestBy {
    Created,
    Version,
}

impl fmt::Display for NewestBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "creation time",
            Self::Version => "version",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// 0 to [`NEWEST_MAX`]; 0 takes nothing.
    pub count: u32,
    pub by: NewestBy,
}

/// A range of versions, such as `>=1.25, <2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange(VersionReq);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no range of versions, such as `>=1.25, <2` or `~1.25`: {reason}")]
pub struct InvalidRange {
    text: String,
    reason: String,
}

impl VersionRange {
    pub fn contains(&self, version: &TagVersion) -> bool {
        self.0.matches(version.version())
    }
}

impl FromStr for VersionRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        text.parse()
            .map(Self)
            .map_err(|error: semver::Error| InvalidRange {
                text: text.to_owned(),
                reason: error.to_string(),
            })
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which tags of a repository are taken. Without any rule all are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    pub tags: Option<TagPattern>,
    pub exclude_tags: Option<TagPattern>,
    pub versions: Option<VersionRange>,
    pub platforms: Vec<Platform>,
    pub artifact_types: Vec<String>,
    pub min_age: Option<Duration>,
    pub max_age: Option<Duration>,
    pub takes_newest_patch_only: bool,
    pub newest: Option<Newest>,
}

impl Rules {
    /// Without any rule all tags are taken.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The version that a tag stands for, under these rules.
    pub fn version(&self, tag: &Tag) -> Option<TagVersion> {
        match &self.tags {
            Some(pattern) => pattern.version(tag),
            None => TagVersion::parse(tag.as_str()),
        }
    }

    /// Whether a creation time has to be known.
    pub fn need_created(&self) -> bool {
        let by_created = |newest: Newest| newest.by == NewestBy::Created;
        self.min_age.is_some() || self.max_age.is_some() || self.newest.is_some_and(by_created)
    }

    /// Whether manifests have to be read at all.
    pub fn need_facts(&self) -> bool {
        self.need_created() || !self.platforms.is_empty() || !self.artifact_types.is_empty()
    }
}

/// What a manifest, and where it is needed a config, say of an artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub created: Option<Timestamp>,
    pub platforms: Vec<Platform>,
    pub artifact_type: Option<String>,
}

impl Facts {
    /// When it was created, where that is meant: before 2013 there was nothing to create, and a build that is made
    /// reproducible says 1970 or 1980.
    pub fn plausible_created(&self) -> Option<Timestamp> {
        const YEAR_2013: i64 = 1_356_998_400;
        self.created
            .filter(|created| created.as_second() >= YEAR_2013)
    }
}
