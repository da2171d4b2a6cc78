//! What a bundle's inventory says of its plan, and which artifacts are still whole. Pure.
//!
//! Specification: FORMAT.md, "Inventory".

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::export_plan::{ExportOptions, ExportPlan};
use crate::bundle::{
    Absent, Artifact, DescriptorRow, Inventory, Pipeline, ReferrerRow, SigningKey, writer_version,
};
use crate::content::{Error, ErrorKind, PlannedArtifact, Result};
use crate::oci::Digest;

/// The artifacts that need a content, as messages show them.
pub(super) fn artifacts_that_need(export: &ExportPlan, digest: &Digest) -> Vec<String> {
    let plan = &export.plan;
    let needs = |artifact: &&PlannedArtifact| {
        let missing = plan.find_missing(artifact, |found| found == digest);
        missing.is_some()
    };
    let needing = plan.artifacts.iter().filter(needs);
    needing
        .map(|artifact| export.show_artifact(artifact))
        .collect()
}

/// Positions of the artifacts of which nothing has failed.
pub(super) fn surviving(export: &ExportPlan, failed: &HashSet<Digest>) -> Vec<usize> {
    let plan = &export.plan;
    if failed.is_empty() {
        return (0..plan.artifacts.len()).collect();
    }
    let is_whole = |position: &usize| {
        let artifact = &plan.artifacts[*position];
        let missing = plan.find_missing(artifact, |digest| failed.contains(digest));
        missing.is_none()
    };
    (0..plan.artifacts.len()).filter(is_whole).collect()
}

/// Digests everything that decides the bytes of a volume beside its contents: its inventory without them, and who
/// signs. What it tells of the past decides nothing: a volume that an interrupted run has completed keeps what that run
/// told.
pub(super) fn digest_frame(inventory: &Inventory, keys: &[SigningKey]) -> Result<Digest> {
    let inventory = Inventory {
        past: None,
        ..inventory.clone()
    };
    let encoded = inventory.encode().map_err(|cause| {
        Error::new(ErrorKind::Failed, "cannot encode the inventory").with_cause(cause)
    })?;
    let mut signers: Vec<String> = keys
        .iter()
        .map(|key| key.public().id().to_string())
        .collect();
    signers.sort();
    let signers = signers.join(",");
    Ok(Digest::sha256(&[signers.as_bytes(), &encoded].concat()))
}

/// What a volume of which nothing was left out would have as its frame.
pub(super) fn frame_of(
    export: &ExportPlan,
    (options, keys): (&ExportOptions, &[SigningKey]),
    number: usize,
    (before, created): (&[Digest], Timestamp),
) -> Result<Digest> {
    let nothing = HashSet::new();
    let with = (options, created);
    let inventory = make_inventory(export, with, &nothing, number, before.to_vec())?;
    digest_frame(&inventory, keys)
}

/// The inventory of the volume with this number, without its contents; `before` are the inventory digests of
/// the volumes before it.
pub(super) fn make_inventory(
    export: &ExportPlan,
    (options, created): (&ExportOptions, Timestamp),
    failed: &HashSet<Digest>,
    number: usize,
    before: Vec<Digest>,
) -> Result<Inventory> {
    let of = export.volumes.len();
    let is_last = number == of;
    let count = |number: usize| {
        u32::try_from(number).map_err(|_| Error::new(ErrorKind::Refused, "too many volumes"))
    };
    let position = export.position.as_ref();
    let carriage = &export.carriage;
    let mut inventory = Inventory {
        media_type: String::new(),
        writer: writer_version(),
        profile: export.profile,
        name: export.name.clone(),
        set: export.set.clone(),
        volume: count(number)?,
        volumes: count(of)?,
        pipeline: position.map(|position| Pipeline {
            name: position.name.clone(),
            id: position.pipeline.to_string(),
        }),
        sequence: position.map(|position| position.sequence),
        previous: position.and_then(|position| position.previous.clone()),
        audience: options.audience.clone(),
        created,
        expires: options.expires,
        repositories: export.plan.repositories.clone(),
        artifacts: match is_last {
            true => artifact_rows(export, failed),
            false => Vec::new(),
        },
        contents: Vec::new(),
        voids: Vec::new(),
        assumed: match is_last {
            true => carriage.assumed.clone(),
            false => Vec::new(),
        },
        rebuilt: match is_last {
            true => carriage.rebuilt.clone(),
            false => Vec::new(),
        },
        repairs: export.repairs.clone().filter(|_| is_last),
        volume_inventories: match is_last {
            true => before,
            false => Vec::new(),
        },
        past: export.past.clone().filter(|_| is_last),
    };
    inventory.media_type = inventory.lowest_media_type().to_owned();
    Ok(inventory)
}

fn artifact_rows(export: &ExportPlan, failed: &HashSet<Digest>) -> Vec<Artifact> {
    let surviving = surviving(export, failed);
    let row = |position| artifact_row(export, position);
    surviving.into_iter().map(row).collect()
}

fn artifact_row(export: &ExportPlan, position: usize) -> Artifact {
    let plan = &export.plan;
    let artifact = &plan.artifacts[position];
    let referrers = artifact.referrers.iter().map(|referrer| {
        let descriptor = &plan.manifests[referrer.manifest].descriptor;
        ReferrerRow {
            subject: referrer.subject.clone(),
            media_type: Arc::clone(&descriptor.media_type),
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            artifact_type: referrer.artifact_type.as_deref().map(Into::into),
            tag: referrer.tag.clone(),
        }
    });
    let absent = artifact.absent.iter().map(|(digest, reason)| Absent {
        digest: digest.clone(),
        reason: *reason,
    });
    Artifact {
        source: export.source_names[artifact.source].as_str().into(),
        repository: u32::try_from(artifact.repository).unwrap_or(u32::MAX),
        tag: artifact.tag.clone(),
        root: DescriptorRow::from(&plan.manifests[artifact.root].descriptor),
        artifact_type: artifact.artifact_type.as_deref().map(Into::into),
        platforms: artifact.platforms.clone(),
        created: artifact.created.clone(),
        absent: absent.collect(),
        referrers: referrers.collect(),
    }
}
