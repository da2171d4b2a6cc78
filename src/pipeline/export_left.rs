//! What an interrupted export has sealed of a bundle and not published: found, proven to be one bundle, published.
//!
//! In a directory it is in files that can be read. What is at a service cannot be read before it is published; there
//! the ledger says what it is. When it is to be looked for, `export_room` and `export_finish` know.
//!
//! **Invariants.** All that is visible and all that is published here have inventories of one bundle. Nothing is
//! written anew, and nothing is removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::export_memory::ExportMemory;
use super::export_uploads::uploaded_of;
use crate::bundle::{Bundle, SignaturePolicy, Volume};
use crate::content::{RangedRead, Result};
use crate::history::Upload;
use crate::oci::Digest;
use crate::storage::{CreateOptions, Overwrite, Resume, StorageContainer};

/// A bundle that may have been left between its sealing and its last volume.
pub(super) struct LeftBundle<'a> {
    pub container: &'a dyn StorageContainer,
    pub memory: Option<&'a ExportMemory>,
    pub set: &'a str,
    pub policy: &'a SignaturePolicy,
    pub overwrite: Overwrite,
    /// Of all its objects, in their order.
    pub names: Vec<String>,
    pub visible: BTreeMap<String, Volume>,
}

/// A volume that is sealed and not visible.
enum Sealed {
    /// In a directory.
    File(Volume),
    /// At a service.
    Upload(Box<Upload>),
}

/// What makes a bundle whole.
pub(super) struct Rest {
    sealed: Vec<(String, Sealed)>,
    pub created: Timestamp,
    /// Inventories of all its volumes, in their order.
    pub inventories: Vec<Digest>,
    /// Of the last volume, where only the ledger knows what is in it.
    pub frame: Option<Digest>,
}

impl LeftBundle<'_> {
    /// What is missing; `None` where it is not all there, or not of one bundle. `is_part` says of a volume that can
    /// be read whether it is one of this bundle.
    pub(super) async fn find_rest(
        &self,
        is_part: impl Fn(&Volume) -> bool,
    ) -> Result<Option<Rest>> {
        let mut sealed = Vec::new();
        let mut uploads = Vec::new();
        for name in &self.names {
            let upload = self.find_upload(name).await?;
            if !self.visible.contains_key(name) {
                let left = match self.container.open_left(name).await? {
                    Some(left) => self.open_left(left, &is_part).await,
                    None => upload.clone().map(Box::new).map(Sealed::Upload),
                };
                let Some(left) = left else { return Ok(None) };
                sealed.push((name.clone(), left));
            }
            uploads.push(upload);
        }
        let is_uploaded = |(_, left): &(String, Sealed)| matches!(left, Sealed::Upload(_));
        Ok(match sealed.iter().any(is_uploaded) {
            true => self.judge_uploads(sealed, uploads),
            false => self.judge_files(sealed),
        })
    }

    async fn find_upload(&self, name: &str) -> Result<Option<Upload>> {
        let Some(memory) = self.memory else {
            return Ok(None);
        };
        let ledger = &memory.ledger;
        let upload = ledger.find_upload(&memory.upload_place, name).await?;
        Ok(upload.filter(|it| it.upload.set == self.set && it.complete.is_some()))
    }

    async fn open_left(
        &self,
        left: Arc<dyn RangedRead>,
        is_part: &impl Fn(&Volume) -> bool,
    ) -> Option<Sealed> {
        let opened = Volume::open(left, Vec::new(), self.policy).await.ok();
        opened.filter(is_part).map(Sealed::File)
    }

    fn judge_files(&self, sealed: Vec<(String, Sealed)>) -> Option<Rest> {
        let files = sealed.iter().filter_map(|(_, left)| match left {
            Sealed::File(volume) => Some(volume),
            Sealed::Upload(_) => None,
        });
        let mut volumes: Vec<Volume> = self.visible.values().chain(files).cloned().collect();
        volumes.sort_by_key(|volume| volume.inventory().volume);
        let digest = |volume: &Volume| volume.inventory_digest().clone();
        let inventories = volumes.iter().map(digest).collect();
        let bundle = Bundle::assemble(volumes).ok()?;
        Some(Rest {
            sealed,
            created: bundle.last().inventory().created,
            inventories,
            frame: None,
        })
    }

    /// The ledger keeps all uploads of a bundle until all volumes are visible, and the last one was made of the
    /// inventories that it has of the others.
    fn judge_uploads(
        &self,
        sealed: Vec<(String, Sealed)>,
        uploads: Vec<Option<Upload>>,
    ) -> Option<Rest> {
        let uploads: Vec<Upload> = uploads.into_iter().collect::<Option<_>>()?;
        let created = uploads.first()?.upload.created;
        let mut inventories = Vec::new();
        let mut frame = None;
        for upload in &uploads {
            let complete = upload.complete.as_ref()?;
            let seen = self.visible.get(&upload.upload.object);
            let is_seen_as_it_was =
                seen.is_none_or(|seen| *seen.inventory_digest() == complete.inventory);
            if upload.upload.created != created || !is_seen_as_it_was {
                return None;
            }
            inventories.push(complete.inventory.clone());
            frame = Some(complete.frame.clone());
        }
        Some(Rest {
            sealed,
            created,
            inventories,
            frame,
        })
    }

    pub(super) async fn publish(&self, rest: Rest) -> Result<()> {
        for (name, sealed) in rest.sealed {
            match sealed {
                Sealed::File(_) => self.container.publish_left(&name, self.overwrite).await?,
                Sealed::Upload(upload) => self.publish_upload(&name, *upload).await?,
            }
        }
        for upload in self.list_uploads().await? {
            if let Some(memory) = self.memory {
                memory.ledger.forget_upload(&upload.key).await?;
            }
        }
        Ok(())
    }

    async fn publish_upload(&self, name: &str, upload: Upload) -> Result<()> {
        let uploaded = uploaded_of(upload);
        let options = CreateOptions {
            overwrite: self.overwrite,
            expected_bytes: uploaded.size_bytes(),
            resume: Some(Resume {
                start: uploaded.size_bytes(),
                uploaded,
            }),
        };
        self.container.create(name, options).await?.finish().await
    }

    /// All that the ledger has of it.
    pub(super) async fn list_uploads(&self) -> Result<Vec<Upload>> {
        let Some(memory) = self.memory else {
            return Ok(Vec::new());
        };
        let mut uploads = memory.ledger.list_uploads(&memory.upload_place).await?;
        uploads.retain(|it| it.upload.set == self.set && self.names.contains(&it.upload.object));
        Ok(uploads)
    }
}

impl Rest {
    /// Of the last volume.
    pub(super) fn inventory(&self) -> Option<&Digest> {
        self.inventories.last()
    }

    /// Whether nothing was left out of it. `frame_of` tells the frame of the last volume of such a bundle, behind
    /// these inventories and with this time; what could be read was asked before.
    pub(super) fn is_whole(
        &self,
        frame_of: impl Fn(&[Digest], Timestamp) -> Result<Digest>,
    ) -> Result<bool> {
        let Some((frame, (_, before))) = self.frame.as_ref().zip(self.inventories.split_last())
        else {
            return Ok(true);
        };
        Ok(*frame == frame_of(before, self.created)?)
    }
}
