//! One attempt at a bundle: contents from their sources into volumes, and the volumes into the container.
//!
//! **Invariants.** Contents are read in plan order, but for those that an interrupted run has brought there. What
//! fails leaves nothing behind, except an upload that the ledger remembers and a later run can go on with.

use std::collections::{BTreeSet, HashSet, VecDeque};

use jiff::Timestamp;

use super::export::ExportReport;
use super::export_inventory::{
    artifacts_that_need, digest_frame, frame_of, make_inventory, surviving,
};
use super::export_memory::{Reservation, warn_of};
use super::export_plan::{ExportOptions, ExportPlan};
use super::export_publish::{GivenUp, Publication, is_taken};
use super::export_reading::Reading;
use super::export_uploads::{Interrupted, Uploads};
use super::export_volume::{Filling, Volume};
use crate::bundle::{SigningKey, Slice, VolumeWriter};
use crate::content::{
    Error, ErrorKind, Event, OnError, Plan, PlannedBlob, PlannedManifest, Result, describe,
    fetch_document,
};
use crate::history::CompleteUpload;
use crate::oci::{Digest, Pin};
use crate::storage::{CreateOptions, Resume, StorageContainer};

/// The volumes of one bundle on their way into the container.
pub(super) struct Writing<'a> {
    export: &'a ExportPlan,
    options: &'a ExportOptions,
    container: &'a dyn StorageContainer,
    uploads: Option<&'a Uploads<'a>>,
    keys: &'a [SigningKey],
    /// The bundle's; of the first run that wrote it.
    created: Timestamp,
    failed: HashSet<Digest>,
    failures: Vec<(String, String)>,
    /// What an interrupted run has left of the volumes that are not written yet.
    waiting: VecDeque<Option<Filling<'a>>>,
    written: Vec<Volume<'a>>,
    moved_bytes: u64,
    resumed_bytes: u64,
    has_resumed: bool,
    has_source_failed: bool,
    /// What was resumed cannot be gone on with, because the store has bytes of a content that has failed now.
    must_begin_anew: bool,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        export: &'a ExportPlan,
        options: &'a ExportOptions,
        container: &'a dyn StorageContainer,
        (keys, uploads): (&'a [SigningKey], Option<&'a Uploads<'a>>),
    ) -> Self {
        Self {
            export,
            options,
            container,
            uploads,
            keys,
            created: options.created.time(),
            failed: HashSet::new(),
            failures: export.failures.clone(),
            waiting: VecDeque::new(),
            written: Vec::new(),
            moved_bytes: 0,
            resumed_bytes: 0,
            has_resumed: false,
            has_source_failed: false,
            must_begin_anew: false,
        }
    }

    fn plan(&self) -> &'a Plan {
        &self.export.plan
    }

    /// Writes the volumes and publishes them. Whatever fails is the error; what was begun is then in the ledger, or
    /// it is removed.
    pub(super) async fn run(
        mut self,
        reservation: Option<&Reservation<'_>>,
    ) -> Result<ExportReport, GivenUp> {
        let ready = match self.write_all().await {
            Ok(()) => self.seal(reservation).await,
            Err(error) => Err(error),
        };
        match ready {
            Ok(()) => self.publish().await.map_err(GivenUp::from),
            Err(error) => {
                let must_begin_anew = self.must_begin_anew(&error);
                self.give_up(&error).await;
                Err(GivenUp {
                    error,
                    must_begin_anew,
                })
            }
        }
    }

    async fn write_all(&mut self) -> Result<()> {
        self.resume().await?;
        let mut reading = Reading::start(self.export, self.options, self.blobs_to_read());
        for (number, object) in (1..).zip(self.export.object_names()) {
            let mut filling = match self.waiting.pop_front().flatten() {
                Some(filling) => filling,
                None => self.begin(&object).await?,
            };
            let written = match self.fill(&mut filling, number, &mut reading).await {
                Ok(()) => self.complete(&mut filling, number).await,
                Err(error) => Err(error),
            };
            self.written.push(filling.into_volume());
            written?;
        }
        Ok(())
    }

    /// Opens what an interrupted run has left, all of it before the first content is read.
    async fn resume(&mut self) -> Result<()> {
        let Some(uploads) = self.uploads else {
            return Ok(());
        };
        let (export, options, keys) = (self.export, self.options, self.keys);
        let found = uploads
            .find(options.created, |number, before, created| {
                frame_of(export, (options, keys), number, (before, created))
            })
            .await?;
        self.created = found.created.unwrap_or(self.created);
        for (object, interrupted) in export.object_names().iter().zip(found.volumes) {
            let reopened = match interrupted {
                Some(interrupted) => Some(self.reopen(uploads, object, interrupted).await?),
                None => None,
            };
            self.waiting.push_back(reopened);
        }
        Ok(())
    }

    async fn reopen(
        &mut self,
        uploads: &Uploads<'a>,
        object: &str,
        interrupted: Interrupted,
    ) -> Result<Filling<'a>> {
        let record = uploads.resume(&interrupted);
        let left = interrupted.left;
        self.has_resumed |= !left.uploaded.parts.is_empty();
        let resume = Resume {
            start: left.start(),
            uploaded: left.uploaded,
        };
        let object = self
            .container
            .create(object, self.how(Some(resume)))
            .await?;
        Ok(Filling {
            complete: left.complete.map(|complete| complete.inventory),
            resumed: left.entries.len(),
            writer: VolumeWriter::resume(object, self.export.profile, left.entries),
            record: Some(record),
        })
    }

    async fn begin(&self, name: &str) -> Result<Filling<'a>> {
        let mut object = self.container.create(name, self.how(None)).await?;
        let begun = match self.uploads {
            Some(uploads) => uploads.begin(name, &mut *object, self.created).await,
            None => Ok(None),
        };
        let record = match begun {
            Ok(record) => record,
            // The ledger does not know of it.
            Err(error) => {
                object.abort().await;
                return Err(error);
            }
        };
        Ok(Filling {
            writer: VolumeWriter::new(object, self.export.profile),
            record,
            resumed: 0,
            complete: None,
        })
    }

    fn how(&self, resume: Option<Resume>) -> CreateOptions {
        CreateOptions {
            overwrite: self.options.overwrite,
            expected_bytes: self.export.carried_bytes(),
            resume,
        }
    }

    /// All that does not lie in volumes already, in plan order. Of a blob that is cut, parts may lie there.
    fn blobs_to_read(&self) -> BTreeSet<usize> {
        let volumes = self.export.volumes.iter().enumerate();
        let missing = volumes.flat_map(|(number, slices)| {
            let filling = self.waiting.get(number).and_then(Option::as_ref);
            let count = filling.map_or(0, |filling| filling.resumed);
            slices[count..].iter().map(|slice| slice.blob)
        });
        missing.collect()
    }

    async fn fill(
        &mut self,
        filling: &mut Filling<'a>,
        number: usize,
        reading: &mut Reading,
    ) -> Result<()> {
        let export = self.export;
        let (resumed, missing) = export.volumes[number - 1].split_at(filling.resumed);
        for slice in resumed {
            self.pass_over(slice, reading).await?;
        }
        for slice in missing {
            self.write_slice(&mut filling.writer, slice, reading)
                .await?;
            filling.record().await?;
        }
        if number == export.volumes.len() && filling.complete.is_none() {
            self.write_manifests(&mut filling.writer).await?;
        }
        Ok(())
    }

    /// What is there already, though a part of its blob may have to be read again.
    async fn pass_over(&mut self, slice: &Slice, reading: &mut Reading) -> Result<()> {
        let blob = &self.plan().blobs[slice.blob];
        let digest = &blob.descriptor.digest;
        let size = size_of(slice, blob);
        self.resumed_bytes += size;
        if slice.part.is_none() || !reading.blobs.contains(&slice.blob) {
            (self.options.events)(Event::Spared(size));
            (self.options.events)(Event::ContentDone(digest.clone()));
            return Ok(());
        }
        let passed = match self.failed.contains(digest) {
            true => Ok(()),
            false => reading.part_of(slice).await?.pass_over(size).await,
        };
        match passed {
            Ok(()) => Ok(()),
            Err(error) => self.settle(digest, 0, Some(error.on_side("source"))),
        }
    }

    async fn write_slice(
        &mut self,
        writer: &mut VolumeWriter,
        slice: &Slice,
        reading: &mut Reading,
    ) -> Result<()> {
        let blob = &self.plan().blobs[slice.blob];
        let repositories = positions(&blob.repositories);
        let failure = match &slice.part {
            None => {
                let content = reading.next().await?;
                writer.write_blob(content, repositories).await?
            }
            // A part before this one has failed, and there is nothing more to read.
            Some(_) if self.failed.contains(&blob.descriptor.digest) => None,
            Some(part) => {
                let content = reading.part_of(slice).await?;
                writer.write_part(content, part, repositories).await?
            }
        };
        // A volume that cannot be written is an error of its own; what failed here was read.
        let failure = failure.map(|error| error.on_side("source"));
        self.settle(&blob.descriptor.digest, size_of(slice, blob), failure)
    }

    fn settle(&mut self, digest: &Digest, size: u64, failure: Option<Error>) -> Result<()> {
        match failure {
            None if self.failed.contains(digest) => Ok(()),
            None => {
                self.moved_bytes += size;
                (self.options.events)(Event::ContentDone(digest.clone()));
                Ok(())
            }
            Some(error) if self.has_resumed || self.options.on_error == OnError::Stop => {
                self.has_source_failed = true;
                self.must_begin_anew = self.options.on_error == OnError::Continue;
                Err(error)
            }
            Some(error) => {
                let message = format!("`{digest}` is left out: {}", describe(&error));
                (self.options.events)(Event::Warning(message.clone()));
                self.failed.insert(digest.clone());
                for artifact in artifacts_that_need(self.export, digest) {
                    self.failures.push((artifact, message.clone()));
                }
                Ok(())
            }
        }
    }

    async fn write_manifests(&mut self, writer: &mut VolumeWriter) -> Result<()> {
        let surviving = surviving(self.export, &self.failed);
        if surviving.is_empty() && self.export.repairs.is_none() {
            let reason = self.failures.first().map(|(_, reason)| reason.clone());
            return Err(Error::new(
                ErrorKind::Failed,
                format!("no artifact is whole: {}", reason.unwrap_or_default()),
            ));
        }
        let plan = self.plan();
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

    async fn manifest_bytes(&mut self, manifest: &PlannedManifest) -> Result<bytes::Bytes> {
        if let Some(bytes) = &manifest.bytes {
            return Ok(bytes.clone());
        }
        let source = &*self.export.sources[manifest.place.source];
        let pin = Pin::Digest(manifest.descriptor.digest.clone());
        let document = fetch_document(source, &manifest.place.repository, &pin).await;
        let document = document.map_err(|error| {
            self.has_source_failed = true;
            error.on_side("source")
        })?;
        Ok(document.bytes)
    }

    /// Closes the volume, and remembers that the store has it to its end.
    async fn complete(&self, filling: &mut Filling<'a>, number: usize) -> Result<()> {
        if filling.complete.is_some() {
            return Ok(());
        }
        let before = self.written.iter().filter_map(|it| it.inventory.clone());
        let with = (self.options, self.created);
        let inventory = make_inventory(self.export, with, &self.failed, number, before.collect())?;
        let frame = digest_frame(&inventory, self.keys)?;
        let written = filling.writer.finish(inventory, self.keys).await?;
        let inventory = Digest::sha256(&written);
        if let Some(record) = &mut filling.record {
            // What is under way may arrive while the next volume is written, and would not be recorded.
            filling.writer.seal().await?;
            record.record(filling.writer.uploaded()).await?;
            let inventory = inventory.clone();
            record
                .complete(&CompleteUpload { frame, inventory })
                .await?;
        }
        filling.complete = Some(inventory);
        Ok(())
    }

    /// Renaming follows syncing, so that a run that is killed between them leaves whole volumes, to be
    /// published by the next one.
    async fn seal(&mut self, reservation: Option<&Reservation<'_>>) -> Result<()> {
        for volume in &mut self.written {
            volume.object.seal().await?;
        }
        let last = self.written.last().and_then(|last| last.inventory.clone());
        match (reservation, last) {
            (Some(reservation), Some(last)) => {
                let exported = surviving(self.export, &self.failed);
                reservation.reserve(self.export, (last, &exported)).await
            }
            _ => Ok(()),
        }
    }

    async fn publish(mut self) -> Result<ExportReport> {
        let exported = surviving(self.export, &self.failed);
        let publication = Publication {
            export: self.export,
            container: self.container,
            uploads: self.uploads,
            events: &self.options.events,
            has_resumed: self.has_resumed,
        };
        let volumes = publication.publish(std::mem::take(&mut self.written));
        Ok(ExportReport {
            name: self.export.name.clone(),
            set: self.export.set.clone(),
            volumes: volumes.await?,
            is_unchanged: false,
            exported,
            failures: self.failures,
            moved_bytes: self.moved_bytes,
            resumed_bytes: self.resumed_bytes,
        })
    }

    /// Whether nothing can come of what an interrupted run had brought to the store: it was not kept, or what
    /// stands there of a content is not what a void of it would be.
    fn must_begin_anew(&self, error: &Error) -> bool {
        let is_lost = self.has_resumed && error.is_not_found() && !self.has_source_failed;
        is_lost || self.must_begin_anew
    }

    /// Leaves to a later run what it can go on with, and removes the rest.
    async fn give_up(self, error: &Error) {
        // Where something else has the name, nothing will come of the upload.
        let is_useless = is_taken(error) && !self.has_source_failed;
        let waiting = self.waiting.into_iter().flatten();
        for volume in self
            .written
            .into_iter()
            .chain(waiting.map(Filling::into_volume))
        {
            let left = volume.give_up(is_useless, self.has_source_failed).await;
            warn_of(&self.options.events, left);
        }
        if let Some(uploads) = self.uploads
            && is_useless
        {
            warn_of(&self.options.events, uploads.abandon_all().await);
        }
    }
}

fn size_of(slice: &Slice, blob: &PlannedBlob) -> u64 {
    match &slice.part {
        Some(part) => part.range.end - part.range.start,
        None => blob.descriptor.size,
    }
}

fn positions(repositories: &[usize]) -> Vec<u32> {
    repositories
        .iter()
        .filter_map(|position| u32::try_from(*position).ok())
        .collect()
}
