//! What version 2 of the inventory adds: content that is assumed to be at the target, and layers that are rebuilt.
//!
//! **Invariants.** What is assumed or rebuilt is carried by no row. References lead only backwards, so rebuilding
//! ends. A row that belongs to no repository is a recipe or a segment that a rebuilt row names.
//! Pure. Specification: FORMAT.md, "Version 2: assumed and rebuilt content".

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::inventory::{InvalidInventory, Inventory, Profile, Row};
use super::limits::INVENTORY_ROWS_MAX;
use crate::oci::media_type::is_manifest;
use crate::oci::{Descriptor, Digest};

pub const MEDIA_TYPE_2: &str = "application/vnd.airlift.inventory.v2+json";
pub const RECIPE_MEDIA_TYPE: &str = "application/vnd.airlift.recipe.v1";
pub const SEGMENT_MEDIA_TYPE: &str = "application/vnd.airlift.segment.v1+zstd";

/// The bytes of a recipe.
pub const RECIPE_SIZE_MAX_BYTES: u64 = 64 << 20;
/// The stored bytes of a segment, which has 8 MiB at most when it is decoded.
const SEGMENT_SIZE_MAX_BYTES: u64 = (8 << 20) + (64 << 10);
/// The references of one rebuilt row.
const REFERENCES_MAX: usize = 256;
/// The plain bytes of a layer, and how many of them each byte of it may stand for.
const PLAIN_SIZE_MAX_BYTES: u64 = 1 << 38;
const EXPANSION_MAX: u64 = 1_100;
const EXPANSION_START_BYTES: u64 = 1 << 20;

/// Content that is not carried, and expected at the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssumedRow {
    pub media_type: Arc<str>,
    pub digest: Digest,
    pub size: u64,
    /// Where an earlier bundle brought it.
    pub repositories: Vec<u32>,
    /// The newest bundle of the pipeline that is known to have brought it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Given where a recipe refers to it: the bytes that it has without its gzip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_size: Option<u64>,
}

/// A layer that is made again from a recipe, segments and references.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RebuiltRow {
    pub media_type: Arc<str>,
    pub digest: Digest,
    pub size: u64,
    pub repositories: Vec<u32>,
    pub plain_size: u64,
    pub recipe: Digest,
    pub segments: Vec<Digest>,
    /// In the order of the recipe's numbers.
    pub references: Vec<Digest>,
}

/// The bundle that this one completes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repairs {
    pub lane: String,
    pub sequence: u64,
    /// The digest of its last inventory.
    pub inventory: Digest,
}

impl AssumedRow {
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }
}

impl RebuiltRow {
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }
}

impl Row {
    /// Whether it is a recipe or a segment, which belong to no repository.
    pub fn is_derived(&self) -> bool {
        self.repositories.is_empty()
    }
}

impl Inventory {
    /// The version that such an inventory is written in: the lowest that has what it needs.
    pub fn lowest_media_type(&self) -> &'static str {
        let needs_2 = self.profile == Profile::Dense
            || !self.assumed.is_empty()
            || !self.rebuilt.is_empty()
            || self.repairs.is_some();
        match needs_2 {
            true => MEDIA_TYPE_2,
            false => super::inventory::MEDIA_TYPE,
        }
    }

    /// Bytes that the spool of an import comes to: references and what is rebuilt, without their compression.
    pub fn spool_bytes(&self) -> u64 {
        let assumed = self.assumed.iter().filter_map(|row| row.plain_size);
        let rebuilt = self.rebuilt.iter().map(|row| row.plain_size);
        assumed.chain(rebuilt).fold(0, u64::saturating_add)
    }

    pub(super) fn check_version_2(&self) -> Result<(), InvalidInventory> {
        let is_last = self.volume == self.volumes;
        let is_known = |position: &u32| (*position as usize) < self.repositories.len();
        let assumed = self.assumed.iter().map(|row| &row.repositories);
        let mut lists = assumed.chain(self.rebuilt.iter().map(|row| &row.repositories));
        let types = self.assumed.iter().map(|row| &row.media_type);
        let mut types = types.chain(self.rebuilt.iter().map(|row| &row.media_type));
        let has_rows = !self.assumed.is_empty() || !self.rebuilt.is_empty();
        let checks = [
            (
                self.media_type == self.lowest_media_type(),
                "its version, which is not the one that has what it needs",
            ),
            (
                is_last || !has_rows && self.repairs.is_none(),
                "assumed or rebuilt content outside the last volume",
            ),
            (
                self.assumed.len().saturating_add(self.rebuilt.len()) <= INVENTORY_ROWS_MAX,
                "more rows than the limit",
            ),
            (
                lists.all(|list| !list.is_empty() && list.iter().all(is_known)),
                "the repositories of assumed or rebuilt content",
            ),
            (
                self.rebuilt.is_empty() || self.profile == Profile::Dense,
                "rebuilt content in a profile that has none",
            ),
            (
                self.repairs.is_none()
                    || self.artifacts.is_empty() && !has_rows && self.pipeline.is_some(),
                "a repair with artifacts, or without a pipeline",
            ),
            (
                !types.any(|it| is_manifest(it)),
                "a manifest that is assumed or rebuilt",
            ),
            (self.has_each_once(), "content that is listed twice"),
            (
                self.has_sound_sizes(),
                "sizes of assumed or rebuilt content",
            ),
            (
                self.has_backward_references(),
                "the references of rebuilt content",
            ),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(InvalidInventory::Inconsistent(what)),
            None => Ok(()),
        }
    }

    /// No digest is two of carried, assumed and rebuilt.
    fn has_each_once(&self) -> bool {
        if self.assumed.is_empty() && self.rebuilt.is_empty() {
            return true;
        }
        let carried: HashSet<&Digest> = self.contents.iter().map(|row| &row.digest).collect();
        let mut seen = HashSet::new();
        let assumed = self.assumed.iter().map(|row| &row.digest);
        let mut named = assumed.chain(self.rebuilt.iter().map(|row| &row.digest));
        named.all(|digest| !carried.contains(digest) && seen.insert(digest))
    }

    fn has_sound_sizes(&self) -> bool {
        let is_plausible = |size: u64, plain: u64| {
            let most = size
                .saturating_mul(EXPANSION_MAX)
                .saturating_add(EXPANSION_START_BYTES);
            plain <= most.min(PLAIN_SIZE_MAX_BYTES)
        };
        let assumed = |row: &AssumedRow| row.plain_size.is_none_or(|it| is_plausible(row.size, it));
        let is_derived_sound = |row: &Row| match &*row.media_type {
            RECIPE_MEDIA_TYPE => row.size <= RECIPE_SIZE_MAX_BYTES,
            SEGMENT_MEDIA_TYPE => row.size <= SEGMENT_SIZE_MAX_BYTES,
            _ => false,
        };
        let is_version_2 = self.media_type == MEDIA_TYPE_2;
        let derived = self.contents.iter().filter(|row| row.is_derived());
        let mut derived = derived.filter(|_| is_version_2);
        self.assumed.iter().all(assumed)
            && self
                .rebuilt
                .iter()
                .all(|row| is_plausible(row.size, row.plain_size))
            && derived.all(is_derived_sound)
    }

    fn has_backward_references(&self) -> bool {
        let with_plain = self.assumed.iter().filter(|row| row.plain_size.is_some());
        let mut known: HashSet<&Digest> = with_plain.map(|row| &row.digest).collect();
        self.rebuilt.iter().all(|row| {
            let leads_back = row.references.len() <= REFERENCES_MAX
                && row.references.iter().all(|it| known.contains(it));
            known.insert(&row.digest);
            leads_back
        })
    }
}
