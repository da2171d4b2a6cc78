//! What a container holds, and what interrupted uploads have left in it.
//!
//! It judges by name, age and holder, and reads no object.
//!
//! A state directory knows of the uploads that its exports have begun, also where the container cannot tell.
//!
//! **Invariants.** What a running process holds is never removed, nor what nobody of us has begun: only uploads of
//! volumes and signatures are ours. What is removed was no object.

use std::fmt;
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};

use super::open_bundles::{is_signature_name, is_volume_name};
use crate::content::{Error, Result, Uploaded, describe};
use crate::history::{Ledger, Upload};
use crate::storage::{FoundObject, OpenUpload, StorageContainer};

/// What an object is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectRole {
    Volume,
    Signature,
    Other,
}

impl ObjectRole {
    pub fn of(name: &str) -> Self {
        match name {
            _ if is_volume_name(name) => Self::Volume,
            _ if is_signature_name(name) => Self::Signature,
            _ => Self::Other,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Signature => "signature",
            Self::Other => "other",
        }
    }
}

/// Objects and open uploads, by name.
pub struct ContainerListing {
    pub objects: Vec<FoundObject>,
    /// `None` where the container cannot tell.
    pub uploads: Option<Vec<OpenUpload>>,
}

/// What a ledger remembers of uploads into a container, which it knows by this name.
pub struct RememberedUploads {
    pub ledger: Ledger,
    pub container: String,
}

impl RememberedUploads {
    async fn list(&self) -> Result<Vec<Upload>> {
        self.ledger.list_uploads(&self.container).await
    }

    fn is_held(&self, upload: &Upload) -> Result<bool> {
        self.ledger
            .is_uploading(&self.container, &upload.upload.set)
    }

    async fn open_upload(&self, upload: Upload) -> Result<OpenUpload> {
        let is_held = self.is_held(&upload)?;
        let object = &upload.upload.object;
        let known = self.ledger.find_upload(&self.container, object).await?;
        let parts = known.map(|known| known.parts).unwrap_or_default();
        Ok(OpenUpload {
            object: upload.upload.object,
            upload_id: upload.upload.upload_id,
            size_bytes: Some(parts.iter().map(|part| part.size_bytes).sum()),
            modified: Some(upload.started),
            is_held,
        })
    }

    async fn forget(&self, removed: &OpenUpload) -> Result<()> {
        for upload in self.list().await? {
            let of = &upload.upload;
            if (&of.object, &of.upload_id) == (&removed.object, &removed.upload_id) {
                self.ledger.forget_upload(&upload.key).await?;
            }
        }
        Ok(())
    }
}

pub async fn list_container(
    container: &dyn StorageContainer,
    remembered: Option<&RememberedUploads>,
) -> Result<ContainerListing> {
    let mut objects: Vec<FoundObject> = container.list("").try_collect().await?;
    objects.sort_by(|a, b| a.name.cmp(&b.name));
    let uploads = list_uploads(container, remembered).await?;
    Ok(ContainerListing { objects, uploads })
}

/// `None` where nobody can tell.
async fn list_uploads(
    container: &dyn StorageContainer,
    remembered: Option<&RememberedUploads>,
) -> Result<Option<Vec<OpenUpload>>> {
    let mut uploads = match (container.can_list_uploads(), remembered) {
        (true, _) => container.list_uploads().await?,
        (false, Some(_)) => Vec::new(),
        (false, None) => return Ok(None),
    };
    if let Some(remembered) = remembered {
        for upload in remembered.list().await? {
            let of = &upload.upload;
            let is_it =
                |it: &&mut OpenUpload| (&it.object, &it.upload_id) == (&of.object, &of.upload_id);
            match uploads.iter_mut().find(is_it) {
                Some(listed) => listed.is_held |= remembered.is_held(&upload)?,
                // Where the container can tell, the store has lost it.
                None if container.can_list_uploads() => {}
                None => uploads.push(remembered.open_upload(upload).await?),
            }
        }
    }
    uploads.sort_by(|a, b| (&a.object, &a.upload_id).cmp(&(&b.object, &b.upload_id)));
    Ok(Some(uploads))
}

/// What becomes of an open upload.
#[derive(Debug)]
pub enum UploadOutcome {
    /// It was left by a run that has ended, and goes.
    Abandoned,
    Removed,
    /// A running process holds it.
    Held,
    /// Not older than was asked for.
    Recent,
    /// The container does not tell how old it is.
    AgeUnknown,
    /// Its name or its blocks are not ours.
    Foreign,
    /// Nothing was done: something else has the name by now.
    Unremovable,
    Failed(Error),
}

impl UploadOutcome {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Removed => "removed",
            Self::Failed(_) => "failed",
            _ => "left",
        }
    }
}

/// Why it is as it is; nothing where the word says it all.
impl fmt::Display for UploadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abandoned | Self::Removed => Ok(()),
            Self::Held => f.write_str("a running process holds it"),
            Self::Recent => f.write_str("not old enough, see `--older-than`"),
            Self::AgeUnknown => f.write_str("of unknown age, `--older-than 0s` removes it"),
            Self::Foreign => f.write_str("not an upload of airlift"),
            Self::Unremovable => {
                f.write_str("not to be removed alone; the service does it in time")
            }
            Self::Failed(error) => f.write_str(&describe(error)),
        }
    }
}

/// An open upload, and what becomes of it.
#[derive(Debug)]
pub struct JudgedUpload {
    pub upload: OpenUpload,
    pub outcome: UploadOutcome,
}

/// Judges the open uploads; `None` where the container cannot list them.
pub async fn plan_cleaning(
    container: &dyn StorageContainer,
    remembered: Option<&RememberedUploads>,
    older_than: Duration,
    now: Timestamp,
) -> Result<Option<Vec<JudgedUpload>>> {
    let judge = |upload| JudgedUpload {
        outcome: judge_upload(&upload, older_than, now),
        upload,
    };
    let uploads = list_uploads(container, remembered).await?;
    Ok(uploads.map(|uploads| uploads.into_iter().map(judge).collect()))
}

fn judge_upload(upload: &OpenUpload, older_than: Duration, now: Timestamp) -> UploadOutcome {
    if upload.is_held {
        return UploadOutcome::Held;
    }
    if ObjectRole::of(&upload.object) == ObjectRole::Other || upload.upload_id.is_empty() {
        return UploadOutcome::Foreign;
    }
    if older_than.is_zero() {
        return UploadOutcome::Abandoned;
    }
    let bound = SignedDuration::try_from(older_than).unwrap_or(SignedDuration::MAX);
    match upload.modified {
        Some(modified) if now.duration_since(modified) >= bound => UploadOutcome::Abandoned,
        Some(_) => UploadOutcome::Recent,
        None => UploadOutcome::AgeUnknown,
    }
}

/// Removes what was judged abandoned. One failure does not keep the others.
pub async fn clean_uploads(
    container: &dyn StorageContainer,
    remembered: Option<&RememberedUploads>,
    mut uploads: Vec<JudgedUpload>,
) -> Result<Vec<JudgedUpload>> {
    for judged in &mut uploads {
        if !matches!(judged.outcome, UploadOutcome::Abandoned) {
            continue;
        }
        let uploaded = Uploaded {
            upload_id: judged.upload.upload_id.clone(),
            parts: Vec::new(),
        };
        judged.outcome = match container.abandon(&judged.upload.object, &uploaded).await {
            Ok(()) => UploadOutcome::Removed,
            Err(error) => UploadOutcome::Failed(error),
        };
    }
    let is_removed = |judged: &JudgedUpload| matches!(judged.outcome, UploadOutcome::Removed);
    if uploads.iter().any(is_removed) {
        // A container removes only what it safely can, and does not say what it has left.
        let left = container.list_uploads().await?;
        for judged in uploads.iter_mut().filter(|judged| is_removed(judged)) {
            let identity = |upload: &OpenUpload| (upload.object.clone(), upload.upload_id.clone());
            if left
                .iter()
                .any(|it| identity(it) == identity(&judged.upload))
            {
                judged.outcome = UploadOutcome::Unremovable;
            }
        }
    }
    if let Some(remembered) = remembered {
        for judged in uploads.iter().filter(|judged| is_removed(judged)) {
            remembered.forget(&judged.upload).await?;
        }
    }
    Ok(uploads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_old_and_ours_and_nobodys_is_abandoned() {
        let now: Timestamp = "2027-01-31T12:00:00Z".parse().unwrap();
        let at = |time: &str| Some(time.parse().unwrap());
        let upload = |object: &str, id: &str, modified, is_held| OpenUpload {
            object: object.to_owned(),
            upload_id: id.to_owned(),
            size_bytes: None,
            modified,
            is_held,
        };
        let old = at("2027-01-30T12:00:00Z");
        let day = Duration::from_hours(24);
        let judge = |upload: OpenUpload, bound| format!("{:?}", judge_upload(&upload, bound, now));
        assert_eq!(judge(upload("a.tar", "1", old, false), day), "Abandoned");
        assert_eq!(judge(upload("a.tar", "1", old, true), day), "Held");
        assert_eq!(judge(upload("a.mkv", "1", old, false), day), "Foreign");
        assert_eq!(judge(upload("a.tar", "", old, false), day), "Foreign");
        let late = at("2027-01-30T12:00:01Z");
        assert_eq!(judge(upload("a.tar", "1", late, false), day), "Recent");
        assert_eq!(judge(upload("a.tar", "1", None, false), day), "AgeUnknown");
        // A clock that is ahead makes nothing old.
        let ahead = at("2027-03-01T00:00:00Z");
        assert_eq!(judge(upload("a.tar", "1", ahead, false), day), "Recent");
        for modified in [late, None, ahead] {
            let any = judge(upload("a.tar", "1", modified, false), Duration::ZERO);
            assert_eq!(any, "Abandoned");
        }
    }
}
