//! What stands in the container before an export writes: the same bundle, another one, or too little room.

use super::export::{ExportReport, ExportedVolume};
use super::export_plan::ExportPlan;
use super::open_bundles::open_volume;
use crate::bundle::{Bundle, PublicKey, SignaturePolicy, SigningKey, TrustedKeys, Volume};
use crate::content::{Error, ErrorKind, Result};
use crate::storage::StorageContainer;

/// An equal, complete bundle under the same names, signed by these keys. Where a run was killed between
/// publishing the first volume and the last, what it had sealed is published now.
pub(super) async fn find_unchanged(
    export: &ExportPlan,
    container: &dyn StorageContainer,
    keys: &[SigningKey],
) -> Result<Option<ExportReport>> {
    let policy = policy_of(keys);
    let mut volumes = Vec::new();
    let mut missing = Vec::new();
    for name in export.object_names() {
        if container.find(&name).await?.is_none() {
            missing.push(name);
            continue;
        }
        match open_volume(container, &name, &[], &policy).await {
            Ok(volume) if is_whole_part(export, &volume) => volumes.push((name, volume)),
            _ => return Ok(None),
        }
    }
    if volumes.is_empty() {
        return Ok(None);
    }
    if !missing.is_empty() {
        volumes.extend(publish_left(export, container, &policy, missing, &volumes).await?);
    }
    volumes.sort_by_key(|(_, volume)| volume.inventory().volume);
    Ok(Some(ExportReport {
        name: export.name.clone(),
        set: export.set.clone(),
        volumes: volumes.into_iter().map(describe).collect(),
        is_unchanged: true,
        exported: (0..export.plan.artifacts.len()).collect(),
        ..ExportReport::default()
    }))
}

fn describe((object, volume): (String, Volume)) -> ExportedVolume {
    ExportedVolume {
        object,
        size_bytes: volume.size_bytes(),
        inventory_digest: volume.inventory_digest().clone(),
    }
}

/// Whether the volume is one of this very plan, with nothing left out.
fn is_whole_part(export: &ExportPlan, volume: &Volume) -> bool {
    let inventory = volume.inventory();
    let id = inventory.pipeline.as_ref().map(|p| p.id.as_str());
    let found = id.zip(inventory.sequence);
    let position = export.position.as_ref();
    // A content that failed before its first byte leaves no void, only fewer artifacts.
    let is_last = inventory.volume == inventory.volumes;
    let has_all = !is_last || inventory.artifacts.len() == export.plan.artifacts.len();
    has_all
        && inventory.set == export.set
        && found == position.map(|p| (p.pipeline.as_str(), p.sequence))
        && volume.inventory().voids.is_empty()
        && export.failures.is_empty()
}

/// Publishes the missing volumes from their partial files, if all of them make one bundle with those that
/// are there. Nothing is removed or written anew: what is there may be all that is left of the bundle.
async fn publish_left(
    export: &ExportPlan,
    container: &dyn StorageContainer,
    policy: &SignaturePolicy,
    missing: Vec<String>,
    present: &[(String, Volume)],
) -> Result<Vec<(String, Volume)>> {
    let mut left = Vec::new();
    for name in &missing {
        let Some(object) = container.open_left(name).await? else {
            return Err(not_whole(container, present, &missing));
        };
        match Volume::open(object, Vec::new(), policy).await {
            Ok(volume) if is_whole_part(export, &volume) => left.push((name.clone(), volume)),
            _ => return Err(not_whole(container, present, &missing)),
        }
    }
    let all = present
        .iter()
        .chain(&left)
        .map(|(_, volume)| volume.clone());
    Bundle::assemble(all.collect()).map_err(|_| not_whole(container, present, &missing))?;
    for (name, _) in &left {
        container.publish_left(name).await?;
    }
    Ok(left)
}

fn not_whole(
    container: &dyn StorageContainer,
    present: &[(String, Volume)],
    missing: &[String],
) -> Error {
    let present: Vec<&str> = present.iter().map(|(name, _)| name.as_str()).collect();
    Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "`{}` holds a part of this bundle (`{}`) and not the rest (`{}`), and replaces nothing",
            container.name(),
            present.join("`, `"),
            missing.join("`, `"),
        ),
    )
}

/// Bundles that all of these keys have signed; without keys, any.
pub(super) fn policy_of(keys: &[SigningKey]) -> SignaturePolicy {
    if keys.is_empty() {
        return SignaturePolicy::AcceptUnsigned;
    }
    let mut trusted = TrustedKeys::default();
    let public = keys.iter().map(SigningKey::public);
    public.for_each(|key: &PublicKey| trusted.add(key.clone(), Vec::new()));
    SignaturePolicy::Require {
        keys: trusted,
        threshold: keys.len(),
    }
}

pub(super) async fn check_names_are_free(
    export: &ExportPlan,
    container: &dyn StorageContainer,
) -> Result<()> {
    for name in export.object_names() {
        if container.find(&name).await?.is_some() {
            let object = container.shown(&name);
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("`{object}` exists already with other content, and is not replaced"),
            ));
        }
    }
    Ok(())
}

/// The plan must fit what is free, so that a long export does not fail at its end.
pub(super) async fn check_room(
    export: &ExportPlan,
    container: &dyn StorageContainer,
) -> Result<()> {
    let needed = export.plan.size_bytes();
    let free = match container.free_bytes().await? {
        Some(free) if free < needed => free,
        _ => return Ok(()),
    };
    let path = container.name();
    Err(Error::new(
        ErrorKind::NoSpace,
        format!("`{path}` has {free} bytes free, and the export may need {needed}"),
    ))
}
