//! The name under which what a tag is about to leave stays findable: a template such as `{tag}-{run}`.
//!
//! Pure. Who gives content that tag is `overwrite` in `pipeline`.
//!
//! **Invariant.** Two contents of a repository never come to the same rollback tag: a template has the digest, or the
//! tag together with the run.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::oci::{Digest, InvalidReference, Tag};

/// Hex digits of the replaced digest.
const DIGEST_DIGITS: usize = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackTag {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Tag,
    Run,
    Digest,
    Date,
}

/// Why a text is no such template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no template for rollback tags, such as `{{tag}}-{{run}}`: {reason}")]
pub struct InvalidRollbackTag {
    text: String,
    reason: String,
}

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub struct Overwritten<'a> {
    pub tag: &'a Tag,
    /// The id of the run that overwrites it.
    pub run: &'a str,
    /// What is replaced.
    pub digest: &'a Digest,
    pub now: Timestamp,
}

impl RollbackTag {
    /// The tag for what is replaced; an error where it comes out longer than a tag may be.
    pub fn render(&self, overwritten: Overwritten<'_>) -> Result<Tag, InvalidReference> {
        let piece = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Tag => overwritten.tag.to_string(),
            Piece::Run => overwritten.run.to_owned(),
            Piece::Digest => overwritten.digest.hex()[..DIGEST_DIGITS].to_owned(),
            Piece::Date => date_of(overwritten.now),
        };
        let text: String = self.pieces.iter().map(piece).collect();
        text.parse()
    }
}

fn date_of(now: Timestamp) -> String {
    let day = now.to_zoned(TimeZone::UTC).date();
    format!("{:04}{:02}{:02}", day.year(), day.month(), day.day())
}

impl FromStr for RollbackTag {
    type Err = InvalidRollbackTag;

    fn from_str(text: &str) -> Result<Self, InvalidRollbackTag> {
        let invalid = |reason: String| InvalidRollbackTag {
            text: text.to_owned(),
            reason,
        };
        let pieces = parse_pieces(text).map_err(invalid)?;
        let has_run = pieces.contains(&Piece::Tag) && pieces.contains(&Piece::Run);
        if !has_run && !pieces.contains(&Piece::Digest) {
            let reason = "it needs `{digest}`, or `{tag}` and `{run}`, so that no two are the same";
            return Err(invalid(reason.to_owned()));
        }
        let template = Self {
            text: text.to_owned(),
            pieces,
        };
        template.check_example().map_err(invalid)?;
        Ok(template)
    }
}

impl RollbackTag {
    /// What a short tag would come to shows whether the words around the placeholders can stand in a tag.
    fn check_example(&self) -> Result<(), String> {
        let fail = |error: InvalidReference| error.to_string();
        let tag: Tag = "1".parse().map_err(fail)?;
        let example = Overwritten {
            tag: &tag,
            run: "0",
            digest: &Digest::sha256(b""),
            now: Timestamp::UNIX_EPOCH,
        };
        self.render(example).map(drop).map_err(fail)
    }
}

fn parse_pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| "a `{` is not closed".to_owned())?;
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.to_owned()));
        }
        pieces.push(match name {
            "tag" => Piece::Tag,
            "run" => Piece::Run,
            "digest" => Piece::Digest,
            "date" => Piece::Date,
            other => {
                return Err(format!(
                    "`{{{other}}}` is none of `{{tag}}`, `{{run}}`, `{{digest}}`, `{{date}}`"
                ));
            }
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}

impl fmt::Display for RollbackTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
