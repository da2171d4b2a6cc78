//! What bundles are called: a name, or a template such as `{pipeline}-{date}`. Pure.
//!
//! **Invariants.** Every literal part may stand in the name of a bundle. What the template leaves open, whoever uses it
//! adds: two bundles of one export, and two of a pipeline, never get one name.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::bundle::is_pipeline_name;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Repository,
    Digest,
    Pipeline,
    Sequence,
    Date,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Open(Placeholder),
}

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    /// The first repository, with `-` for `/`.
    pub repository: &'a str,
    /// The start of the plan's digest.
    pub digest: &'a str,
    pub pipeline: Option<&'a str>,
    pub sequence: Option<u64>,
    /// Which bundle of an export it is, where there are several.
    pub number: Option<usize>,
    pub created: Timestamp,
}

/// Why a text is no name for bundles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("cannot be a bundle's name: at most 60 of `a-z`, `0-9`, `.`, `_`, `-`")]
    Letters,
    #[error("has a brace that opens nothing or does not close")]
    Brace,
    #[error(
        "has the placeholder `{{{0}}}`, and there are `{{repository}}`, `{{digest}}`, `{{pipeline}}`, `{{sequence}}`, `{{date}}`"
    )]
    Placeholder(String),
}

impl FromStr for NameTemplate {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(['.', '-']) {
            return Err(InvalidName::Letters);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once('{') {
            pieces.extend(parse_literal(literal)?);
            let (name, after) = after.split_once('}').ok_or(InvalidName::Brace)?;
            pieces.push(Piece::Open(parse_placeholder(name)?));
            rest = after;
        }
        pieces.extend(parse_literal(rest)?);
        match pieces.is_empty() {
            true => Err(InvalidName::Letters),
            false => Ok(Self { pieces }),
        }
    }
}

fn parse_literal(text: &str) -> Result<Option<Piece>, InvalidName> {
    if text.contains('}') {
        return Err(InvalidName::Brace);
    }
    if !text.is_empty() && !is_pipeline_name(text) {
        return Err(InvalidName::Letters);
    }
    Ok((!text.is_empty()).then(|| Piece::Literal(text.to_owned())))
}

fn parse_placeholder(name: &str) -> Result<Placeholder, InvalidName> {
    match name {
        "repository" => Ok(Placeholder::Repository),
        "digest" => Ok(Placeholder::Digest),
        "pipeline" => Ok(Placeholder::Pipeline),
        "sequence" => Ok(Placeholder::Sequence),
        "date" => Ok(Placeholder::Date),
        other => Err(InvalidName::Placeholder(other.to_owned())),
    }
}

impl NameTemplate {
    /// Whether it needs a pipeline to mean anything.
    pub fn needs_pipeline(&self) -> bool {
        self.has(Placeholder::Pipeline) || self.has(Placeholder::Sequence)
    }

    fn has(&self, placeholder: Placeholder) -> bool {
        self.pieces.contains(&Piece::Open(placeholder))
    }

    /// The bundle's name. A sequence or a number that the template leaves open stands at the end.
    pub(super) fn render(&self, named: Named<'_>) -> String {
        let write = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Open(Placeholder::Repository) => named.repository.to_owned(),
            Piece::Open(Placeholder::Digest) => named.digest.to_owned(),
            Piece::Open(Placeholder::Pipeline) => named.pipeline.unwrap_or_default().to_owned(),
            Piece::Open(Placeholder::Sequence) => {
                named.sequence.map_or_else(String::new, |it| it.to_string())
            }
            Piece::Open(Placeholder::Date) => {
                let day = named.created.to_zoned(TimeZone::UTC);
                day.strftime("%Y%m%d").to_string()
            }
        };
        let mut name: String = self.pieces.iter().map(write).collect();
        let end = match (named.sequence, named.number) {
            (Some(sequence), _) if !self.has(Placeholder::Sequence) => Some(sequence.to_string()),
            (None, Some(number)) if !self.has(Placeholder::Digest) => Some(number.to_string()),
            _ => None,
        };
        if let Some(end) = end {
            name.push_str(&format!("-{end}"));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: Named<'static> = Named {
        repository: "apps-web",
        digest: "0f3a1b2c3d4e",
        pipeline: Some("nightly"),
        sequence: Some(7),
        number: None,
        created: Timestamp::UNIX_EPOCH,
    };

    fn render(text: &str, named: Named<'_>) -> String {
        text.parse::<NameTemplate>()
            .expect("a template")
            .render(named)
    }

    #[test]
    fn placeholders_are_filled_and_what_is_left_open_stands_at_the_end() {
        assert_eq!(render("march", NAMED), "march-7");
        assert_eq!(
            render("{pipeline}-{sequence}-{date}", NAMED),
            "nightly-7-19700101"
        );
        assert_eq!(
            render("{repository}.{digest}", NAMED),
            "apps-web.0f3a1b2c3d4e-7"
        );
        let one_off = Named {
            pipeline: None,
            sequence: None,
            number: Some(2),
            ..NAMED
        };
        assert_eq!(render("march", one_off), "march-2");
        assert_eq!(render("march-{digest}", one_off), "march-0f3a1b2c3d4e");
        let only = Named {
            number: None,
            ..one_off
        };
        assert_eq!(render("march", only), "march");
    }

    #[test]
    fn what_is_no_template_says_why() {
        let fault = |text: &str| text.parse::<NameTemplate>().expect_err("no template");
        assert_eq!(fault(""), InvalidName::Letters);
        assert_eq!(fault("March"), InvalidName::Letters);
        assert_eq!(fault(".march"), InvalidName::Letters);
        assert_eq!(fault("a/{date}"), InvalidName::Letters);
        assert_eq!(fault("{date"), InvalidName::Brace);
        assert_eq!(fault("date}"), InvalidName::Brace);
        assert_eq!(fault("{day}"), InvalidName::Placeholder("day".to_owned()));
    }
}
