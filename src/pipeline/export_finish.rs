//! Finishes the publication of the newest bundle of a pipeline, where an export was ended in the middle of it.
//!
//! Between the reservation of a number and its last volume some volumes are visible and the others are sealed. The
//! next export has other content, perhaps, and another number; so it publishes first what is sealed, and what was
//! visible in part is never left so. Where nothing was visible, or what was sealed is lost, the number stays a gap.
//!
//! **Invariants.** Only whole volumes of the bundle that the ledger has reserved are published, in their order.
//! Specification: src/history/SCHEMA.md, "Crash story".

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt;

use super::export_known::pass_over;
use super::export_memory::ExportMemory;
use super::export_name::name_objects;
use super::export_uploads::uploaded_of;
use super::open_bundles::{is_volume_name, open_volume};
use crate::bundle::{Bundle, SignaturePolicy, Volume};
use crate::content::{ErrorKind, Event, Events, RangedRead, Result, Uploaded};
use crate::history::{ExportedBundle, PipelineId, UploadKey};
use crate::storage::{CreateOptions, Overwrite, Resume, StorageContainer};

/// A volume that is sealed and not visible.
enum Sealed {
    /// In a directory.
    File(Volume),
    /// At a service.
    Upload { key: UploadKey, uploaded: Uploaded },
}

/// Publishes what is left of the newest bundle of the pipeline, if it is visible in part.
pub(super) async fn finish_newest(
    memory: &ExportMemory,
    container: &dyn StorageContainer,
    pipeline: &str,
    events: &Events,
) -> Result<()> {
    let Some(known) = memory.ledger.find_pipeline(pipeline).await? else {
        return Ok(());
    };
    let Some(bundle) = known.newest.filter(|newest| !newest.is_published) else {
        return Ok(());
    };
    let finishing = Finishing {
        memory,
        container,
        pipeline: known.id,
        bundle,
    };
    let visible = finishing.find_visible().await?;
    let Some(first) = visible.values().next() else {
        return Ok(());
    };
    let inventory = first.inventory();
    let (profile, of) = (inventory.profile, inventory.volumes as usize);
    let names = name_objects(&finishing.bundle.bundle, profile, of);
    if let Some(sealed) = finishing.find_sealed(&names, &visible).await?
        && finishing.publish(sealed).await?
    {
        return Ok(());
    }
    let present: Vec<&str> = visible.keys().map(String::as_str).collect();
    events(Event::Warning(format!(
        "`{}` of `{}` will never be a whole bundle: the rest of it is lost; remove it",
        present.join("`, `"),
        container.name(),
    )));
    Ok(())
}

struct Finishing<'a> {
    memory: &'a ExportMemory,
    container: &'a dyn StorageContainer,
    pipeline: PipelineId,
    bundle: ExportedBundle,
}

impl Finishing<'_> {
    /// The volumes of the bundle that are visible, by name.
    async fn find_visible(&self) -> Result<BTreeMap<String, Volume>> {
        let mut visible = BTreeMap::new();
        let mut objects = self.container.list(&self.bundle.bundle);
        while let Some(object) = objects.try_next().await? {
            if !is_volume_name(&object.name) {
                continue;
            }
            let opened = open_volume(
                self.container,
                &object.name,
                &[],
                &SignaturePolicy::AcceptUnsigned,
            );
            match opened.await {
                Ok(volume) if self.is_of(&volume) => {
                    visible.insert(object.name, volume);
                }
                Ok(_) => {}
                Err(error) => pass_over(error.into())?,
            }
        }
        Ok(visible)
    }

    fn is_of(&self, volume: &Volume) -> bool {
        let inventory = volume.inventory();
        let id = inventory.pipeline.as_ref().map(|pipeline| &*pipeline.id);
        id == Some(self.pipeline.as_str())
            && inventory.sequence == Some(self.bundle.sequence)
            && inventory.set == self.bundle.set
            && inventory.name == self.bundle.bundle
    }

    /// What is missing, in its order; `None` where it is not all there, or not of one bundle.
    async fn find_sealed(
        &self,
        names: &[String],
        visible: &BTreeMap<String, Volume>,
    ) -> Result<Option<Vec<(String, Sealed)>>> {
        let mut sealed = Vec::new();
        for name in names.iter().filter(|name| !visible.contains_key(*name)) {
            match self.find_sealed_volume(name).await? {
                Some(volume) => sealed.push((name.clone(), volume)),
                None => return Ok(None),
            }
        }
        let mut volumes: Vec<Volume> = visible.values().cloned().collect();
        for (_, volume) in &sealed {
            match volume {
                Sealed::File(volume) => volumes.push(volume.clone()),
                // The ledger has seen to these, and nobody can read them yet.
                Sealed::Upload { .. } => return Ok(Some(sealed)),
            }
        }
        let assembled = Bundle::assemble(volumes);
        let is_it = assembled
            .is_ok_and(|bundle| *bundle.last().inventory_digest() == self.bundle.inventory);
        Ok(is_it.then_some(sealed))
    }

    async fn find_sealed_volume(&self, name: &str) -> Result<Option<Sealed>> {
        if let Some(left) = self.container.open_left(name).await? {
            return Ok(self.open_left(left).await.map(Sealed::File));
        }
        let ledger = &self.memory.ledger;
        let upload = ledger.find_upload(&self.memory.upload_place, name).await?;
        let upload = upload.filter(|it| it.upload.set == self.bundle.set && it.complete.is_some());
        Ok(upload.map(|upload| Sealed::Upload {
            key: upload.key.clone(),
            uploaded: uploaded_of(upload),
        }))
    }

    async fn open_left(&self, left: Arc<dyn RangedRead>) -> Option<Volume> {
        let opened = Volume::open(left, Vec::new(), &SignaturePolicy::AcceptUnsigned).await;
        opened.ok().filter(|volume| self.is_of(volume))
    }

    /// `false` where the store has not kept what was sealed, or something else has its name.
    async fn publish(&self, sealed: Vec<(String, Sealed)>) -> Result<bool> {
        let ledger = &self.memory.ledger;
        for (name, volume) in sealed {
            match volume {
                Sealed::File(_) => self.container.publish_left(&name).await?,
                Sealed::Upload { key, uploaded } => {
                    let options = CreateOptions {
                        overwrite: Overwrite::Refuse,
                        expected_bytes: uploaded.size_bytes(),
                        resume: Some(Resume {
                            start: uploaded.size_bytes(),
                            uploaded,
                        }),
                    };
                    let published = match self.container.create(&name, options).await {
                        Ok(writer) => writer.finish().await,
                        Err(error) => Err(error),
                    };
                    match published.map_err(|error| (error.kind(), error)) {
                        Ok(()) => ledger.forget_upload(&key).await?,
                        Err((ErrorKind::Temporary { .. } | ErrorKind::Denied, error)) => {
                            return Err(error);
                        }
                        Err(_) => {
                            ledger.forget_upload(&key).await?;
                            return Ok(false);
                        }
                    }
                }
            }
        }
        let now = (self.memory.clock)();
        ledger
            .confirm_sequence(&self.pipeline, self.bundle.sequence, now)
            .await?;
        Ok(true)
    }
}
