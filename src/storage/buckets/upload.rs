//! An object of a bucket under construction: a multipart upload, begun with its first part.
//!
//! An object smaller than a part is kept until it is finished, and sent in one request.

use async_trait::async_trait;
use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{PutMode, PutOptions};
use tokio::sync::OnceCell;

use super::BucketContainer;
use crate::content::{Error, ErrorKind, Result, UploadedPart};
use crate::storage::container::{Overwrite, StorageContainer};
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

    pub(super) async fn remove_parts(&self) -> Result<()> {
        let Some(upload_id) = self.upload_id.get() else {
            return Ok(());
        };
        let store = &self.container.store;
        let removed = store.abort_multipart(&self.path, upload_id).await;
        match removed.map_err(|error| self.told("remove the upload of", &error)) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
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
        let ids = parts.iter().map(|part| PartId {
            content_id: part.id.clone(),
        });
        let store = &self.container.store;
        let completed = store.complete_multipart(&self.path, upload_id, ids.collect());
        let put = completed
            .await
            .map_err(|error| self.told("finish", &error))?;
        let size_bytes = parts.iter().map(|part| part.size_bytes).sum();
        self.check_is_ours(size_bytes, put.e_tag.as_deref()).await
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
