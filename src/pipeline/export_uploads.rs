//! Uploads of bundles as the ledger follows them: begun, grown, gone on with, finished or abandoned.
//!
//! What of an upload can be kept is decided in `export_resume`. Containers whose writers keep nothing for a later
//! run, as directories, are not followed.
//!
//! **Invariants.** A part is recorded after the store has taken it in, and forgotten before another takes its place.
//! Nothing that another process is writing is abandoned.

use jiff::Timestamp;

use super::export_memory::ExportMemory;
use super::export_plan::{Created, ExportPlan};
use super::export_resume::{LeftVolume, keep_what_fits};
use super::export_wait::wait_for;
use crate::bundle::FinishedEntry;
use crate::content::{
    Error, ErrorKind, Event, Events, ObjectWriter, Result, Uploaded, UploadedPart, describe,
};
use crate::history::{
    CompleteUpload, Hold, Ledger, NewUpload, Upload, UploadEntry, UploadKey, UploadPart,
};
use crate::oci::Digest;
use crate::storage::StorageContainer;

/// The uploads of one bundle.
pub(super) struct Uploads<'a> {
    memory: &'a ExportMemory,
    container: &'a dyn StorageContainer,
    export: &'a ExportPlan,
    events: &'a Events,
    _hold: Hold,
}

/// A volume that an interrupted run has left.
pub(super) struct Interrupted {
    pub left: LeftVolume,
    key: UploadKey,
}

/// The volumes of a bundle that an interrupted run has left.
pub(super) struct Found {
    pub volumes: Vec<Option<Interrupted>>,
    /// The bundle's `created`, where any was begun.
    pub created: Option<Timestamp>,
}

impl<'a> Uploads<'a> {
    /// Waits until nobody else writes this bundle.
    pub(super) async fn open(
        memory: &'a ExportMemory,
        container: &'a dyn StorageContainer,
        export: &'a ExportPlan,
        events: &'a Events,
    ) -> Result<Self> {
        let hold = memory.ledger.hold_upload(&memory.upload_place, &export.set);
        Ok(Self {
            _hold: wait_for(hold, "is writing this bundle", events).await?,
            memory,
            container,
            export,
            events,
        })
    }

    pub(super) fn memory(&self) -> &'a ExportMemory {
        self.memory
    }

    fn ledger(&self) -> &'a Ledger {
        &self.memory.ledger
    }

    /// What can be gone on with, by volume. What has no use any more is abandoned, as is what was begun with another
    /// time than the one that is asked for, or than the volumes before it. The time of the first run holds also where
    /// nothing else of it is kept: its rows are taken up, and all volumes of a bundle have one time. `frame_of`
    /// digests what the bytes of a volume depend on beside its contents.
    pub(super) async fn find(
        &self,
        wanted: Created,
        frame_of: impl Fn(usize, &[Digest], Timestamp) -> Result<Digest>,
    ) -> Result<Found> {
        self.abandon_others().await?;
        let mut created = None;
        let mut keys = Vec::new();
        let mut left = Vec::new();
        for object in self.export.object_names() {
            let upload = match self.find_own(&object).await? {
                Some(begun)
                    if !wanted.admits(begun.upload.created)
                        || created.is_some_and(|first| first != begun.upload.created) =>
                {
                    self.abandon(&begun).await?;
                    None
                }
                upload => upload,
            };
            let (key, volume) = match upload {
                Some(upload) => {
                    created = created.or(Some(upload.upload.created));
                    self.confirm(upload).await?
                }
                None => (None, LeftVolume::default()),
            };
            keys.push(key);
            left.push(volume);
        }
        let mut left = keep_what_fits(&self.export.plan, &self.export.volumes, left);
        if let Some(created) = created {
            reopen_changed(&mut left, |number, before| {
                frame_of(number, before, created)
            })?;
        }
        let mut volumes = Vec::new();
        for (key, left) in keys.into_iter().zip(left) {
            volumes.push(self.take_up(key, left).await?);
        }
        Ok(Found { volumes, created })
    }

    /// The upload as far as the store still has it. One that it has lost is forgotten, and its volume begins anew.
    async fn confirm(&self, upload: Upload) -> Result<(Option<UploadKey>, LeftVolume)> {
        let (key, object) = (upload.key.clone(), upload.upload.object.clone());
        let mut left = left_volume(upload);
        let recorded = left.uploaded.clone();
        let Some(uploaded) = self.container.find_uploaded(&object, recorded).await? else {
            self.ledger().forget_upload(&key).await?;
            return Ok((None, LeftVolume::default()));
        };
        if uploaded != left.uploaded {
            left.uploaded = uploaded;
            left.reopen();
        }
        Ok((Some(key), left))
    }

    async fn take_up(
        &self,
        key: Option<UploadKey>,
        left: LeftVolume,
    ) -> Result<Option<Interrupted>> {
        let Some(key) = key else { return Ok(None) };
        if left.complete.is_none() {
            let (parts, entries) = (left.uploaded.parts.len(), left.entries.len());
            let (parts, entries) = (parts as u64, entries as u64);
            self.ledger().truncate_upload(&key, parts, entries).await?;
        }
        Ok(Some(Interrupted { left, key }))
    }

    /// Uploads of these objects, and of this pipeline, that belong to another plan.
    async fn abandon_others(&self) -> Result<()> {
        let names = self.export.object_names();
        let pipeline = self.pipeline();
        for upload in self
            .ledger()
            .list_uploads(&self.memory.upload_place)
            .await?
        {
            let of = &upload.upload;
            let is_same_object = names.contains(&of.object);
            let is_same_pipeline = pipeline.is_some() && of.pipeline.as_deref() == pipeline;
            // Under another name the same plan is held by this very run.
            let is_same_plan = of.set == self.export.set;
            let is_related = is_same_plan || is_same_object || is_same_pipeline;
            if (is_same_plan && is_same_object) || !is_related {
                continue;
            }
            let is_held = !is_same_plan && self.ledger().is_uploading(&of.container, &of.set)?;
            if is_held && is_same_object {
                let object = self.container.shown(&of.object);
                let message = format!("another export is writing other content into `{object}`");
                return Err(Error::new(ErrorKind::AlreadyExists, message));
            }
            match is_held {
                true => {}
                false if is_same_object => self.abandon(&upload).await?,
                false => self.abandon_if_possible(&upload).await?,
            }
        }
        Ok(())
    }

    /// What cannot be removed for the moment stays known, and is an error.
    async fn abandon(&self, upload: &Upload) -> Result<()> {
        abandon(self.memory, self.container, upload, self.events).await
    }

    /// The same where this run does not depend on it: the next one tries again, and so does `container clean`.
    async fn abandon_if_possible(&self, upload: &Upload) -> Result<()> {
        match self.abandon(upload).await {
            Err(error) if error.is_temporary() => {
                tell_of_leftover(self.container, &upload.upload.object, &error, self.events);
                Ok(())
            }
            abandoned => abandoned,
        }
    }

    async fn find_own(&self, object: &str) -> Result<Option<Upload>> {
        let place = &self.memory.upload_place;
        self.ledger().find_upload(place, object).await
    }

    /// Gives up what is left of this bundle, which begins anew.
    pub(super) async fn abandon_all(&self) -> Result<()> {
        for object in self.export.object_names() {
            if let Some(upload) = self.find_own(&object).await? {
                self.abandon(&upload).await?;
            }
        }
        Ok(())
    }

    /// The same for a bundle that is there.
    pub(super) async fn clear(&self) -> Result<()> {
        for object in self.export.object_names() {
            self.abandon_volume(&object).await?;
        }
        Ok(())
    }

    /// Gives up what is left of one volume.
    pub(super) async fn abandon_volume(&self, object: &str) -> Result<()> {
        match self.find_own(object).await? {
            Some(upload) => self.abandon_if_possible(&upload).await,
            None => Ok(()),
        }
    }

    /// Begins the upload of a new volume, and follows it where its container can keep it.
    pub(super) async fn begin(
        &self,
        object: &str,
        writer: &mut dyn ObjectWriter,
        created: Timestamp,
    ) -> Result<Option<UploadRecord<'a>>> {
        writer.begin().await?;
        let Some(uploaded) = writer.uploaded() else {
            return Ok(None);
        };
        let upload = NewUpload {
            container: self.memory.upload_place.clone(),
            object: object.to_owned(),
            set: self.export.set.clone(),
            pipeline: self.pipeline().map(str::to_owned),
            created,
            upload_id: uploaded.upload_id,
        };
        let now = (self.memory.clock)();
        Ok(Some(UploadRecord {
            key: self.ledger().begin_upload(&upload, now).await?,
            ledger: self.ledger(),
            clock: self.memory.clock,
            parts: 0,
            entries: 0,
            pending: Vec::new(),
            has_ended_blob: false,
            has_progress: false,
        }))
    }

    /// Follows a volume that is gone on with.
    pub(super) fn resume(&self, interrupted: &Interrupted) -> UploadRecord<'a> {
        UploadRecord {
            key: interrupted.key.clone(),
            ledger: self.ledger(),
            clock: self.memory.clock,
            parts: interrupted.left.uploaded.parts.len(),
            entries: interrupted.left.entries.len() as u64,
            pending: Vec::new(),
            has_ended_blob: false,
            has_progress: !interrupted.left.uploaded.parts.is_empty(),
        }
    }

    fn pipeline(&self) -> Option<&'a str> {
        let position = self.export.position.as_ref();
        position.map(|position| position.name.as_str())
    }
}

/// Removes an upload from the store and from the ledger. What cannot be removed for the moment stays known, and is an
/// error.
pub(super) async fn abandon(
    memory: &ExportMemory,
    container: &dyn StorageContainer,
    upload: &Upload,
    events: &Events,
) -> Result<()> {
    let object = &upload.upload.object;
    let uploaded = Uploaded {
        upload_id: upload.upload.upload_id.clone(),
        parts: Vec::new(),
    };
    match container.abandon(object, &uploaded).await {
        Err(error) if error.is_temporary() => return Err(error),
        Err(error) => tell_of_leftover(container, object, &error, events),
        Ok(_) => {}
    }
    memory.ledger.forget_upload(&upload.key).await
}

fn tell_of_leftover(
    container: &dyn StorageContainer,
    object: &str,
    error: &Error,
    events: &Events,
) {
    events(Event::Warning(format!(
        "the interrupted upload of `{}` is left at the store: {}",
        container.shown(object),
        describe(error)
    )));
}

/// Complete volumes whose inventory would be another one now are open again.
fn reopen_changed(
    left: &mut [LeftVolume],
    frame_of: impl Fn(usize, &[Digest]) -> Result<Digest>,
) -> Result<()> {
    let mut before = Vec::new();
    for (number, left) in (1..).zip(left) {
        let Some(complete) = left.complete.clone() else {
            continue;
        };
        if complete.frame == frame_of(number, &before)? {
            before.push(complete.inventory);
        } else {
            left.reopen();
        }
    }
    Ok(())
}

fn left_volume(upload: Upload) -> LeftVolume {
    LeftVolume {
        entries: upload.entries.iter().map_while(parse_entry).collect(),
        complete: upload.complete.clone(),
        uploaded: uploaded_of(upload),
    }
}

/// What the store has of it.
pub(super) fn uploaded_of(upload: Upload) -> Uploaded {
    let part = |part: UploadPart| UploadedPart {
        id: part.part_id,
        size_bytes: part.size_bytes,
    };
    Uploaded {
        upload_id: upload.upload.upload_id,
        parts: upload.parts.into_iter().map(part).collect(),
    }
}

/// An entry that this version cannot read ends what can be kept.
fn parse_entry(entry: &UploadEntry) -> Option<FinishedEntry> {
    Some(FinishedEntry {
        row: serde_json::from_str(&entry.row_json).ok()?,
        end_offset: entry.end_offset,
        tar_position: entry.tar_position,
        frames: FinishedEntry::unpack_frames(&entry.frames)?,
    })
}

/// What the ledger knows of a volume that is being uploaded.
pub(super) struct UploadRecord<'a> {
    ledger: &'a Ledger,
    clock: fn() -> Timestamp,
    key: UploadKey,
    parts: usize,
    entries: u64,
    /// Entries that no part has been recorded after.
    pending: Vec<UploadEntry>,
    has_ended_blob: bool,
    has_progress: bool,
}

impl UploadRecord<'_> {
    /// Remembers an entry that was finished.
    pub(super) fn push(&mut self, entry: &FinishedEntry) -> Result<()> {
        let row_json = serde_json::to_string(&entry.row).map_err(|cause| {
            Error::new(ErrorKind::Failed, "cannot record the upload").with_cause(cause)
        })?;
        self.pending.push(UploadEntry {
            number: self.entries,
            end_offset: entry.end_offset,
            tar_position: entry.tar_position,
            row_json,
            frames: entry.pack_frames(),
        });
        self.entries += 1;
        let part = entry.row.part.as_ref();
        self.has_ended_blob |= part.is_some_and(|part| part.number == part.of);
        Ok(())
    }

    /// Records what the store has taken in since, with the entries before it. Where a blob that is cut ends, its
    /// parts in other volumes depend on this entry.
    pub(super) async fn record(&mut self, uploaded: Option<Uploaded>) -> Result<()> {
        let uploaded = uploaded.map_or_else(Vec::new, |uploaded| uploaded.parts);
        let new = uploaded.iter().enumerate().skip(self.parts);
        let part = |(number, part): (usize, &UploadedPart)| UploadPart {
            number: number as u64,
            part_id: part.id.clone(),
            size_bytes: part.size_bytes,
        };
        let parts: Vec<UploadPart> = new.map(part).collect();
        if parts.is_empty() && !self.has_ended_blob {
            return Ok(());
        }
        self.ledger
            .record_progress(&self.key, &parts, &self.pending, (self.clock)())
            .await?;
        self.parts += parts.len();
        self.pending.clear();
        self.has_ended_blob = false;
        self.has_progress = true;
        Ok(())
    }

    /// Remembers that the store has the volume to its end.
    pub(super) async fn complete(&mut self, complete: &CompleteUpload) -> Result<()> {
        self.ledger.complete_upload(&self.key, complete).await
    }

    /// The object is there, or will never be.
    pub(super) async fn forget(self) -> Result<()> {
        self.ledger.forget_upload(&self.key).await
    }

    /// Whether a later run would have something to go on with.
    pub(super) fn has_progress(&self) -> bool {
        self.has_progress
    }
}
