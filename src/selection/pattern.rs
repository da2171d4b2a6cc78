//! Patterns for the names of repositories and tags.
//!
//! Repositories are matched by globs, tags by regular expressions in linear time; both match whole names.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;

use super::tag_version::TagVersion;
use crate::oci::{Repository, Tag};

/// The group of a tag's expression that holds its version.
const VERSION_GROUP: &str = "version";

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: {reason}")]
pub struct InvalidPattern {
    text: String,
    what: &'static str,
    reason: String,
}

/// A regular expression that a tag matches from end to end.
#[derive(Clone, Debug)]
pub struct TagPattern {
    text: String,
    regex: Regex,
}

impl TagPattern {
    pub fn matches(&self, tag: &Tag) -> bool {
        self.regex.is_match(tag.as_str())
    }

    /// The version in a tag that matches: the group `version`, or all of the tag where there is no such group.
    pub fn version(&self, tag: &Tag) -> Option<TagVersion> {
        let found = self.regex.captures(tag.as_str())?;
        let has_group = self
            .regex
            .capture_names()
            .flatten()
            .any(|it| it == VERSION_GROUP);
        let text = match found.name(VERSION_GROUP) {
            Some(group) => group.as_str(),
            None if has_group => return None,
            None => tag.as_str(),
        };
        TagVersion::parse(text)
    }
}

impl FromStr for TagPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        // By itself first: an unbalanced bracket must not be balanced by ours.
        let parsed = Regex::new(text).and_then(|_| Regex::new(&format!("^(?:{text})$")));
        let regex = parsed.map_err(|error| InvalidPattern {
            text: text.to_owned(),
            what: "regular expression for tags",
            reason: reason_of(&error),
        })?;
        let text = text.to_owned();
        Ok(Self { text, regex })
    }
}

/// The last line of what the parser says; the lines before draw the place.
pub(super) fn reason_of(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for TagPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A glob over names of repositories.
#[derive(Clone, Debug)]
pub struct RepositoryPattern {
    text: String,
    matcher: GlobMatcher,
}

impl RepositoryPattern {
    pub fn matches(&self, repository: &Repository) -> bool {
        self.matcher.is_match(repository.as_str())
    }

    /// Whether a text has what names of repositories never have, and globs do.
    pub fn is_glob(text: &str) -> bool {
        text.contains(['*', '?', '[', ']', '{', '}'])
    }

    /// The one repository that it stands for; `None` where it has to be looked for in a catalog.
    pub fn name(&self) -> Option<Repository> {
        self.text.parse().ok()
    }
}

impl FromStr for RepositoryPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = |reason: String| InvalidPattern {
            text: text.to_owned(),
            what: "glob for repositories",
            reason,
        };
        if text.is_empty() {
            return Err(invalid("it is empty".to_owned()));
        }
        let known = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/*?[]{},!^".contains(&byte)
        };
        if !text.bytes().all(known) {
            let reason = match text.contains([':', '@']) {
                true => "it has no tag and no digest; tags are chosen by rules",
                false => {
                    "names of repositories have lower case letters, digits, `.`, `_`, `-` and `/`"
                }
            };
            return Err(invalid(reason.to_owned()));
        }
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        let glob = glob.map_err(|error| invalid(error.kind().to_string()))?;
        Ok(Self {
            text: text.to_owned(),
            matcher: glob.compile_matcher(),
        })
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for RepositoryPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for RepositoryPattern {}

/// Which repositories of a registry are taken.
#[derive(Clone, Debug, Default)]
pub struct RepositorySelection {
    pub include: Vec<RepositoryPattern>,
    pub exclude: Vec<RepositoryPattern>,
}

impl RepositorySelection {
    pub fn takes(&self, repository: &Repository) -> bool {
        let matches = |pattern: &RepositoryPattern| pattern.matches(repository);
        self.include.iter().any(matches) && !self.exclude.iter().any(matches)
    }

    /// The repositories that it names, without a catalog, in their order and each once; `None` where it has to be
    /// asked.
    pub fn names(&self) -> Option<Vec<Repository>> {
        let mut names = Vec::new();
        for pattern in &self.include {
            let name = pattern.name()?;
            if self.takes(&name) && !names.contains(&name) {
                names.push(name);
            }
        }
        Some(names)
    }
}
