//! Names: repositories, tags, and references to them as a person types them.
//!
//! There is no default registry, no `library/` and no `latest` here: what was not said is not guessed.
//!
//! Specification: distribution-spec, "Pulling manifests" (`<name>` and `<reference>` grammar).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Digest, InvalidDigest};

/// Registries commonly limit the name to 255 characters with the host; this is the limit without it.
const REPOSITORY_LENGTH_MAX: usize = 255;
const TAG_LENGTH_MAX: usize = 128;

/// A text that is not a valid name or reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    #[error(
        "`{0}` is not a repository name: expected lower-case letters and digits, joined by `.`, `_`, `__`, `-` or `/`"
    )]
    Repository(String),
    #[error(
        "`{0}` is not a tag: expected at most 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
    )]
    Tag(String),
    #[error("`{0}` names no registry: expected `REGISTRY/REPOSITORY[:TAG|@DIGEST]`")]
    NoRegistry(String),
    /// What was typed is not repeated: it may hold a password.
    #[error(
        "a registry is named by its host alone, as in `r.example/apps/web`: without `http://`, and without a login, which `docker login` keeps"
    )]
    Url,
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
}

/// Refuses what is typed as a URL, or with a login before the host.
pub fn refuse_url(text: &str) -> Result<(), InvalidReference> {
    let host = text.split_once('/').map_or("", |(host, _)| host);
    match text.contains("://") || host.contains('@') {
        true => Err(InvalidReference::Url),
        false => Ok(()),
    }
}

/// A repository name such as `library/debian`, valid by the distribution grammar.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(Box<str>);

impl Repository {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This repository below `prefix`: `apps/web` below `mirror` is `mirror/apps/web`.
    pub fn below(&self, prefix: Option<&Self>) -> Result<Self, InvalidReference> {
        match prefix {
            Some(prefix) => format!("{prefix}/{self}").parse(),
            None => Ok(self.clone()),
        }
    }
}

impl FromStr for Repository {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let is_valid =
            text.len() <= REPOSITORY_LENGTH_MAX && text.split('/').all(is_repository_component);
        if is_valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidReference::Repository(
                text.escape_default().to_string(),
            ))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_repository_component(component: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !component.starts_with(is_word) || !component.ends_with(is_word) {
        return false;
    }
    component
        .split(is_word)
        .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-'))
}

/// A tag such as `1.4`, valid by the distribution grammar.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Box<str>);

impl Tag {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag of the referrers tag schema: `sha256-<hex>`.
    /// Specification: distribution-spec, "Referrers Tag Schema".
    pub fn of_referrers(subject: &Digest) -> Self {
        let mut text = format!("{}-{}", subject.algorithm().name(), subject.hex());
        text.truncate(TAG_LENGTH_MAX);
        Self(text.into())
    }
}

impl FromStr for Tag {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let is_valid = text.len() <= TAG_LENGTH_MAX
            && text.bytes().next().is_some_and(is_word)
            && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-');
        if is_valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidReference::Tag(text.escape_default().to_string()))
        }
    }
}

/// How one manifest of a repository is named: by a tag that may move, or by a digest that cannot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pin {
    Tag(Tag),
    Digest(Digest),
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "{tag}"),
            Self::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

/// `REGISTRY/REPOSITORY[:TAG|@DIGEST]` as a person types it. Without a pin it means all tags.
///
/// `REPOSITORY:TAG@DIGEST` keeps both: the digest selects, the tag is what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    pub registry: String,
    pub repository: Repository,
    pub tag: Option<Tag>,
    pub digest: Option<Digest>,
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let (registry, rest) = text
            .split_once('/')
            .filter(|(registry, _)| is_registry(registry))
            .ok_or_else(|| InvalidReference::NoRegistry(text.escape_default().to_string()))?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (rest, None),
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.parse()?)),
            None => (rest, None),
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.parse()?,
            tag,
            digest,
        })
    }
}

/// A first component is a registry when it could not be a repository component of its own:
/// it holds a dot or a port, or is `localhost` or a bracketed IPv6 address.
fn is_registry(text: &str) -> bool {
    let is_host_byte = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    let names_a_host = text.contains(['.', ':']) || text == "localhost";
    names_a_host && text.bytes().all(is_host_byte)
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_type!(Repository);
text_type!(Tag);
