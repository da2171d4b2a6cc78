//! What a bundle tells of its artifacts' past: who exported it and why, and what had happened to them before.
//!
//! It is for people. Nothing is decided by it, and it is worth what the bundle's signature is worth.
//!
//! **Invariants.** It is bounded, in number and length, and has no control characters; what breaks that is no
//! inventory. Neither the plan's digest nor a name depends on it. Specification: FORMAT.md, "Past".

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::inventory::Artifact;
use super::limits::{PAST_EVENTS_OF_ARTIFACT_MAX, PAST_SIZE_MAX_BYTES, PAST_TEXT_LENGTH_MAX_BYTES};
use crate::content::escape_control;
use crate::oci::Digest;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Past {
    /// Who exported the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    pub events: Vec<ToldEvent>,
}

/// What had happened to an artifact, as the exporter's ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToldEvent {
    /// The root of the artifact.
    pub digest: Digest,
    pub kind: ToldKind,
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Digest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToldKind {
    Exported,
    Imported,
    Promoted,
    #[serde(rename = "rolled back")]
    RolledBack,
}

/// Why what an inventory tells of the past is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPast {
    #[error("it is larger than {PAST_SIZE_MAX_BYTES} bytes")]
    TooLarge,
    #[error("it has more than {PAST_EVENTS_OF_ARTIFACT_MAX} events of `{0}`")]
    TooMany(Digest),
    #[error("a text of it is longer than {PAST_TEXT_LENGTH_MAX_BYTES} bytes")]
    TextTooLong,
    #[error("a text of it has control characters")]
    ControlCharacters,
    #[error("it tells of `{0}`, which is no artifact of the bundle")]
    Foreign(Digest),
}

impl Past {
    pub(super) fn check(&self, artifacts: &[Artifact]) -> Result<(), InvalidPast> {
        let events = self.events.iter().flat_map(ToldEvent::texts);
        for text in [&self.who, &self.comment]
            .into_iter()
            .chain(events)
            .flatten()
        {
            if text.len() > PAST_TEXT_LENGTH_MAX_BYTES {
                return Err(InvalidPast::TextTooLong);
            }
            if escape_control(text) != *text {
                return Err(InvalidPast::ControlCharacters);
            }
        }
        let mut counts: HashMap<&Digest, usize> = artifacts
            .iter()
            .map(|artifact| (&artifact.root.digest, 0))
            .collect();
        for event in &self.events {
            let Some(count) = counts.get_mut(&event.digest) else {
                return Err(InvalidPast::Foreign(event.digest.clone()));
            };
            *count += 1;
            if *count > PAST_EVENTS_OF_ARTIFACT_MAX {
                return Err(InvalidPast::TooMany(event.digest.clone()));
            }
        }
        match self.size_bytes() > PAST_SIZE_MAX_BYTES {
            true => Err(InvalidPast::TooLarge),
            false => Ok(()),
        }
    }

    /// The bytes that it takes in the inventory, without the name of the field.
    pub fn size_bytes(&self) -> u64 {
        serde_json::to_vec(self).map_or(u64::MAX, |bytes| bytes.len() as u64)
    }

    /// What fits a limit: texts are cut, and of an artifact with too many events the newest are kept; of all events the
    /// newest that fit `room_bytes` too. `None` where not even the head fits, or nothing is left to be told.
    pub fn fit(mut self, room_bytes: u64) -> Option<Self> {
        let own = [&mut self.who, &mut self.comment];
        own.into_iter().for_each(cut_text);
        self.events.iter_mut().for_each(ToldEvent::cut_texts);
        self.events.sort_by_key(|event| event.time);
        let mut counts: HashMap<Digest, usize> = HashMap::new();
        let newest = std::mem::take(&mut self.events).into_iter().rev();
        let mut room = room_bytes
            .min(PAST_SIZE_MAX_BYTES)
            .checked_sub(self.size_bytes())?;
        for event in newest {
            let count = counts.entry(event.digest.clone()).or_default();
            *count += 1;
            let size = serde_json::to_vec(&event).map_or(u64::MAX, |bytes| bytes.len() as u64 + 1);
            if *count <= PAST_EVENTS_OF_ARTIFACT_MAX && size <= room {
                room -= size;
                self.events.push(event);
            }
        }
        self.events.reverse();
        let is_empty = self.events.is_empty() && self.comment.is_none();
        (!is_empty).then_some(self)
    }
}

impl ToldEvent {
    fn texts(&self) -> [&Option<String>; 6] {
        [
            &self.who,
            &self.comment,
            &self.pipeline,
            &self.source,
            &self.target,
            &self.bundle,
        ]
    }

    fn cut_texts(&mut self) {
        let texts = [
            &mut self.who,
            &mut self.comment,
            &mut self.pipeline,
            &mut self.source,
            &mut self.target,
            &mut self.bundle,
        ];
        texts.into_iter().for_each(cut_text);
    }
}

/// Escapes a text, and cuts it where it is too long.
fn cut_text(text: &mut Option<String>) {
    const CUT: &str = "…";
    let Some(text) = text else { return };
    *text = escape_control(text);
    if text.len() > PAST_TEXT_LENGTH_MAX_BYTES {
        let end = text.floor_char_boundary(PAST_TEXT_LENGTH_MAX_BYTES - CUT.len());
        text.truncate(end);
        text.push_str(CUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: i64) -> ToldEvent {
        ToldEvent {
            digest: Digest::sha256(b"web"),
            kind: ToldKind::Promoted,
            time: Timestamp::from_second(number).unwrap(),
            who: Some("ops\u{1b}[1m".to_owned()),
            comment: Some("ü".repeat(2000)),
            pipeline: None,
            source: None,
            target: None,
            bundle: None,
            inventory: None,
        }
    }

    fn past(events: i64) -> Past {
        Past {
            who: Some("ops".to_owned()),
            comment: None,
            events: (0..events).map(event).collect(),
        }
    }

    #[test]
    fn what_is_told_fits_every_limit_and_the_newest_is_kept() {
        let fitted = past(50).fit(u64::MAX).unwrap();
        assert_eq!(fitted.events.len(), PAST_EVENTS_OF_ARTIFACT_MAX);
        assert_eq!(fitted.events.last().unwrap().time.as_second(), 49);
        let texts = fitted.events.iter().flat_map(ToldEvent::texts).flatten();
        for text in texts {
            assert!(text.len() <= PAST_TEXT_LENGTH_MAX_BYTES);
            assert!(!text.contains('\u{1b}'));
        }
        let room = 3000;
        let small = past(50).fit(room).unwrap();
        assert!(!small.events.is_empty() && small.size_bytes() <= room);
        assert_eq!(small.events.last().unwrap().time.as_second(), 49);
    }

    fn artifact(number: i64) -> Artifact {
        let digest = Digest::sha256(&number.to_be_bytes());
        let root = serde_json::json!({ "mediaType": "m", "digest": digest, "size": 1 });
        let row = serde_json::json!({
            "source": "r.example", "repository": 0, "root": root,
            "platforms": [], "absent": [], "referrers": [],
        });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_past_that_is_larger_than_the_limit_is_refused_and_never_written() {
        let artifacts: Vec<Artifact> = (0..40).map(artifact).collect();
        let events = artifacts.iter().flat_map(|artifact| {
            (0..32).map(|number| ToldEvent {
                digest: artifact.root.digest.clone(),
                who: None,
                ..event(number)
            })
        });
        let mut large = past(0);
        large.events = events.collect();
        let fitted = large.clone().fit(u64::MAX).unwrap();
        assert_eq!(fitted.check(&artifacts), Ok(()));
        large.events.iter_mut().for_each(ToldEvent::cut_texts);
        assert_eq!(large.check(&artifacts), Err(InvalidPast::TooLarge));
    }

    #[test]
    fn where_there_is_nothing_to_tell_nothing_is_told() {
        assert_eq!(past(0).fit(u64::MAX), None);
        assert_eq!(past(5).fit(10), None);
        let with_comment = Past {
            comment: Some("release-7".to_owned()),
            ..past(0)
        };
        assert_eq!(with_comment.clone().fit(u64::MAX), Some(with_comment));
    }
}
