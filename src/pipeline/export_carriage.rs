//! What of a plan a bundle carries: all of it, or less where the target has some, or can make some again.
//!
//! **Invariants.** The plan stays whole: its manifests need what they need. A blob is carried, assumed or rebuilt,
//! and exactly one of these. Recipes and segments are blobs of the plan that belong to no repository; they stand
//! behind all others. Pure. Specification: FORMAT.md, "Version 2".

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::export_plan::{ExportOptions, ExportPlan};
use crate::bundle::{AssumedRow, Load, RebuiltRow, plan_volumes};
use crate::content::{Error, ErrorKind, Plan, Result};
use crate::history::Known;
use crate::oci::{Digest, Repository};

/// Which blobs of a plan are in the bundle, and what is instead of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carriage {
    /// Positions in [`Plan::blobs`], ascending.
    pub blobs: Vec<usize>,
    pub assumed: Vec<AssumedRow>,
    pub rebuilt: Vec<RebuiltRow>,
}

impl Carriage {
    /// Everything is carried as it is.
    pub fn whole(plan: &Plan) -> Self {
        Self {
            blobs: (0..plan.blobs.len()).collect(),
            ..Self::default()
        }
    }
}

impl ExportPlan {
    /// The bytes of what is carried.
    pub fn carried_bytes(&self) -> u64 {
        let blobs = self.carriage.blobs.iter();
        let blobs = blobs.map(|blob| self.plan.blobs[*blob].descriptor.size);
        let manifests = self.plan.manifests.iter();
        let manifests = manifests.map(|manifest| manifest.descriptor.size);
        blobs.chain(manifests).fold(0, u64::saturating_add)
    }

    /// How many contents are carried.
    pub fn carried_count(&self) -> usize {
        self.carriage.blobs.len() + self.plan.manifests.len()
    }

    /// The bytes that artifacts need, carried or not.
    pub fn needed_bytes(&self) -> u64 {
        let blobs = self.plan.blobs.iter();
        let needed = blobs.filter(|blob| !blob.repositories.is_empty());
        let blobs = needed.map(|blob| blob.descriptor.size);
        let manifests = self.plan.manifests.iter();
        let manifests = manifests.map(|manifest| manifest.descriptor.size);
        blobs.chain(manifests).fold(0, u64::saturating_add)
    }

    /// The bytes that an importer decompresses into its spool, and this export into its own.
    pub fn spooled_bytes(&self) -> u64 {
        let rebuilt = self.carriage.rebuilt.iter().map(|row| row.plain_size);
        let references = self
            .carriage
            .assumed
            .iter()
            .filter_map(|row| row.plain_size);
        rebuilt.chain(references).fold(0, u64::saturating_add)
    }

    /// The bytes that need not travel.
    pub fn saved_bytes(&self) -> u64 {
        self.needed_bytes().saturating_sub(self.carried_bytes())
    }

    /// Assigns what is carried to volumes.
    pub(super) fn cut(&mut self, options: &ExportOptions) -> Result<()> {
        let volumes = plan_volumes(&self.load(options), options.volume_size);
        self.volumes = volumes.map_err(|cause| {
            Error::new(ErrorKind::Refused, "cannot cut the export into volumes").with_cause(cause)
        })?;
        Ok(())
    }

    /// What volumes are filled with.
    pub(super) fn load(&self, options: &ExportOptions) -> Load<'_> {
        Load {
            plan: &self.plan,
            blobs: &self.carriage.blobs,
            lists_bytes: lists_bytes(&self.carriage),
            profile: self.profile,
            signatures: options.signatures,
        }
    }

    /// Leaves out the blobs that every lane of the audience has. They are looked for at the target where earlier
    /// bundles brought them.
    pub(super) fn assume(&mut self, known: &BTreeMap<Digest, Known>) {
        let mut positions = positions_of(&self.plan);
        let mut carried = Vec::new();
        for blob in std::mem::take(&mut self.carriage.blobs) {
            let descriptor = &self.plan.blobs[blob].descriptor;
            let Some(content) = known.get(&descriptor.digest) else {
                carried.push(blob);
                continue;
            };
            let repositories = places_of(content, &mut self.plan.repositories, &mut positions);
            if repositories.is_empty() {
                carried.push(blob);
                continue;
            }
            self.carriage.assumed.push(AssumedRow {
                media_type: Arc::clone(&descriptor.media_type),
                digest: descriptor.digest.clone(),
                size: descriptor.size,
                repositories,
                sequence: brought_by(content),
                plain_size: None,
            });
        }
        self.carriage.blobs = carried;
    }

    /// Notes that a recipe copies from this content, which the target has.
    pub(super) fn refer(&mut self, digest: &Digest, content: &Known, plain_size: u64) {
        let mut rows = self.carriage.assumed.iter_mut();
        if let Some(row) = rows.find(|row| row.digest == *digest) {
            row.plain_size = Some(plain_size);
            return;
        }
        let mut positions = positions_of(&self.plan);
        let repositories = places_of(content, &mut self.plan.repositories, &mut positions);
        self.carriage.assumed.push(AssumedRow {
            media_type: REFERENCE_MEDIA_TYPE.into(),
            digest: digest.clone(),
            size: content.size_bytes,
            repositories,
            sequence: brought_by(content),
            plain_size: Some(plain_size),
        });
    }
}

/// No bundle has brought what was at the target before.
fn brought_by(content: &Known) -> Option<u64> {
    (content.sequence > 0).then_some(content.sequence)
}

/// The ledger keeps no media type of what it only refers to.
const REFERENCE_MEDIA_TYPE: &str = "application/octet-stream";

/// What a row of the assumed or rebuilt content adds to an inventory, at most.
const LIST_ROW_MAX_BYTES: u64 = 1024;
const LIST_DIGEST_BYTES: u64 = 160;
const LIST_POSITION_BYTES: u64 = 8;

fn lists_bytes(carriage: &Carriage) -> u64 {
    let assumed = carriage.assumed.iter().map(|row| {
        let positions = row.repositories.len() as u64 * LIST_POSITION_BYTES;
        LIST_ROW_MAX_BYTES + row.media_type.len() as u64 + positions
    });
    let rebuilt = carriage.rebuilt.iter().map(|row| {
        let digests = (row.segments.len() + row.references.len()) as u64 * LIST_DIGEST_BYTES;
        let positions = row.repositories.len() as u64 * LIST_POSITION_BYTES;
        LIST_ROW_MAX_BYTES + row.media_type.len() as u64 + digests + positions
    });
    assumed.chain(rebuilt).sum()
}

fn positions_of(plan: &Plan) -> HashMap<Repository, u32> {
    plan.repositories.iter().cloned().zip(0..).collect()
}

/// The positions of a content's repositories; those that the plan does not have are added to it.
fn places_of(
    content: &Known,
    repositories: &mut Vec<Repository>,
    positions: &mut HashMap<Repository, u32>,
) -> Vec<u32> {
    let mut places = Vec::new();
    let names = content.repositories.iter();
    for name in names.filter_map(|name| name.parse::<Repository>().ok()) {
        let next = u32::try_from(repositories.len()).unwrap_or(u32::MAX);
        let place = *positions.entry(name.clone()).or_insert(next);
        if place == next {
            repositories.push(name.clone());
        }
        places.push(place);
    }
    places
}
