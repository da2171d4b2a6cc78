//! Content that a bundle does not carry, and that is looked for at the target before anything is moved.
//!
//! **Invariants.** It counts only in the repositories that the bundle names, under the names that the import gives
//! them, and only in those that this lane has filled or the operator has listed: whoever signs bundles learns
//! nothing of others. Nothing is moved while something is missing.
//! Specification: FORMAT.md, "Version 2", Import.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::import_plan::ImportPlan;
use super::missing::{MISSING_MEDIA_TYPE, MissingContent, MissingContents};
use super::place::{Place, TargetReference};
use super::target_names::name_at_target;
use crate::bundle::{AssumedRow, Bundle};
use crate::content::{Error, ErrorKind, Plan, Result};
use crate::oci::{Digest, Repository};
use crate::selection::{RenameRules, RepositoryPattern};
use futures_util::{StreamExt, TryStreamExt, stream};

/// Contents that are looked for at once.
const CONCURRENT_CONTENTS: usize = 16;

/// The repositories of the target in which assumed content counts.
#[derive(Clone, Debug, Default)]
pub struct AssumedWithin {
    /// What the lane has filled before, by the target's names.
    pub filled: BTreeSet<Repository>,
    /// What the operator has listed.
    pub listed: Vec<RepositoryPattern>,
}

impl AssumedWithin {
    fn admits(&self, name: &Repository) -> bool {
        self.filled.contains(name) || self.listed.iter().any(|pattern| pattern.matches(name))
    }
}

/// Where assumed content may be: the target's names of the repositories that its row names.
#[derive(Clone, Debug)]
pub(super) struct AssumedPlace {
    row: AssumedRow,
    /// Names at the source, for people and for the exporter.
    sources: Vec<Repository>,
    names: Vec<Repository>,
}

/// What the planned part of a bundle needs of the target, references of rebuilt layers included.
pub(super) fn list_assumed(
    bundle: &Bundle,
    plan: &Plan,
    (target, renames): (&TargetReference, &RenameRules),
) -> Result<Vec<AssumedPlace>> {
    let needed = needed_digests(bundle, plan);
    let inventory = bundle.inventory();
    let rows = inventory.assumed.iter();
    let rows = rows.filter(|row| needed.contains(&row.digest));
    rows.map(|row| {
        let sources = row.repositories.iter();
        let sources: Vec<Repository> = sources
            .map(|it| inventory.repository(*it).clone())
            .collect();
        let names = sources.iter();
        let names = names.map(|name| name_at_target(name, target, renames));
        Ok(AssumedPlace {
            row: row.clone(),
            names: names.collect::<Result<_>>()?,
            sources,
        })
    })
    .collect()
}

/// The blobs of the plan that are not carried, with everything that they are made from.
fn needed_digests<'a>(bundle: &'a Bundle, plan: &'a Plan) -> HashSet<&'a Digest> {
    let mut needed: HashSet<&Digest> = HashSet::new();
    let blobs = plan.blobs.iter().map(|blob| &blob.descriptor.digest);
    let mut open: Vec<&Digest> = blobs.collect();
    while let Some(digest) = open.pop() {
        if !needed.insert(digest) {
            continue;
        }
        if let Some(row) = bundle.find_rebuilt(digest) {
            open.extend(&row.references);
        }
    }
    needed
}

/// Where each assumed content was found at the target.
pub(super) type FoundContents = HashMap<Digest, Repository>;

/// Looks for all of them; one that is missing refuses the import, and all that are missing are told.
pub(super) async fn find_assumed(
    bundle: &Bundle,
    assumed: &[AssumedPlace],
    (place, within): (&Place, &AssumedWithin),
) -> Result<FoundContents> {
    let looked: Vec<Option<Repository>> = stream::iter(assumed)
        .map(|content| find_content(content, place, within))
        .buffered(CONCURRENT_CONTENTS)
        .try_collect()
        .await?;
    let mut found = FoundContents::new();
    let mut missing = Vec::new();
    for (content, name) in assumed.iter().zip(looked) {
        match name {
            Some(name) => {
                found.insert(content.row.digest.clone(), name);
            }
            None => missing.push(content.missing()),
        }
    }
    match missing.is_empty() {
        true => Ok(found),
        false => Err(refuse(bundle, missing)),
    }
}

/// What an import would find missing at its target, as its error; `place` is `None` where there is no target yet.
pub async fn check_assumed(
    import: &ImportPlan,
    place: Option<&Place>,
    within: &AssumedWithin,
) -> Result<()> {
    let (bundle, assumed) = (&import.bundle, &import.assumed);
    match place {
        Some(place) => find_assumed(bundle, assumed, (place, within))
            .await
            .map(drop),
        None if assumed.is_empty() => Ok(()),
        None => Err(refuse(
            bundle,
            assumed.iter().map(AssumedPlace::missing).collect(),
        )),
    }
}

impl AssumedPlace {
    fn missing(&self) -> MissingContent {
        MissingContent {
            digest: self.row.digest.clone(),
            size: self.row.size,
            repositories: self.sources.clone(),
            sequence: self.row.sequence,
        }
    }
}

async fn find_content(
    content: &AssumedPlace,
    place: &Place,
    within: &AssumedWithin,
) -> Result<Option<Repository>> {
    let target = place.as_target();
    let descriptor = content.row.descriptor();
    for name in content.names.iter().filter(|name| within.admits(name)) {
        match target.exists(name, &descriptor).await {
            Ok(true) => return Ok(Some(name.clone())),
            // What has another size there is as good as missing.
            Ok(false) => {}
            Err(error) if error.kind() == ErrorKind::Unverified => {}
            Err(error) => return Err(error.on_side("target")),
        }
    }
    Ok(None)
}

/// The error of a reference that is not at the target, or not what it should be.
pub(super) fn missing_of(bundle: &Bundle, digest: &Digest) -> Error {
    let inventory = bundle.inventory();
    let row = bundle.find_assumed(digest);
    let positions = row.map_or(&[][..], |row| &row.repositories);
    let repositories = positions.iter().map(|it| inventory.repository(*it).clone());
    let missing = MissingContent {
        digest: digest.clone(),
        size: row.map_or(0, |row| row.size),
        repositories: repositories.collect(),
        sequence: row.and_then(|row| row.sequence),
    };
    refuse(bundle, vec![missing])
}

fn refuse(bundle: &Bundle, missing: Vec<MissingContent>) -> Error {
    let inventory = bundle.inventory();
    let message = match missing.len() {
        1 => "the target lacks a content that the bundle does not carry".to_owned(),
        count => format!("the target lacks {count} contents that the bundle does not carry"),
    };
    Error::new(ErrorKind::NotFound, message).with_cause(MissingContents {
        media_type: MISSING_MEDIA_TYPE.to_owned(),
        bundle: inventory.name.clone(),
        pipeline: inventory.pipeline.as_ref().map(|it| it.name.clone()),
        lane: None,
        sequence: inventory.sequence,
        inventory: bundle.last().inventory_digest().clone(),
        missing,
        file: None,
    })
}
