//! Copies between storage accounts that the service makes by itself: Put Block From URL in ranges, and one
//! conditional commit. No byte of the object passes through this process.
//!
//! The ids of the blocks follow from the source's version, so that an interrupted copy goes on where it was.
//! Where the service does not reach the source, the caller carries the bytes.

use std::collections::HashSet;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use secrecy::{ExposeSecret, SecretString};

use super::AzureContainer;
use super::block_copy::{BlockCopy, without_query};
use super::upload::{self, BLOCKS_MAX, BlockUpload};
use crate::content::{Error, ErrorKind, Result, UploadedPart, Version};
use crate::oci::Digest;
use crate::storage::container::{CopySource, Overwrite, StorageContainer};
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

/// `false` where the service cannot read the source.
pub(super) async fn fetch(
    container: &AzureContainer,
    object: &str,
    source: &CopySource,
    overwrite: Overwrite,
) -> Result<bool> {
    let CopySource::Azure {
        url,
        version,
        size_bytes,
    } = source;
    let upload = container.upload(object, upload_id(url, version), overwrite);
    let copy = BlockCopy {
        blocks: container.copying_blocks(object, url)?,
        name: &upload.name,
        url,
        version,
    };
    let staged = staged_ids(&upload).await?;
    let range = RANGE_MIN_BYTES.max(size_bytes.div_ceil(u64::from(BLOCKS_MAX)));
    let (upload, copy) = (&upload, &copy);
    let parts = stream::iter(0..size_bytes.div_ceil(range))
        .map(|number| {
            let start = number * range;
            let length = range.min(size_bytes - start);
            let id = upload::block_id(
                &upload.upload_id,
                usize::try_from(number).unwrap_or(usize::MAX),
            );
            let is_there = staged.contains(&(id.clone().into_bytes(), length));
            async move {
                if !is_there {
                    copy.stage(&id, start, length).await?;
                }
                let size_bytes = length;
                Ok::<_, Error>(UploadedPart { id, size_bytes })
            }
        })
        .buffered(RANGES_AHEAD)
        .try_collect::<Vec<UploadedPart>>()
        .await;
    match parts {
        Ok(parts) => upload.complete(&parts).await.map(|()| true),
        Err(error) if error.kind() == ErrorKind::Changed => Err(error),
        Err(error) => {
            tracing::debug!(%error, "the service does not copy by itself");
            upload.discard().await;
            Ok(false)
        }
    }
}

/// The same for every run that copies this version.
fn upload_id(url: &SecretString, version: &Version) -> String {
    let place = without_query(url);
    Digest::sha256(format!("{place} {version}").as_bytes()).hex()[..16].to_owned()
}

/// Ids and sizes of what an interrupted copy has brought over.
async fn staged_ids(upload: &BlockUpload) -> Result<HashSet<(Vec<u8>, u64)>> {
    let list = match upload::staged(&upload.blocks, &upload.name).await {
        Ok(list) => list.unwrap_or_default(),
        // A signature that may only write cannot look; then all of it is copied.
        Err(error) if error.kind() == ErrorKind::Denied => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let blocks = list.uncommitted_blocks.unwrap_or_default().into_iter();
    let known = blocks.filter_map(|block| Some((block.name?, u64::try_from(block.size?).ok()?)));
    Ok(known.collect())
}
