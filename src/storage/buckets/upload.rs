//! An object of a bucket under construction: a multipart upload, begun with its first part.
//!
//! An object smaller than a part is kept until it is finished, and sent in one request.

use async_trait::async_trait;
use bytes::Bytes;
use md5::{Digest, Md5};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{PutMode, PutOptions, PutResult};
use tokio::sync::OnceCell;

use super::BucketContainer;
use crate::content::{Error, ErrorKind, Result, Uploaded, UploadedPart};
use crate::storage::container::{Abandonment, Overwrite, StorageContainer};
use crate::storage::failure;
use crate::storage::parts::PartUpload;

/// Of one upload.
pub(super) const PARTS_MAX: u32 = 10_000;

pub(super) struct PartsOfUpload {
    container: BucketContainer,
    object: String,
    path: Path,
    shown: String,
    upload_id: OnceCell<String>,
    overwrite: Overwrite,
}

impl PartsOfUpload {
    pub(super) fn new(
        container: BucketContainer,
        object: &str,
        path: Path,
        upload_id: Option<String>,
        overwrite: Overwrite,
    ) -> Self {
        Self {
            shown: container.shown(object),
            container,
            object: object.to_owned(),
            path,
            upload_id: OnceCell::new_with(upload_id),
            overwrite,
        }
    }

    fn told(&self, does_what: &str, error: &object_store::Error) -> Error {
        failure::from_object_store(format!("cannot {does_what} `{}`", self.shown), error)
    }

    /// Whether the object may be made.
    pub(super) async fn check_free(&self) -> Result<()> {
        if self.overwrite == Overwrite::Replace {
            return Ok(());
        }
        match self.container.find(&self.object).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(self.already_exists()),
            // One who may only write cannot look.
            Err(error) if error.kind() == ErrorKind::Denied => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn already_exists(&self) -> Error {
        let message = format!("`{}` exists already, and is not replaced", self.shown);
        Error::new(ErrorKind::AlreadyExists, message)
    }

    /// Whether what has the name now is what was written.
    pub(super) async fn check_is_ours(&self, size_bytes: u64, etag: Option<&str>) -> Result<()> {
        let found = match self.container.find(&self.object).await {
            Err(error) if error.kind() == ErrorKind::Denied => return Ok(()),
            other => other?,
        };
        let is_ours = found.is_some_and(|found| {
            found.size_bytes == size_bytes && etag.is_none_or(|it| it == found.version.as_str())
        });
        if is_ours {
            return Ok(());
        }
        let message = format!("`{}` was replaced while it was written", self.shown);
        Err(Error::new(ErrorKind::Changed, message))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The service's name for the upload, which is begun where it was not.
    pub(super) async fn begun(&self) -> Result<&String> {
        let begun = self
            .upload_id
            .get_or_try_init(|| self.container.store.create_multipart(&self.path))
            .await;
        begun.map_err(|error| self.told("begin", &error))
    }

    /// Whether the service still has all that a former run has brought.
    pub(super) async fn check_resumed(&self, uploaded: &Uploaded) -> Result<()> {
        let found = self.container.find_uploaded(&self.object, uploaded.clone());
        if found.await?.as_ref() == Some(uploaded) {
            return Ok(());
        }
        let message = format!("the interrupted upload of `{}` is gone", self.shown);
        Err(Error::not_found(message))
    }

    pub(super) async fn remove_parts(&self) -> Result<Abandonment> {
        let Some(upload_id) = self.upload_id.get() else {
            return Ok(Abandonment::Gone);
        };
        let store = &self.container.store;
        let removed = store.abort_multipart(&self.path, upload_id).await;
        match removed.map_err(|error| self.told("remove the upload of", &error)) {
            Ok(()) => Ok(Abandonment::Removed),
            Err(error) if error.is_not_found() => Ok(Abandonment::Gone),
            Err(error) => Err(error),
        }
    }

    /// Only where nothing has the name, unless it may be replaced.
    async fn put_together(
        &self,
        upload_id: &String,
        parts: &[UploadedPart],
    ) -> object_store::Result<PutResult> {
        let ids = || {
            let id = |part: &UploadedPart| PartId {
                content_id: part.id.clone(),
            };
            parts.iter().map(id).collect()
        };
        let creating = self.container.creating.as_ref();
        if let Some(store) = creating.filter(|_| self.overwrite == Overwrite::Refuse) {
            let completed = store.complete_multipart(&self.path, upload_id, ids()).await;
            let is_unknown = |error: &object_store::Error| {
                self.told("finish", error).kind() == ErrorKind::Unsupported
            };
            if !completed.as_ref().is_err_and(is_unknown) {
                return completed;
            }
        }
        let store = &self.container.store;
        store.complete_multipart(&self.path, upload_id, ids()).await
    }

    /// Whether the object is there, put together of these parts: the answer that said so may have been lost.
    async fn is_completed(&self, parts: &[UploadedPart]) -> bool {
        let Some(etag) = etag_of(parts) else {
            return false;
        };
        let size_bytes: u64 = parts.iter().map(|part| part.size_bytes).sum();
        let found = self.container.find(&self.object).await;
        found.ok().flatten().is_some_and(|found| {
            let version = found.version.as_str().trim_matches('"');
            found.size_bytes == size_bytes && version == etag
        })
    }
}

/// What S3 calls an object of these parts: the MD5 of their MD5s, and their number. `None` where the parts are not
/// named by their MD5, as with keys of a key service.
fn etag_of(parts: &[UploadedPart]) -> Option<String> {
    let mut digests = Md5::new();
    for part in parts {
        let digest = part.id.trim_matches('"');
        if digest.len() != 32 || !digest.is_ascii() {
            return None;
        }
        for at in (0..32).step_by(2) {
            digests.update([u8::from_str_radix(&digest[at..at + 2], 16).ok()?]);
        }
    }
    let digest: String = digests
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(format!("{digest}-{}", parts.len()))
}

#[async_trait]
impl PartUpload for PartsOfUpload {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn upload_id(&self) -> Option<String> {
        self.upload_id.get().cloned()
    }

    async fn begin(&self) -> Result<()> {
        self.begun().await.map(|_| ())
    }

    async fn put(&self, number: usize, bytes: Bytes) -> Result<UploadedPart> {
        let upload_id = self.begun().await?;
        let size_bytes = bytes.len() as u64;
        let store = &self.container.store;
        let put = store.put_part(&self.path, upload_id, number, bytes.into());
        let part = put.await.map_err(|error| self.told("write", &error))?;
        Ok(UploadedPart {
            id: part.content_id,
            size_bytes,
        })
    }

    async fn complete(&self, parts: &[UploadedPart]) -> Result<()> {
        self.check_free().await?;
        let upload_id = self.begun().await?;
        match self.put_together(upload_id, parts).await {
            Ok(put) => {
                let size_bytes = parts.iter().map(|part| part.size_bytes).sum();
                self.check_is_ours(size_bytes, put.e_tag.as_deref()).await
            }
            Err(_) if self.is_completed(parts).await => Ok(()),
            Err(error) => match self.told("finish", &error) {
                // By the condition.
                told if told.kind() == ErrorKind::Changed => Err(self.already_exists()),
                told => Err(told),
            },
        }
    }

    fn takes_whole(&self) -> bool {
        self.upload_id.get().is_none()
    }

    async fn put_whole(&self, bytes: Bytes) -> Result<()> {
        let size_bytes = bytes.len() as u64;
        let options = PutOptions {
            mode: match self.overwrite {
                Overwrite::Refuse => PutMode::Create,
                Overwrite::Replace => PutMode::Overwrite,
            },
            ..PutOptions::default()
        };
        let store = &self.container.store;
        let put = store.put_opts(&self.path, bytes.into(), options).await;
        let put = put.map_err(|error| match error {
            object_store::Error::AlreadyExists { .. } => self.already_exists(),
            error => self.told("write", &error),
        })?;
        self.check_is_ours(size_bytes, put.e_tag.as_deref()).await
    }

    async fn discard(&self) {
        if let Err(error) = self.remove_parts().await {
            tracing::warn!(%error, "parts of an upload are left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_parts_is_named_as_s3_names_it() {
        let part = |id: &str| UploadedPart {
            id: id.to_owned(),
            size_bytes: 1,
        };
        // Of "a" and of "b", as moto and Amazon say.
        let parts = [
            part("\"0cc175b9c0f1b6a831c399e269772661\""),
            part("92eb5ffee6ae2fec3ad71c777531578f"),
        ];
        assert_eq!(
            etag_of(&parts).as_deref(),
            Some("96e024ba2074fe77e8e965ba43a704be-2")
        );
        assert_eq!(etag_of(&[part("not-an-md5")]), None);
    }
}
