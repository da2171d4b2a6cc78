//! What stands in the container before an export writes: the same bundle, another one, or too little room.

use super::export::{ExportReport, ExportedVolume};
use super::export_plan::ExportPlan;
use super::open_bundles::open_volume;
use crate::bundle::{PublicKey, SignaturePolicy, SigningKey, TrustedKeys};
use crate::content::{Error, ErrorKind, Result};
use crate::storage::DirectoryContainer;

/// An equal, complete bundle under the same names, signed by these keys.
pub(super) async fn find_unchanged(
    export: &ExportPlan,
    container: &DirectoryContainer,
    keys: &[SigningKey],
) -> Result<Option<ExportReport>> {
    let policy = policy_of(keys);
    let names = export.object_names();
    let mut volumes = Vec::new();
    let mut stale = Vec::new();
    for name in &names {
        if !container.exists(name)? {
            continue;
        }
        match open_volume(container, name, &policy).await {
            Ok(volume) if volume.inventory().set == export.set => {
                let is_whole = volume.inventory().voids.is_empty() && export.failures.is_empty();
                stale.push(name.clone());
                if is_whole {
                    volumes.push(ExportedVolume {
                        object: name.clone(),
                        size_bytes: volume.size_bytes(),
                        inventory_digest: volume.inventory_digest().clone(),
                    });
                }
            }
            _ => return Ok(None),
        }
    }
    if volumes.len() == names.len() {
        return Ok(Some(ExportReport {
            name: export.name.clone(),
            set: export.set.clone(),
            volumes,
            is_unchanged: true,
            exported: (0..export.plan.artifacts.len()).collect(),
            ..ExportReport::default()
        }));
    }
    // Volumes of this very plan without the last one are what a killed run has published of it.
    if !stale.is_empty() && !names.last().is_some_and(|last| stale.contains(last)) {
        for name in stale {
            container.remove(&name)?;
        }
    }
    Ok(None)
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
