//! Rename rules: which name a repository of a bundle gets below the target, and how such a rule is written.
//!
//! Pure. Tags and digests are never renamed. What does not follow from one rule follows from none: the first rule
//! that matches decides, and without one a repository keeps its name.
//!
//! **Invariant.** Every result has been parsed by the grammar of repositories: it cannot leave what it is put below.

use std::fmt;
use std::str::FromStr;

use regex::Regex;

use super::pattern::reason_of;
use crate::oci::{InvalidReference, Repository};

/// What begins the left side of a rule that is a regular expression. No name of a repository has it.
const REGEX_MARK: char = '~';

/// One rule: `FROM=TO`.
#[derive(Clone, Debug)]
pub struct RenameRule {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Both end with a slash, or are empty: what is below the one goes below the other.
    Prefix { from: String, to: String },
    /// One repository.
    Name { from: Repository, to: Repository },
    /// `~REGEX=TO`, matching whole names.
    Regex { from: Regex, to: Vec<Piece> },
}

/// A piece of what a regular expression's rule makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Group(usize),
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no rename rule: {reason}")]
pub struct InvalidRenameRule {
    text: String,
    reason: String,
}

/// A rule has made of a repository what no repository can be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule `{rule}` makes of `{repository}` what cannot be a repository")]
pub struct CannotRename {
    repository: Repository,
    rule: String,
    #[source]
    cause: InvalidReference,
}

/// Rules in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RenameRules(Vec<RenameRule>);

impl RenameRules {
    pub fn new(rules: Vec<RenameRule>) -> Self {
        Self(rules)
    }

    pub fn iter(&self) -> impl Iterator<Item = &RenameRule> {
        self.0.iter()
    }

    /// The new name, by the first rule that matches.
    pub fn apply(&self, repository: &Repository) -> Result<Repository, CannotRename> {
        let renamed = self
            .0
            .iter()
            .find_map(|rule| Some((rule, rule.apply(repository.as_str())?)));
        let Some((rule, name)) = renamed else {
            return Ok(repository.clone());
        };
        name.parse().map_err(|cause| CannotRename {
            repository: repository.clone(),
            rule: rule.text.clone(),
            cause,
        })
    }
}

impl RenameRule {
    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What it makes of a name, or `None` where it does not match.
    fn apply(&self, name: &str) -> Option<String> {
        match &self.kind {
            Kind::Prefix { from, to } => {
                let rest = name.strip_prefix(from.as_str())?;
                Some(format!("{to}{rest}"))
            }
            Kind::Name { from, to } => (name == from.as_str()).then(|| to.to_string()),
            Kind::Regex { from, to } => {
                let found = from.captures(name)?;
                let piece = |piece: &Piece| match piece {
                    Piece::Literal(text) => text.clone(),
                    Piece::Group(number) => found
                        .get(*number)
                        .map_or_else(String::new, |group| group.as_str().to_owned()),
                };
                Some(to.iter().map(piece).collect())
            }
        }
    }
}

impl FromStr for RenameRule {
    type Err = InvalidRenameRule;

    fn from_str(text: &str) -> Result<Self, InvalidRenameRule> {
        let parsed = match text.split_once('=') {
            None => Err("expected `FROM=TO`, such as `library/=mirror/docker.io/`".to_owned()),
            Some((from, to)) => match from.strip_prefix(REGEX_MARK) {
                Some(regex) => parse_regex(regex, to),
                None => parse_names(from, to),
            },
        };
        let kind = parsed.map_err(|reason| InvalidRenameRule {
            text: text.to_owned(),
            reason,
        })?;
        let text = text.to_owned();
        Ok(Self { text, kind })
    }
}

fn parse_names(from: &str, to: &str) -> Result<Kind, String> {
    let is_prefix = |text: &str| text.is_empty() || text.ends_with('/');
    match (is_prefix(from), is_prefix(to)) {
        (true, true) => {
            for prefix in [from, to] {
                check_prefix(prefix)?;
            }
            let (from, to) = (from.to_owned(), to.to_owned());
            Ok(Kind::Prefix { from, to })
        }
        (false, false) => {
            let parse = |text: &str| text.parse::<Repository>().map_err(|it| it.to_string());
            let (from, to) = (parse(from)?, parse(to)?);
            Ok(Kind::Name { from, to })
        }
        _ => Err(
            "both sides are prefixes, which end with `/` or are empty, or both are repositories"
                .to_owned(),
        ),
    }
}

fn check_prefix(prefix: &str) -> Result<(), String> {
    let Some(name) = prefix.strip_suffix('/') else {
        return Ok(());
    };
    match name.parse::<Repository>() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_regex(from: &str, to: &str) -> Result<Kind, String> {
    // By itself first: an unbalanced bracket must not be balanced by ours.
    let regex = Regex::new(from).and_then(|_| Regex::new(&format!("^(?:{from})$")));
    let from = regex.map_err(|error| reason_of(&error))?;
    let to = parse_pieces(to, &from)?;
    Ok(Kind::Regex { from, to })
}

/// `$1` and `${name}` are groups; `$1` ends with its digits, whatever follows.
fn parse_pieces(text: &str, regex: &Regex) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut parts = text.split('$');
    pieces.extend(literal(parts.next().unwrap_or_default()));
    for part in parts {
        let (name, rest) = if let Some(braced) = part.strip_prefix('{') {
            let split = braced.split_once('}');
            split.ok_or_else(|| format!("`${part}` is not closed"))?
        } else {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part.split_at(digits)
        };
        pieces.push(Piece::Group(find_group(name, regex)?));
        pieces.extend(literal(rest));
    }
    Ok(pieces)
}

fn literal(text: &str) -> Option<Piece> {
    (!text.is_empty()).then(|| Piece::Literal(text.to_owned()))
}

fn find_group(name: &str, regex: &Regex) -> Result<usize, String> {
    let by_number = || name.parse().ok().filter(|it| *it < regex.captures_len());
    let by_name = || regex.capture_names().position(|it| it == Some(name));
    match by_number().or_else(by_name) {
        Some(group) => Ok(group),
        None if name.is_empty() => Err("`$` wants a group, such as `$1` or `${name}`".to_owned()),
        None => Err(format!("the expression has no group `{name}`")),
    }
}

impl fmt::Display for RenameRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for RenameRule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
