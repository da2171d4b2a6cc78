//! What a container holds, and what interrupted uploads have left in it.
//!
//! It judges by name, age and holder, and reads no object.
//!
//! A state directory knows of the uploads that its exports have begun, also where the container cannot tell.
//!
//! **Invariants.** What a running process holds is never removed, nor what nobody of us has begun: only uploads of
//! volumes and signatures are ours. An upload is as old as its last part. What is removed was no object.

use std::fmt;
use std::time::Duration;

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};

use super::open_bundles::{is_signature_name, is_volume_name};
use crate::content::{Error, Result, Uploaded, describe};
use crate::history::{Ledger, Upload};
use crate::storage::{Abandonment, FoundObject, OpenUpload, StorageContainer};

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

    /// The upload as the container would list it.
    async fn open_upload(&self, upload: Upload) -> Result<OpenUpload> {
        let is_held = self.is_held(&upload)?;
        let object = &upload.upload.object;
        let known = self.ledger.find_upload(&self.container, object).await?;
        let parts = known.map(|known| known.parts).unwrap_or_default();
        Ok(OpenUpload {
            object: upload.upload.object,
            upload_id: upload.upload.upload_id,
            size_bytes: Some(parts.iter().map(|part| part.size_bytes).sum()),
            modified: Some(upload.changed),
            is_held,
        })
    }

    /// What the ledger has of an upload.
    async fn find(&self, upload: &OpenUpload) -> Result<Option<Upload>> {
        let mut known = self.list().await?.into_iter();
        Ok(known.find(|known| is_same(known, upload)))
    }
}

fn is_same(known: &Upload, upload: &OpenUpload) -> bool {
    let of = &known.upload;
    (&of.object, &of.upload_id) == (&upload.object, &upload.upload_id)
}

pub async fn list_container(
    container: &dyn StorageContainer,
    remembered: Option<&RememberedUploads>,
) -> Result<ContainerListing> {
    let mut objects: Vec<FoundObject> = container.list("").try_collect().await?;
    objects.sort_by(|a, b| a.name.cmp(&b.name));
    let uploads = gather_uploads(container, remembered).await?;
    Ok(ContainerListing {
        objects,
        uploads: uploads.map(|gathered| gathered.open),
    })
}

/// Open uploads, by name.
struct Gathered {
    open: Vec<OpenUpload>,
    /// What a ledger remembers, and the container does not list.
    lost: Vec<OpenUpload>,
}

/// `None` where nobody can tell.
async fn gather_uploads(
    container: &dyn StorageContainer,
    remembered: Option<&RememberedUploads>,
) -> Result<Option<Gathered>> {
    let listed = match container.list_uploads().await {
        // Nothing is left in a container that is not there, also of what is remembered.
        Err(error) if error.is_not_found() && remembered.is_some() => Some(Vec::new()),
        listed => listed?,
    };
    if listed.is_none() && remembered.is_none() {
        return Ok(None);
    }
    let can_tell = listed.is_some();
    let (mut open, mut lost) = (listed.unwrap_or_default(), Vec::new());
    if let Some(remembered) = remembered {
        for known in remembered.list().await? {
            match open.iter_mut().find(|listed| is_same(&known, listed)) {
                Some(listed) => {
                    listed.is_held |= remembered.is_held(&known)?;
                    listed.modified = listed.modified.max(Some(known.changed));
                }
                None if can_tell => lost.push(remembered.open_upload(known).await?),
                None => open.push(remembered.open_upload(known).await?),
            }
        }
    }
    open.sort_by(|a, b| (&a.object, &a.upload_id).cmp(&(&b.object, &b.upload_id)));
    Ok(Some(Gathered { open, lost }))
}

/// What becomes of an open upload.
#[derive(Debug)]
pub enum UploadOutcome {
    /// It was left by a run that has ended, and goes.
    Abandoned,
    Removed,
    /// Nothing of it was there any more.
    Gone,
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
            Self::Gone => "gone already",
            Self::Failed(_) => "failed",
            _ => "left",
        }
    }
}

/// Why it is as it is; nothing where the word says it all.
impl fmt::Display for UploadOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abandoned | Self::Removed | Self::Gone => Ok(()),
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

/// What is cleaned, and what is old there.
pub struct Cleaning<'a> {
    pub container: &'a dyn StorageContainer,
    pub remembered: Option<&'a RememberedUploads>,
    pub older_than: Duration,
    pub now: Timestamp,
}

impl Cleaning<'_> {
    /// Judges the open uploads; `None` where the container cannot list them.
    pub async fn plan(&self) -> Result<Option<Vec<JudgedUpload>>> {
        let gathered = gather_uploads(self.container, self.remembered).await?;
        let judge = |upload| JudgedUpload {
            outcome: judge_upload(&upload, self.older_than, self.now),
            upload,
        };
        Ok(gathered
            .map(|Gathered { open, lost }| open.into_iter().chain(lost).map(judge).collect()))
    }

    /// Removes what was judged abandoned. One failure does not keep the others.
    pub async fn clean(&self, mut uploads: Vec<JudgedUpload>) -> Result<Vec<JudgedUpload>> {
        for judged in &mut uploads {
            if matches!(judged.outcome, UploadOutcome::Abandoned) {
                judged.outcome = self.remove(&judged.upload).await?;
            }
        }
        Ok(uploads)
    }

    /// Under the upload's hold: an export that has taken it up since it was judged keeps it, and one that begins
    /// now waits until it is gone.
    async fn remove(&self, upload: &OpenUpload) -> Result<UploadOutcome> {
        let known = match self.remembered {
            Some(remembered) => remembered.find(upload).await?.map(|it| (remembered, it)),
            None => None,
        };
        let Some((remembered, known)) = known else {
            return Ok(self.abandon(upload).await);
        };
        let (ledger, set) = (&remembered.ledger, &known.upload.set);
        let Some(_hold) = ledger.try_hold_upload(&remembered.container, set)? else {
            return Ok(UploadOutcome::Held);
        };
        if let Some(now) = remembered.find(upload).await? {
            let upload = OpenUpload {
                modified: upload.modified.max(Some(now.changed)),
                ..upload.clone()
            };
            match judge_upload(&upload, self.older_than, self.now) {
                UploadOutcome::Abandoned => {}
                outcome => return Ok(outcome),
            }
        }
        let outcome = self.abandon(upload).await;
        if matches!(outcome, UploadOutcome::Removed | UploadOutcome::Gone) {
            ledger.forget_upload(&known.key).await?;
        }
        Ok(outcome)
    }

    async fn abandon(&self, upload: &OpenUpload) -> UploadOutcome {
        let uploaded = Uploaded {
            upload_id: upload.upload_id.clone(),
            parts: Vec::new(),
        };
        match self.container.abandon(&upload.object, &uploaded).await {
            Ok(Abandonment::Removed) => UploadOutcome::Removed,
            Ok(Abandonment::Gone) => UploadOutcome::Gone,
            Ok(Abandonment::Left) => UploadOutcome::Unremovable,
            Err(error) => UploadOutcome::Failed(error),
        }
    }
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
