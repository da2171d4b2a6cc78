//! Copies between storage accounts that the service makes by itself: Put Block From URL in ranges, and one
//! conditional commit. No byte of the object passes through this process.
//!
//! The ids of the blocks follow from the source's version, so that an interrupted copy goes on where it was.
//! Where the service does not reach the source, the caller carries the bytes. Once a part has arrived the service
//! can do it: what fails then is an error that keeps the parts, and not a reason to carry terabytes from here.
//!
//! *Copy Blob* is not tried in between. It makes the blob visible under its name, without its bytes, from the
//! request on until the service has got round to it, which may be hours; when it is aborted, or fails, an empty blob
//! with the name stays, and a process that is killed cannot even abort it. An object would then be seen that is not
//! whole, and it would stand in the way of the next run, which replaces nothing. A blob cannot be renamed either. Put
//! Block From URL needs the same right to the same source, so that little is lost.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use secrecy::{ExposeSecret, SecretString};

use super::AzureContainer;
use super::block_copy::{BlockCopy, without_query};
use super::upload::{self, BLOCKS_MAX, BlockUpload};
use crate::content::{Error, ErrorKind, Result, UploadedPart, Version};
use crate::oci::Digest;
use crate::storage::container::{CopySource, ServiceCopy, StorageContainer, WantedCopy};
use crate::storage::parts::PartUpload;

const RANGE_MIN_BYTES: u64 = 32 << 20;
const RANGES_AHEAD: usize = 4;

/// The blob's URL with a signature that may read it.
pub(super) async fn offer(
    container: &AzureContainer,
    object: &str,
    version: &Version,
) -> Result<Option<CopySource>> {
    let blob = format!("{}{object}", container.prefix);
    let Some(signature) = container.access.signature.to_read(&blob) else {
        return Ok(None);
    };
    let Some(found) = container.find(object).await? else {
        return Ok(None);
    };
    if found.version != *version {
        let message = format!("`{}` was replaced meanwhile", container.shown(object));
        return Err(Error::new(ErrorKind::Changed, message));
    }
    let mut url = container.blob(object).url().clone();
    url.set_query(Some(signature.expose_secret()));
    Ok(Some(CopySource::Azure {
        url: SecretString::from(url.to_string()),
        version: version.clone(),
        size_bytes: found.size_bytes,
    }))
}

/// Lets the service read the source in ranges, and commits them.
pub(super) async fn fetch(
    container: &AzureContainer,
    wanted: WantedCopy<'_>,
) -> Result<ServiceCopy> {
    let WantedCopy {
        object,
        source,
        overwrite,
        on_bytes,
    } = wanted;
    let CopySource::Azure {
        url,
        version,
        size_bytes,
    } = source
    else {
        return Ok(ServiceCopy::Apart);
    };
    let upload = container.upload(object, upload_id(url, version), overwrite);
    upload.check_free().await?;
    let arrived = AtomicU64::new(0);
    let ranges = Ranges {
        upload: &upload,
        copy: BlockCopy {
            blocks: container.copying_blocks(object, url)?,
            name: &upload.name,
            url,
            version,
        },
        arrived: &arrived,
        on_bytes,
    };
    match ranges.fetch(*size_bytes).await {
        Ok(parts) => upload.complete(&parts).await.map(|()| ServiceCopy::Done),
        Err(error) if error.kind() == ErrorKind::Changed => {
            upload.discard().await;
            Err(error)
        }
        Err(error) if arrived.into_inner() > 0 => Err(error),
        Err(error) => Ok(ServiceCopy::Refused(error)),
    }
}

/// One version of a blob on its way.
struct Ranges<'a> {
    upload: &'a BlockUpload,
    copy: BlockCopy<'a>,
    /// Bytes that this run has brought over.
    arrived: &'a AtomicU64,
    on_bytes: &'a (dyn Fn(u64) + Send + Sync),
}

impl Ranges<'_> {
    /// Stages every range that is not there yet, a few at once.
    async fn fetch(&self, size_bytes: u64) -> Result<Vec<UploadedPart>> {
        let staged = &self.upload.staged_sizes().await?;
        let range = RANGE_MIN_BYTES.max(size_bytes.div_ceil(u64::from(BLOCKS_MAX)));
        let ranges = stream::iter(0..size_bytes.div_ceil(range)).map(|number| {
            let start = number * range;
            let length = range.min(size_bytes - start);
            let position = usize::try_from(number).unwrap_or(usize::MAX);
            let id = upload::block_id(&self.upload.upload_id, position);
            async move {
                if staged.get(id.as_bytes()) != Some(&length) {
                    self.copy.stage(&id, start, length).await?;
                    self.arrived.fetch_add(length, Ordering::Relaxed);
                    (self.on_bytes)(length);
                }
                let size_bytes = length;
                Ok::<_, Error>(UploadedPart { id, size_bytes })
            }
        });
        ranges.buffered(RANGES_AHEAD).try_collect().await
    }
}

/// The same for every run that copies this version.
fn upload_id(url: &SecretString, version: &Version) -> String {
    let place = without_query(url);
    Digest::sha256(format!("{place} {version}").as_bytes()).hex()[..16].to_owned()
}
