//! What stands in the container before an export writes: the same bundle, another one, or too little room.

use super::export::{ExportReport, ExportedVolume};
use super::export_plan::ExportPlan;
use super::open_bundles::open_volume;
use crate::bundle::{Bundle, PublicKey, SignaturePolicy, SigningKey, TrustedKeys, Volume};
use crate::content::{Error, ErrorKind, Result};
use crate::storage::DirectoryContainer;

/// An equal, complete bundle under the same names, signed by these keys. Where a run was killed between
/// publishing the first volume and the last, what it had sealed is published now.
pub(super) async fn find_unchanged(
    export: &ExportPlan,
    container: &DirectoryContainer,
    keys: &[SigningKey],
) -> Result<Option<ExportReport>> {
    let policy = policy_of(keys);
    let mut volumes = Vec::new();
    let mut missing = Vec::new();
    for name in export.object_names() {
        if !container.exists(&name)? {
            missing.push(name);
            continue;
        }
        match open_volume(container, &name, &policy).await {
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
    volume.inventory().set == export.set
        && volume.inventory().voids.is_empty()
        && export.failures.is_empty()
}

/// Publishes the missing volumes from their partial files, if all of them make one bundle with those that
/// are there. Nothing is removed or written anew: what is there may be all that is left of the bundle.
async fn publish_left(
    export: &ExportPlan,
    container: &DirectoryContainer,
    policy: &SignaturePolicy,
    missing: Vec<String>,
    present: &[(String, Volume)],
) -> Result<Vec<(String, Volume)>> {
    let mut left = Vec::new();
    for name in &missing {
        let partial = DirectoryContainer::partial_name(name);
        match open_volume(container, &partial, policy).await {
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
        container.publish_left(name)?;
    }
    Ok(left)
}

fn not_whole(
    container: &DirectoryContainer,
    present: &[(String, Volume)],
    missing: &[String],
) -> Error {
    let present: Vec<&str> = present.iter().map(|(name, _)| name.as_str()).collect();
    Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "`{}` holds a part of this bundle (`{}`) and not the rest (`{}`), and replaces nothing",
            container.path().display(),
            present.join("`, `"),
            missing.join("`, `"),
        ),
    )
}

fn policy_of(keys: &[SigningKey]) -> SignaturePolicy {
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

pub(super) fn check_names_are_free(
    export: &ExportPlan,
    container: &DirectoryContainer,
) -> Result<()> {
    for name in export.object_names() {
        if container.exists(&name)? {
            let path = container.path().join(&name);
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!(
                    "`{}` exists already with other content, and is not replaced",
                    path.display()
                ),
            ));
        }
    }
    Ok(())
}

/// The plan must fit what is free, so that a long export does not fail at its end.
pub(super) fn check_room(export: &ExportPlan, container: &DirectoryContainer) -> Result<()> {
    let needed = export.plan.size_bytes();
    let free = container.free_bytes()?;
    if needed <= free {
        return Ok(());
    }
    let path = container.path().display();
    Err(Error::new(
        ErrorKind::NoSpace,
        format!("`{path}` has {free} bytes free, and the export may need {needed}"),
    ))
}
