//! Uploads of bundles that were begun and not completed, with everything that a later run needs to go on.
//!
//! What an entry or a frame is, the writer of bundles knows; here they are numbers and bytes.

use jiff::Timestamp;

use super::dialect::Transaction;
use super::directory::Hold;
use super::id::random_hex;
use super::ledger::{Ledger, count, millis, number, time};
use crate::content::Result;
use crate::oci::Digest;

/// Names an upload in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadKey(String);

/// An upload that the store has just begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// The container as messages show it: never with a secret.
    pub container: String,
    pub object: String,
    /// The start of the plan's digest: another plan abandons the upload.
    pub set: String,
    /// The pipeline whose bundle it is; none where it is one-off.
    pub pipeline: Option<String>,
    /// The bundle's `created`; whoever goes on takes it over.
    pub created: Timestamp,
    /// The store's name for the upload.
    pub upload_id: String,
}

/// A part that the store has confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPart {
    /// Counted from zero.
    pub number: u64,
    pub part_id: String,
    pub size_bytes: u64,
}

/// An entry of the volume that was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadEntry {
    pub number: u64,
    /// Where its last frame ends in the object.
    pub end_offset: u64,
    /// Where the tar stream stands behind it.
    pub tar_position: u64,
    /// The inventory's row for it, as JSON.
    pub row_json: String,
    /// Sizes of its frames, in the writer's own packing.
    pub frames: Vec<u8>,
}

/// A volume whose last byte the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteUpload {
    /// Of everything that its bytes depend on beside its contents.
    pub frame: Digest,
    pub inventory: Digest,
}

/// An upload as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub key: UploadKey,
    pub upload: NewUpload,
    pub started: Timestamp,
    /// When the store took in the last part that is known, or the upload began.
    pub changed: Timestamp,
    pub complete: Option<CompleteUpload>,
    /// In the order of their numbers; empty in lists.
    pub parts: Vec<UploadPart>,
    pub entries: Vec<UploadEntry>,
}

#[derive(sqlx::FromRow)]
struct UploadRow {
    id: String,
    container: String,
    object: String,
    set_id: String,
    pipeline: Option<String>,
    created_ms: i64,
    upload_id: String,
    started_ms: i64,
    changed_ms: i64,
    frame: Option<String>,
    inventory: Option<String>,
}

const DOING: &str = "cannot record the upload";

impl Ledger {
    /// Waits until nobody else writes a bundle of this plan into the container, in this process or another.
    pub async fn hold_upload(&self, container: &str, set: &str) -> Result<Hold> {
        self.directory().hold(&upload_lock(container, set)).await
    }

    /// The same, if nobody writes it at this moment.
    pub fn try_hold_upload(&self, container: &str, set: &str) -> Result<Option<Hold>> {
        self.directory().try_hold(&upload_lock(container, set))
    }

    /// Whether somebody writes it at this moment.
    pub fn is_uploading(&self, container: &str, set: &str) -> Result<bool> {
        self.directory().is_held(&upload_lock(container, set))
    }

    /// Remembers an upload. One object has one upload: the one before is to be aborted and forgotten first.
    pub async fn begin_upload(&self, upload: &NewUpload, now: Timestamp) -> Result<UploadKey> {
        let key = UploadKey(random_hex::<16>()?);
        sqlx::query(
            "INSERT INTO upload
                (id, container, object, set_id, pipeline, created_ms, upload_id, started_ms, changed_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        )
        .bind(&key.0)
        .bind(&upload.container)
        .bind(&upload.object)
        .bind(&upload.set)
        .bind(&upload.pipeline)
        .bind(millis(upload.created))
        .bind(&upload.upload_id)
        .bind(millis(now))
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(key)
    }

    /// Remembers parts and entries that came since, all or none.
    pub async fn record_progress(
        &self,
        key: &UploadKey,
        parts: &[UploadPart],
        entries: &[UploadEntry],
        now: Timestamp,
    ) -> Result<()> {
        let doing = self.failed(DOING);
        let mut writing = self.begin().await.map_err(&doing)?;
        sqlx::query("UPDATE upload SET changed_ms = $2 WHERE id = $1")
            .bind(&key.0)
            .bind(millis(now))
            .execute(&mut *writing)
            .await
            .map_err(&doing)?;
        for part in parts {
            sqlx::query(
                "INSERT INTO upload_part (upload, number, part_id, size_bytes) VALUES ($1, $2, $3, $4)",
            )
            .bind(&key.0)
            .bind(number(part.number))
            .bind(&part.part_id)
            .bind(number(part.size_bytes))
            .execute(&mut *writing)
            .await
            .map_err(&doing)?;
        }
        for entry in entries {
            let inserted = insert_entry(&mut writing, key, entry).await;
            inserted.map_err(&doing)?;
        }
        writing.commit().await.map_err(&doing)
    }

    /// Remembers that the parts are all of the volume.
    pub async fn complete_upload(&self, key: &UploadKey, complete: &CompleteUpload) -> Result<()> {
        sqlx::query("UPDATE upload SET frame = $2, inventory = $3 WHERE id = $1")
            .bind(&key.0)
            .bind(complete.frame.to_string())
            .bind(complete.inventory.to_string())
            .execute(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        Ok(())
    }

    /// Forgets the parts and entries behind the first ones: others will take their places.
    pub async fn truncate_upload(&self, key: &UploadKey, parts: u64, entries: u64) -> Result<()> {
        let doing = self.failed(DOING);
        let mut writing = self.begin().await.map_err(&doing)?;
        sqlx::query("UPDATE upload SET frame = NULL, inventory = NULL WHERE id = $1")
            .bind(&key.0)
            .execute(&mut *writing)
            .await
            .map_err(&doing)?;
        for (statement, kept) in [
            (
                "DELETE FROM upload_part WHERE upload = $1 AND number >= $2",
                parts,
            ),
            (
                "DELETE FROM upload_entry WHERE upload = $1 AND number >= $2",
                entries,
            ),
        ] {
            sqlx::query(statement)
                .bind(&key.0)
                .bind(number(kept))
                .execute(&mut *writing)
                .await
                .map_err(&doing)?;
        }
        writing.commit().await.map_err(&doing)
    }

    /// The upload of an object, with its parts and entries.
    pub async fn find_upload(&self, container: &str, object: &str) -> Result<Option<Upload>> {
        let doing = self.failed("cannot read the upload");
        let row: Option<UploadRow> = sqlx::query_as(
            "SELECT * FROM upload
             WHERE container = $1 AND object = $2",
        )
        .bind(container)
        .bind(object)
        .fetch_optional(self.pool())
        .await
        .map_err(&doing)?;
        let Some(mut upload) = row.map(upload_of) else {
            return Ok(None);
        };
        upload.parts = self.parts_of(&upload.key).await.map_err(&doing)?;
        upload.entries = self.entries_of(&upload.key).await.map_err(&doing)?;
        Ok(Some(upload))
    }

    async fn parts_of(&self, key: &UploadKey) -> sqlx::Result<Vec<UploadPart>> {
        let rows: Vec<(i64, String, i64)> = sqlx::query_as(
            "SELECT number, part_id, size_bytes FROM upload_part WHERE upload = $1 ORDER BY number",
        )
        .bind(&key.0)
        .fetch_all(self.pool())
        .await?;
        let part = |(number, part_id, size_bytes)| UploadPart {
            number: count(number),
            part_id,
            size_bytes: count(size_bytes),
        };
        Ok(rows.into_iter().map(part).collect())
    }

    async fn entries_of(&self, key: &UploadKey) -> sqlx::Result<Vec<UploadEntry>> {
        let rows: Vec<(i64, i64, i64, String, Vec<u8>)> = sqlx::query_as(
            "SELECT number, end_offset, tar_position, row_json, frames FROM upload_entry
             WHERE upload = $1 ORDER BY number",
        )
        .bind(&key.0)
        .fetch_all(self.pool())
        .await?;
        let entry = |(number, end_offset, tar_position, row_json, frames)| UploadEntry {
            number: count(number),
            end_offset: count(end_offset),
            tar_position: count(tar_position),
            row_json,
            frames,
        };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// Forgets an upload that was completed or aborted.
    pub async fn forget_upload(&self, key: &UploadKey) -> Result<()> {
        sqlx::query("DELETE FROM upload WHERE id = $1")
            .bind(&key.0)
            .execute(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        Ok(())
    }

    /// Uploads into a container that are under way or abandoned, oldest first, without parts and entries.
    pub async fn list_uploads(&self, container: &str) -> Result<Vec<Upload>> {
        let rows: Vec<UploadRow> = sqlx::query_as(
            "SELECT * FROM upload
             WHERE container = $1 ORDER BY started_ms, object",
        )
        .bind(container)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot list the uploads"))?;
        Ok(rows.into_iter().map(upload_of).collect())
    }
}

async fn insert_entry(
    writing: &mut Transaction,
    key: &UploadKey,
    entry: &UploadEntry,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO upload_entry (upload, number, end_offset, tar_position, row_json, frames)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&key.0)
    .bind(number(entry.number))
    .bind(number(entry.end_offset))
    .bind(number(entry.tar_position))
    .bind(&entry.row_json)
    .bind(&entry.frames)
    .execute(&mut **writing)
    .await?;
    Ok(())
}

fn upload_lock(container: &str, set: &str) -> String {
    format!("upload\n{container}\n{set}")
}

fn upload_of(row: UploadRow) -> Upload {
    let digest = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let complete = digest(row.frame).zip(digest(row.inventory));
    Upload {
        key: UploadKey(row.id),
        upload: NewUpload {
            container: row.container,
            object: row.object,
            set: row.set_id,
            pipeline: row.pipeline,
            created: time(row.created_ms),
            upload_id: row.upload_id,
        },
        started: time(row.started_ms),
        changed: time(row.changed_ms),
        complete: complete.map(|(frame, inventory)| CompleteUpload { frame, inventory }),
        parts: Vec::new(),
        entries: Vec::new(),
    }
}
