//! Writes a planned bundle into a container, volume by volume, and publishes it at the end.
//!
//! **Invariants.** No volume is visible before the last byte of the last one is written; then they are
//! published in order, so the one that carries the artifacts comes last. An equal, complete bundle that is
//! there already ends the export, before any content is moved.

use std::collections::HashSet;
use std::sync::Arc;

use super::export_memory::Reservation;
use super::export_plan::{ExportOptions, ExportPlan};
use super::export_room::{check_names_are_free, check_room, find_unchanged};
use crate::bundle::{
    Absent, Artifact, DescriptorRow, Inventory, MEDIA_TYPE, PartedStream, Pipeline, ReferrerRow,
    SigningKey, VolumeWriter, WrittenVolume, writer_version,
};
use crate::content::{
    Error, ErrorKind, Event, OnError, Plan, PlannedArtifact, PlannedManifest, Prefetch, Result,
    fetch_document,
};
use crate::oci::{Digest, Pin};
use crate::storage::{CreateOptions, Overwrite, StorageContainer};

/// One volume that was written, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedVolume {
    pub object: String,
    pub size_bytes: u64,
    pub inventory_digest: Digest,
}

/// What an export did.
#[derive(Clone, Debug, Default)]
pub struct ExportReport {
    pub name: String,
    pub set: String,
    pub volumes: Vec<ExportedVolume>,
    /// An equal bundle was there already, and nothing was moved.
    pub is_unchanged: bool,
    /// Positions in the plan of the artifacts that are in the bundle.
    pub exported: Vec<usize>,
    /// What is not in it, and why.
    pub failures: Vec<(String, String)>,
    /// Bytes of blobs and manifests that went from the source into the bundle.
    pub moved_bytes: u64,
}

/// Writes the bundle and signs it with `keys`.
pub async fn run_export(
    export: &ExportPlan,
    options: &ExportOptions,
    container: &dyn StorageContainer,
    keys: &[SigningKey],
) -> Result<ExportReport> {
    run_reserved(export, options, container, (keys, None)).await
}

/// The same for a bundle whose place in its pipeline is reserved when it is whole, and before any of it is
/// visible.
pub(super) async fn run_reserved(
    export: &ExportPlan,
    options: &ExportOptions,
    container: &dyn StorageContainer,
    (keys, reservation): (&[SigningKey], Option<&Reservation<'_>>),
) -> Result<ExportReport> {
    (options.events)(Event::Planned {
        contents: export.plan.blobs.len() + export.plan.manifests.len(),
        bytes: export.plan.size_bytes(),
    });
    if let Some(report) = find_unchanged(export, container, keys).await? {
        return Ok(report);
    }
    if options.overwrite == Overwrite::Refuse {
        check_names_are_free(export, container).await?;
    }
    check_room(export, container).await?;
    let mut writing = Writing {
        export,
        options,
        container,
        keys,
        failed: HashSet::new(),
        failures: export.failures.clone(),
        written: Vec::new(),
        moved_bytes: 0,
    };
    let ready = match writing.write_all().await {
        Ok(()) => writing.seal(reservation).await,
        Err(error) => Err(error),
    };
    match ready {
        Ok(()) => writing.publish().await,
        Err(error) => {
            writing.abort().await;
            Err(error)
        }
    }
}

struct Writing<'a> {
    export: &'a ExportPlan,
    options: &'a ExportOptions,
    container: &'a dyn StorageContainer,
    keys: &'a [SigningKey],
    failed: HashSet<Digest>,
    failures: Vec<(String, String)>,
    written: Vec<WrittenVolume>,
    moved_bytes: u64,
}

impl Writing<'_> {
    fn plan(&self) -> &Plan {
        &self.export.plan
    }

    async fn write_all(&mut self) -> Result<()> {
        let blobs = self.plan().blobs.clone();
        let mut prefetch = Prefetch::start(&self.export.sources, blobs, &self.options.events);
        let mut parted: Option<PartedStream> = None;
        let of = self.export.volumes.len();
        for (number, object) in (1..).zip(self.export.object_names()) {
            let create = CreateOptions {
                overwrite: self.options.overwrite,
                expected_bytes: self.plan().size_bytes(),
                resume: None,
            };
            let object = self.container.create(&object, create).await?;
            let mut writer = VolumeWriter::new(object, self.export.profile);
            let filled = self
                .fill_volume(&mut writer, number, &mut prefetch, &mut parted)
                .await;
            let filled = match filled {
                Ok(()) if number == of => self.write_manifests(&mut writer).await,
                other => other,
            };
            if let Err(error) = filled {
                writer.abort().await;
                return Err(error);
            }
            let inventory = self.inventory(number)?;
            self.written
                .push(writer.finish(inventory, self.keys).await?);
        }
        Ok(())
    }

    async fn fill_volume(
        &mut self,
        writer: &mut VolumeWriter,
        number: usize,
        prefetch: &mut Prefetch,
        parted: &mut Option<PartedStream>,
    ) -> Result<()> {
        let export = self.export;
        for slice in &export.volumes[number - 1] {
            let blob = &export.plan.blobs[slice.blob];
            let repositories = positions(&blob.repositories);
            let failure = match &slice.part {
                None => {
                    writer
                        .write_blob(prefetch.next().await?, repositories)
                        .await?
                }
                Some(part) => {
                    if part.number == 1 {
                        *parted = Some(PartedStream::new(prefetch.next().await?));
                    }
                    match parted {
                        // A part before this one has failed, and there is nothing more to read.
                        _ if self.failed.contains(&blob.descriptor.digest) => None,
                        Some(stream) => writer.write_part(stream, part, repositories).await?,
                        None => None,
                    }
                }
            };
            // A volume that cannot be written is an error of its own; what failed here was read.
            let failure = failure.map(|error| error.on_side("source"));
            let size = match &slice.part {
                Some(part) => part.range.end - part.range.start,
                None => blob.descriptor.size,
            };
            self.settle(&blob.descriptor.digest, size, failure)?;
        }
        Ok(())
    }

    fn settle(&mut self, digest: &Digest, size: u64, failure: Option<Error>) -> Result<()> {
        match failure {
            None if self.failed.contains(digest) => Ok(()),
            None => {
                self.moved_bytes += size;
                (self.options.events)(Event::ContentDone(digest.clone()));
                Ok(())
            }
            Some(error) if self.options.on_error == OnError::Stop => Err(error),
            Some(error) => {
                let message = format!(
                    "`{digest}` is left out: {}",
                    crate::content::describe(&error)
                );
                (self.options.events)(Event::Warning(message.clone()));
                self.failed.insert(digest.clone());
                for artifact in self.artifacts_that_need(digest) {
                    self.failures.push((artifact, message.clone()));
                }
                Ok(())
            }
        }
    }

    fn artifacts_that_need(&self, digest: &Digest) -> Vec<String> {
        let plan = self.plan();
        let needs = |artifact: &&PlannedArtifact| {
            plan.find_missing(artifact, |found| found == digest)
                .is_some()
        };
        plan.artifacts
            .iter()
            .filter(needs)
            .map(|artifact| self.export.show_artifact(artifact))
            .collect()
    }

    /// Positions of the artifacts of which nothing has failed.
    fn surviving(&self) -> Vec<usize> {
        let plan = self.plan();
        if self.failed.is_empty() {
            return (0..plan.artifacts.len()).collect();
        }
        let is_whole = |position: &usize| {
            let artifact = &plan.artifacts[*position];
            plan.find_missing(artifact, |digest| self.failed.contains(digest))
                .is_none()
        };
        (0..plan.artifacts.len()).filter(is_whole).collect()
    }

    async fn write_manifests(&mut self, writer: &mut VolumeWriter) -> Result<()> {
        let surviving = self.surviving();
        if surviving.is_empty() {
            let reason = self.failures.first().map(|(_, reason)| reason.clone());
            return Err(Error::new(
                ErrorKind::Failed,
                format!("no artifact is whole: {}", reason.unwrap_or_default()),
            ));
        }
        let plan = &self.export.plan;
        let needed: HashSet<usize> = surviving
            .iter()
            .flat_map(|position| plan.manifests_of(&plan.artifacts[*position]))
            .collect();
        for (position, manifest) in plan.manifests.iter().enumerate() {
            if needed.contains(&position) {
                let bytes = self.manifest_bytes(manifest).await?;
                let size = manifest.descriptor.size;
                let repositories = positions(&manifest.repositories);
                writer
                    .write_manifest(&manifest.descriptor, bytes, repositories)
                    .await?;
                self.moved_bytes += size;
                (self.options.events)(Event::Moved(size));
                (self.options.events)(Event::ContentDone(manifest.descriptor.digest.clone()));
            }
        }
        Ok(())
    }

    async fn manifest_bytes(&self, manifest: &PlannedManifest) -> Result<bytes::Bytes> {
        if let Some(bytes) = &manifest.bytes {
            return Ok(bytes.clone());
        }
        let source = &*self.export.sources[manifest.place.source];
        let pin = Pin::Digest(manifest.descriptor.digest.clone());
        let document = fetch_document(source, &manifest.place.repository, &pin).await;
        Ok(document.map_err(|error| error.on_side("source"))?.bytes)
    }

    fn inventory(&self, number: usize) -> Result<Inventory> {
        let of = self.export.volumes.len();
        let is_last = number == of;
        let count = |number: usize| {
            u32::try_from(number).map_err(|_| Error::new(ErrorKind::Refused, "too many volumes"))
        };
        let digest_of = |volume: &WrittenVolume| Digest::sha256(&volume.inventory_bytes);
        let position = self.export.position.as_ref();
        Ok(Inventory {
            media_type: MEDIA_TYPE.to_owned(),
            writer: writer_version(),
            profile: self.export.profile,
            name: self.export.name.clone(),
            set: self.export.set.clone(),
            volume: count(number)?,
            volumes: count(of)?,
            pipeline: position.map(|position| Pipeline {
                name: position.name.clone(),
                id: position.pipeline.to_string(),
            }),
            sequence: position.map(|position| position.sequence),
            previous: position.and_then(|position| position.previous.clone()),
            audience: self.options.audience.clone(),
            created: self.options.created,
            expires: self.options.expires,
            repositories: self.plan().repositories.clone(),
            artifacts: if is_last {
                self.artifact_rows()
            } else {
                Vec::new()
            },
            contents: Vec::new(),
            voids: Vec::new(),
            assumed: Vec::new(),
            volume_inventories: if is_last {
                self.written.iter().map(digest_of).collect()
            } else {
                Vec::new()
            },
        })
    }

    fn artifact_rows(&self) -> Vec<Artifact> {
        let surviving = self.surviving();
        surviving
            .into_iter()
            .map(|position| self.artifact_row(position))
            .collect()
    }

    fn artifact_row(&self, position: usize) -> Artifact {
        let plan = self.plan();
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
            source: self.export.source_names[artifact.source].as_str().into(),
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

    /// Renaming follows syncing, so that a run that is killed between them leaves whole volumes, to be
    /// published by the next one.
    async fn seal(&mut self, reservation: Option<&Reservation<'_>>) -> Result<()> {
        for volume in &mut self.written {
            volume.object.seal().await?;
        }
        match (reservation, self.written.last()) {
            (Some(reservation), Some(last)) => {
                let inventory = Digest::sha256(&last.inventory_bytes);
                reservation.reserve(self.export, inventory).await
            }
            _ => Ok(()),
        }
    }

    async fn publish(mut self) -> Result<ExportReport> {
        let exported = self.surviving();
        let mut volumes = Vec::new();
        let names = self.export.object_names();
        for (name, volume) in names.iter().zip(std::mem::take(&mut self.written)) {
            volume.object.finish().await?;
            let published = self.container.find(name).await?;
            volumes.push(ExportedVolume {
                object: name.clone(),
                size_bytes: published.map_or(0, |object| object.size_bytes),
                inventory_digest: Digest::sha256(&volume.inventory_bytes),
            });
        }
        Ok(ExportReport {
            name: self.export.name.clone(),
            set: self.export.set.clone(),
            volumes,
            is_unchanged: false,
            exported,
            failures: self.failures,
            moved_bytes: self.moved_bytes,
        })
    }

    async fn abort(self) {
        for volume in self.written {
            volume.object.abort().await;
        }
    }
}

fn positions(repositories: &[usize]) -> Vec<u32> {
    repositories
        .iter()
        .filter_map(|position| u32::try_from(*position).ok())
        .collect()
}
