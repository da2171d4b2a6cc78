//! A container of Azure Blob Storage, or a part of one, as a storage container.
//!
//! Reading, listing and the blocks of an upload go through Microsoft's SDK; the wire below it is ours, because the
//! SDK knows no account keys and shows what its URLs hold. A version is an `ETag`, which every ranged read and
//! every removal names. A blob whose copy is still pending has no bytes yet: it is listed with the size 0, and
//! opening it says `Incomplete`.

mod access;
mod block_copy;
mod copy;
mod identity;
mod leftovers;
mod listing;
mod object;
mod queue;
mod sign;
mod upload;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::Etag;
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientGetPropertiesResultHeaders, CopyStatus, StorageErrorCode,
};
use azure_storage_blob::{BlobClient, BlobContainerClient, BlockBlobClient};
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use secrecy::SecretString;

use self::access::Access;
use self::object::AzureObject;
pub use self::queue::{
    AzureQueue, InvalidQueue, MESSAGES_MAX, Notice, QueueMessage, QueueReference,
    VISIBILITY_TIMEOUT,
};
use self::upload::BlockUpload;
use super::container::{
    Abandonment, BegunCopy, CopySource, CreateOptions, FoundObject, OpenUpload, Origin, Overwrite,
    ServiceCopy, StorageContainer, WantedCopy,
};
use super::credential::Credential;
use super::failure;
use super::parts::{PartPlan, PartWriter};
use super::reference::{AzureReference, ContainerReference};
use crate::content::{Error, ErrorKind, ObjectWriter, RangedRead, Result, Uploaded, Version};

/// A container of a storage account.
pub(super) struct AzureContainer {
    access: Access,
    client: BlobContainerClient,
    name: String,
    /// With a `/` at its end, unless it is empty.
    prefix: String,
}

impl AzureContainer {
    /// Sends nothing yet.
    pub(super) fn open(reference: &AzureReference, credential: Credential) -> Result<Self> {
        let name = ContainerReference::Azure(reference.clone()).to_string();
        let access = Access::choose(reference, credential)?;
        let client = access
            .connect()
            .map_err(|error| failure::from_azure(format!("cannot open `{name}`"), &error))?;
        let prefix = match reference.prefix.as_str() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self {
            access,
            client,
            name,
            prefix,
        })
    }

    fn blob(&self, object: &str) -> BlobClient {
        self.client.blob_client(&format!("{}{object}", self.prefix))
    }

    /// The blob as a target whose blocks the service can copy from `source`. Nothing is tried twice.
    fn copying_blocks(&self, object: &str, source: &SecretString) -> Result<BlockBlobClient> {
        let client = self
            .access
            .connect_copying(source)
            .map_err(|error| failure::from_azure(format!("cannot open `{}`", self.name), &error))?;
        let blob = client.blob_client(&format!("{}{object}", self.prefix));
        Ok(blob.block_blob_client())
    }

    fn upload(&self, object: &str, upload_id: String, overwrite: Overwrite) -> BlockUpload {
        let blob = self.blob(object);
        BlockUpload {
            blocks: blob.block_blob_client(),
            blob,
            name: self.shown(object),
            upload_id,
            overwrite,
        }
    }

    /// The object, and whether its copy is still pending; `None` where the container has no such object.
    async fn inspect(&self, object: &str) -> Result<Option<(FoundObject, bool)>> {
        let shown = self.shown(object);
        let told = |error: azure_core::Error| {
            failure::from_azure(format!("cannot inspect `{shown}`"), &error)
        };
        let found = match self.blob(object).get_properties(None).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(told(error)),
        };
        if leftovers::is_emptied(&found) {
            return Ok(None);
        }
        let is_pending = found.copy_status().map_err(told)? == Some(CopyStatus::Pending);
        let etag = found.etag().map_err(told)?;
        let etag =
            etag.ok_or_else(|| Error::new(ErrorKind::Failed, format!("`{shown}` has no version")))?;
        let size_bytes = found.content_length().map_err(told)?.unwrap_or(0);
        let modified = found.last_modified().map_err(told)?;
        let info = FoundObject {
            name: object.to_owned(),
            size_bytes: if is_pending { 0 } else { size_bytes },
            version: version(etag.as_ref()),
            modified: modified.and_then(|at| Timestamp::from_second(at.unix_timestamp()).ok()),
        };
        Ok(Some((info, is_pending)))
    }
}

/// A version is the `ETag` as a header has it; listings leave out its quotes.
fn version(etag: &str) -> Version {
    if etag.ends_with('"') {
        Version::new(etag)
    } else {
        Version::new(format!("\"{etag}\""))
    }
}

/// The answer that the container is there and the object is not.
fn is_absent(error: &azure_core::Error) -> bool {
    let azure_core::error::ErrorKind::HttpResponse {
        status, error_code, ..
    } = error.kind()
    else {
        return false;
    };
    let is_container = error_code.as_deref() == Some(StorageErrorCode::ContainerNotFound.as_ref());
    u16::from(*status) == 404 && !is_container
}

#[async_trait]
impl StorageContainer for AzureContainer {
    fn name(&self) -> &str {
        &self.name
    }

    fn shown(&self, object: &str) -> String {
        format!("{}/{object}", self.name)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<FoundObject>> {
        listing::objects(self, prefix)
    }

    async fn find(&self, object: &str) -> Result<Option<FoundObject>> {
        Ok(self.inspect(object).await?.map(|(info, _)| info))
    }

    async fn open(&self, object: &str) -> Result<Arc<dyn RangedRead>> {
        let name = self.shown(object);
        match self.inspect(object).await? {
            None => Err(Error::not_found(format!("`{name}` does not exist"))),
            Some((_, true)) => {
                let message = format!("`{name}` is still being copied");
                Err(Error::new(ErrorKind::Incomplete, message))
            }
            Some((info, false)) => Ok(Arc::new(AzureObject {
                client: self.blob(object),
                name,
                size_bytes: info.size_bytes,
                version: info.version,
            })),
        }
    }

    async fn create(&self, object: &str, options: CreateOptions) -> Result<Box<dyn ObjectWriter>> {
        let upload_id = match &options.resume {
            Some(resume) => resume.uploaded.upload_id.clone(),
            None => upload::new_upload_id()?,
        };
        let upload = self.upload(object, upload_id, options.overwrite);
        upload.check_free().await?;
        if let Some(resume) = &options.resume {
            upload.check_resumed(&resume.uploaded).await?;
        }
        let plan = PartPlan::choose(options.expected_bytes, upload::BLOCKS_MAX);
        let writer = PartWriter::new(Arc::new(upload), plan, options)?;
        Ok(Box::new(writer))
    }

    async fn remove(&self, object: &str, version: Option<&Version>) -> Result<()> {
        let options = BlobClientDeleteOptions {
            if_match: version.map(|version| Etag::from(version.as_str())),
            ..BlobClientDeleteOptions::default()
        };
        match self.blob(object).delete(Some(options)).await {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => {
                let message = format!("cannot remove `{}`", self.shown(object));
                Err(failure::from_azure(message, &error))
            }
        }
    }

    async fn abandon(&self, object: &str, uploaded: &Uploaded) -> Result<Abandonment> {
        let upload = self.upload(object, uploaded.upload_id.clone(), Overwrite::Refuse);
        leftovers::remove(
            &upload.blob,
            &upload.blocks,
            &upload.name,
            &upload.upload_id,
        )
        .await
    }

    async fn find_uploaded(&self, object: &str, uploaded: Uploaded) -> Result<Option<Uploaded>> {
        let upload = self.upload(object, uploaded.upload_id.clone(), Overwrite::Refuse);
        upload.find_uploaded(uploaded).await
    }

    async fn list_uploads(&self) -> Result<Option<Vec<OpenUpload>>> {
        listing::uploads(self).await.map(Some)
    }

    async fn offer(&self, object: &str, version: &Version) -> Result<Option<CopySource>> {
        copy::offer(self, object, version).await
    }

    async fn copy_from(&self, copy: WantedCopy<'_>) -> Result<ServiceCopy> {
        copy::fetch(self, copy).await
    }

    async fn create_equal(
        &self,
        object: &str,
        overwrite: Overwrite,
        origin: &Origin,
    ) -> Result<BegunCopy> {
        let plan = PartPlan::choose(origin.size_bytes, upload::BLOCKS_MAX);
        let part_size = plan.part_size_bytes();
        let upload_id = upload::upload_id_of(origin, part_size);
        let upload = self.upload(object, upload_id, overwrite);
        upload.check_free().await?;
        let parts = upload.staged_parts(part_size, origin.size_bytes).await?;
        let present_bytes = parts.iter().map(|part| part.size_bytes).sum();
        Ok(BegunCopy {
            writer: Box::new(PartWriter::behind(Arc::new(upload), plan, parts)),
            present_bytes,
        })
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

fn already_exists(name: &str) -> Error {
    let message = format!("`{name}` exists already, and is not replaced");
    Error::new(ErrorKind::AlreadyExists, message)
}
