//! What stands in the container before an export writes: the same bundle, another one, or too little room.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::export::{ExportReport, ExportedVolume};
use super::export_inventory::frame_of;
use super::export_left::LeftBundle;
use super::export_memory::ExportMemory;
use super::export_name::{count_volumes, name_objects};
use super::export_plan::{ExportOptions, ExportPlan};
use super::export_publish::is_lost;
use super::open_bundles::open_volume;
use crate::bundle::{Bundle, PublicKey, SignaturePolicy, SigningKey, TrustedKeys, Volume};
use crate::content::{Error, ErrorKind, Result};
use crate::oci::Digest;
use crate::storage::StorageContainer;

/// What an export is, and where it looks.
pub(super) struct Room<'a> {
    pub export: &'a ExportPlan,
    /// The objects that an equal bundle has.
    pub names: Vec<String>,
    pub options: &'a ExportOptions,
    pub container: &'a dyn StorageContainer,
    pub keys: &'a [SigningKey],
    /// Where the ledger's uploads of this bundle are ours alone.
    pub uploads: Option<&'a ExportMemory>,
}

impl Room<'_> {
    /// An equal, complete bundle under the same names, signed by these keys. Where a run was ended between publishing
    /// the first volume and the last, what it had sealed is published now.
    pub(super) async fn find_unchanged(&self) -> Result<Option<ExportReport>> {
        let (export, container) = (self.export, self.container);
        let policy = policy_of(self.keys);
        let mut visible = BTreeMap::new();
        let mut missing = Vec::new();
        for name in &self.names {
            if container.find(name).await?.is_none() {
                missing.push(name.clone());
                continue;
            }
            match open_volume(container, name, &[], &policy).await {
                Ok(volume) if is_whole_part(export, &volume) => {
                    visible.insert(name.clone(), volume)
                }
                _ => return Ok(None),
            };
        }
        if visible.is_empty() {
            return Ok(None);
        }
        if !missing.is_empty() {
            let rest = self.publish_left(&policy, missing, visible.clone()).await?;
            visible.extend(rest);
        }
        let mut volumes: Vec<(String, Volume)> = visible.into_iter().collect();
        volumes.sort_by_key(|(_, volume)| volume.inventory().volume);
        let all = volumes.iter().map(|(_, volume)| volume.clone());
        if Bundle::assemble(all.collect()).is_err() {
            return Ok(None);
        }
        Ok(Some(ExportReport {
            name: export.name.clone(),
            set: export.set.clone(),
            volumes: volumes.into_iter().map(describe).collect(),
            is_unchanged: true,
            exported: (0..export.plan.artifacts.len()).collect(),
            ..ExportReport::default()
        }))
    }

    /// Publishes the missing volumes, if all of them make one bundle with those that are there, and nothing was left
    /// out of it. Nothing is removed or written anew: what is there may be all that is left of the bundle.
    async fn publish_left(
        &self,
        policy: &SignaturePolicy,
        missing: Vec<String>,
        visible: BTreeMap<String, Volume>,
    ) -> Result<Vec<(String, Volume)>> {
        let (export, container) = (self.export, self.container);
        let left = LeftBundle {
            container,
            memory: self.uploads,
            set: &export.set,
            policy,
            overwrite: self.options.overwrite,
            names: self.names.clone(),
            visible,
        };
        let is_part = |volume: &Volume| is_whole_part(export, volume);
        let rest = match left.find_rest(is_part).await? {
            Some(rest) if rest.is_whole(|before, created| self.last_frame(before, created))? => {
                rest
            }
            _ => return Err(not_whole(container, &left.visible, &missing)),
        };
        if let Err(error) = left.publish(rest).await {
            return Err(match is_final(&error) {
                true => not_whole(container, &left.visible, &missing).with_cause(error),
                false => error,
            });
        }
        let mut published = Vec::new();
        for name in missing {
            let volume = open_volume(container, &name, &[], policy).await?;
            published.push((name, volume));
        }
        Ok(published)
    }

    /// The frame of the last volume where nothing is left out.
    pub(super) fn last_frame(&self, before: &[Digest], created: Timestamp) -> Result<Digest> {
        let with = (self.options, self.keys);
        let number = self.export.volumes.len();
        frame_of(self.export, with, number, (before, created))
    }
}

/// The objects' names of an equal bundle. How many volumes one has from which something was left out stands in the
/// container alone: what is known of the target has changed since, and layers are not taken apart to find it out.
pub(super) async fn names_standing(
    export: &ExportPlan,
    options: &ExportOptions,
    container: &dyn StorageContainer,
) -> Result<Vec<String>> {
    let planned = export.object_names();
    if options.volume_size.is_none() || !options.thinning.leaves_out() {
        return Ok(planned);
    }
    let mut objects = container.list(&export.name);
    while let Some(object) = objects.try_next().await? {
        let volumes = count_volumes(&export.name, export.profile, &object.name);
        if let Some(volumes) = volumes.filter(|it| *it != planned.len()) {
            return Ok(name_objects(&export.name, export.profile, volumes));
        }
    }
    Ok(planned)
}

/// Whether the next try would end the same. What nobody knows may pass, and giving up is for good.
pub(super) fn is_final(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Temporary { .. } | ErrorKind::Denied | ErrorKind::NoSpace => false,
        ErrorKind::Failed => is_lost(error),
        _ => true,
    }
}

fn describe((object, volume): (String, Volume)) -> ExportedVolume {
    ExportedVolume {
        object,
        size_bytes: volume.size_bytes(),
        inventory_digest: volume.inventory_digest().clone(),
    }
}

/// Whether the volume is one of this very plan, with nothing left out.
pub(super) fn is_whole_part(export: &ExportPlan, volume: &Volume) -> bool {
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

fn not_whole(
    container: &dyn StorageContainer,
    present: &BTreeMap<String, Volume>,
    missing: &[String],
) -> Error {
    let present: Vec<&str> = present.keys().map(String::as_str).collect();
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
    let needed = export.carried_bytes();
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
