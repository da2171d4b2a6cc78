//! The inventory: the signed list of everything in a volume.
//!
//! The types here *are* the file: field order is the order of the JSON, and a text that this module would
//! not write is not read. What the rows mean for the tar stream is in `stream_plan`.
//!
//! Specification: FORMAT.md, "Inventory".

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::limits::{INVENTORY_ROWS_MAX, VOLUMES_MAX};
use super::past::{InvalidPast, Past};
use super::version_2::{AssumedRow, MEDIA_TYPE_2, RebuiltRow, Repairs};
use crate::content::AbsentReason;
use crate::oci::{Descriptor, Digest, Platform, Repository, Tag};

pub const MEDIA_TYPE: &str = "application/vnd.airlift.inventory.v1+json";

/// How the tar stream is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A `.tar.zst` with a frame for every entry and every 4 MiB.
    #[default]
    Plain,
    /// The tar stream itself, for content inspection guards.
    Guard,
    /// Stored like `Plain`; layers are taken apart, and made again at the target.
    Dense,
}

impl Profile {
    /// The end of an object's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Plain | Self::Dense => ".tar.zst",
            Self::Guard => ".tar",
        }
    }

    /// Whether the tar stream is cut into zstd frames.
    pub fn is_framed(self) -> bool {
        self != Self::Guard
    }
}

/// How the frames of an entry are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    Raw,
    Zstd,
    Tar,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inventory {
    pub media_type: String,
    pub writer: String,
    pub profile: Profile,
    pub name: String,
    pub set: String,
    pub volume: u32,
    pub volumes: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Pipeline>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    pub audience: Vec<String>,
    pub created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    pub repositories: Vec<Repository>,
    pub artifacts: Vec<Artifact>,
    pub contents: Vec<Row>,
    pub voids: Vec<Void>,
    pub assumed: Vec<AssumedRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rebuilt: Vec<RebuiltRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repairs: Option<Repairs>,
    pub volume_inventories: Vec<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pipeline {
    pub name: String,
    pub id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Artifact {
    pub source: Arc<str>,
    pub repository: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    pub root: DescriptorRow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<Arc<str>>,
    pub platforms: Vec<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    pub absent: Vec<Absent>,
    pub referrers: Vec<ReferrerRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DescriptorRow {
    pub media_type: Arc<str>,
    pub digest: Digest,
    pub size: u64,
}

/// A child of a carried manifest that was not carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Absent {
    pub digest: Digest,
    pub reason: AbsentReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferrerRow {
    pub subject: Digest,
    pub media_type: Arc<str>,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<Arc<str>>,
    /// The tag by which cosign finds it, where it has one instead of a `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Row {
    pub digest: Digest,
    pub size: u64,
    pub media_type: Arc<str>,
    pub offset: u64,
    pub encoding: Encoding,
    pub repositories: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    pub number: u32,
    pub of: u32,
    pub digest: Digest,
    pub size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Void {
    pub digest: Digest,
    pub size: u64,
    pub offset: u64,
    pub encoding: Encoding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    pub reason: String,
    pub found: Digest,
}

/// Why signed bytes are not an inventory of this version.
#[derive(Debug, thiserror::Error)]
pub enum InvalidInventory {
    #[error("its format is `{0}`, and this program reads `{MEDIA_TYPE}` and `{MEDIA_TYPE_2}`")]
    UnknownVersion(String),
    #[error("it is not a valid inventory")]
    Json(#[source] serde_json::Error),
    #[error("it is not spelled as the format demands")]
    NotCanonical,
    #[error("it contradicts itself: {0}")]
    Inconsistent(&'static str),
    #[error("the encoding or the part that it gives for `{0}` cannot be")]
    UnsoundRow(Digest),
    #[error("the sizes that it gives for the parts of `{0}` do not make up its size")]
    PartSizes(Digest),
    #[error("what it tells of the past of its artifacts is not right")]
    Past(#[from] InvalidPast),
    #[error("it lists the entry `{0}` twice")]
    ListedTwice(String),
    #[error(
        "the offset that it gives for the entry `{0}` does not follow from the entries before it"
    )]
    Misplaced(String),
}

impl From<&Descriptor> for DescriptorRow {
    fn from(descriptor: &Descriptor) -> Self {
        Self {
            media_type: Arc::clone(&descriptor.media_type),
            digest: descriptor.digest.clone(),
            size: descriptor.size,
        }
    }
}

impl DescriptorRow {
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }
}

impl ReferrerRow {
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }
}

impl Row {
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }

    /// Digest and size of the bytes that stand in this entry: those of the part where it is one.
    pub fn stored(&self) -> Descriptor {
        match &self.part {
            Some(part) => Descriptor::new(&self.media_type, part.digest.clone(), part.size),
            None => self.descriptor(),
        }
    }
}

/// What `writer` says in inventories of this program.
pub fn writer_version() -> String {
    format!(
        "airlift/{} zstd/{}",
        env!("CARGO_PKG_VERSION"),
        super::frame::compressor_version()
    )
}

impl Inventory {
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Parses bytes whose signature has been decided upon.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidInventory> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            media_type: String,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(InvalidInventory::Json)?;
        if ![MEDIA_TYPE, MEDIA_TYPE_2].contains(&&*version.media_type) {
            return Err(InvalidInventory::UnknownVersion(version.media_type));
        }
        let inventory: Self = serde_json::from_slice(bytes).map_err(InvalidInventory::Json)?;
        inventory.check_spelling(bytes)?;
        inventory.check_consistency()?;
        Ok(inventory)
    }

    fn check_spelling(&self, bytes: &[u8]) -> Result<(), InvalidInventory> {
        let mut comparison = Comparison { rest: bytes };
        serde_json::to_writer(&mut comparison, self).map_err(|_| InvalidInventory::NotCanonical)?;
        if comparison.rest.is_empty() {
            Ok(())
        } else {
            Err(InvalidInventory::NotCanonical)
        }
    }

    fn check_consistency(&self) -> Result<(), InvalidInventory> {
        let is_known = |position: &u32| (*position as usize) < self.repositories.len();
        let is_last = self.volume == self.volumes;
        let rows = self.contents.len() + self.voids.len();
        let checks = [
            (
                self.volume >= 1 && self.volume <= self.volumes && self.volumes <= VOLUMES_MAX,
                "volume numbers",
            ),
            (is_bundle_name(&self.name), "the bundle's name"),
            (is_hex(&self.set, 32), "the set"),
            (
                self.pipeline.is_some() == self.sequence.is_some(),
                "pipeline without sequence",
            ),
            (
                self.pipeline.as_ref().is_none_or(|p| is_hex(&p.id, 32)),
                "the pipeline's id",
            ),
            (self.sequence != Some(0), "the sequence"),
            (rows <= INVENTORY_ROWS_MAX, "more rows than the limit"),
            (
                is_last || self.artifacts.is_empty(),
                "artifacts outside the last volume",
            ),
            (
                is_last || self.past.is_none(),
                "a past outside the last volume",
            ),
            (
                self.volume_inventories.len()
                    == if is_last {
                        // Numbers are checked above; all checks are computed before the first is looked at.
                        (self.volumes as usize).saturating_sub(1)
                    } else {
                        0
                    },
                "the inventories of the other volumes",
            ),
            (
                self.artifacts.iter().all(|a| is_known(&a.repository)),
                "a repository's position",
            ),
            (
                self.contents
                    .iter()
                    .all(|row| row.repositories.iter().all(is_known)),
                "a repository's position",
            ),
            (self.has_unique_names(), "two artifacts with one name"),
        ];
        if let Some((_, what)) = checks.iter().find(|(holds, _)| !holds) {
            return Err(InvalidInventory::Inconsistent(what));
        }
        if let Some(row) = self.contents.iter().find(|row| !self.is_sound(row)) {
            return Err(InvalidInventory::UnsoundRow(row.digest.clone()));
        }
        self.check_version_2()?;
        match &self.past {
            Some(past) => Ok(past.check(&self.artifacts)?),
            None => Ok(()),
        }
    }

    /// Which of two artifacts a tag would end up at must not be chance.
    fn has_unique_names(&self) -> bool {
        let mut roots = HashMap::new();
        let mut named = self.artifacts.iter().filter(|a| a.tag.is_some());
        named.all(|artifact| {
            let name = (artifact.repository, &artifact.tag);
            *roots.entry(name).or_insert(&artifact.root.digest) == &artifact.root.digest
        })
    }

    fn is_sound(&self, row: &Row) -> bool {
        let fits_profile = (self.profile == Profile::Guard) == (row.encoding == Encoding::Tar);
        let is_sound_part = row.part.as_ref().is_none_or(|part| {
            (1..=part.of).contains(&part.number)
                && part.of <= super::limits::PARTS_MAX
                && part.size <= row.size
        });
        fits_profile && is_sound_part
    }

    /// The repository at a row's position. Positions were checked when the inventory was parsed.
    pub fn repository(&self, position: u32) -> &Repository {
        &self.repositories[position as usize]
    }
}

/// `[a-z0-9._-]`, at most 60, not starting with a dot or dash: valid on FAT, ISO 9660 with Joliet, and in URLs.
pub fn is_bundle_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    !name.is_empty()
        && name.len() <= super::limits::NAME_LENGTH_MAX
        && name.bytes().all(is_allowed)
        && !name.starts_with(['.', '-'])
}

/// `[a-z0-9._-]`, at most 60.
pub fn is_pipeline_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    (1..=super::limits::NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A writer that accepts only the bytes that it was made with.
struct Comparison<'a> {
    rest: &'a [u8],
}

impl io::Write for Comparison<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => {
                self.rest = rest;
                Ok(bytes.len())
            }
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
