//! What interrupted uploads leave in Azure: blocks that nobody has committed.
//!
//! Such blocks cost storage for a week and are then removed by the service. They cannot be removed one by one.
//! Where they are all that there is of a name, an empty blob is committed in their place, under the condition that
//! nothing has the name, and removed at once, under the condition that it is still this one. Where a blob has the
//! name already, or where blocks of another upload are among them, they are left to the service: a committed blob
//! and another run's work are never touched.
//!
//! A process that is ended between the two leaves the empty blob. It says by its metadata what it is: it is no object,
//! but listed as the upload that it stands for, and goes when that is removed or when its name is wanted.

use std::collections::HashMap;

use azure_core::http::{Etag, RequestContent, XmlFormat};
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientGetPropertiesResultHeaders, BlobItem,
    BlockBlobClientCommitBlockListOptions, BlockBlobClientCommitBlockListResultHeaders, BlockList,
    BlockLookupList,
};
use azure_storage_blob::{BlobClient, BlockBlobClient};

use super::{is_absent, upload};
use crate::content::{Error, ErrorKind, Result};
use crate::storage::container::Abandonment;
use crate::storage::failure;

/// No blob has it.
const NO_VERSION: &str = "\"0x0\"";
/// Of an empty blob in the place of blocks: the upload that they belonged to.
const METADATA: &str = "airliftabandoned";

/// Removes the blocks of this upload where it is safe.
pub(super) async fn remove(
    blob: &BlobClient,
    blocks: &BlockBlobClient,
    name: &str,
    upload_id: &str,
) -> Result<Abandonment> {
    let Some(list) = upload::staged(blocks, name).await? else {
        return Ok(Abandonment::Gone);
    };
    if list.uncommitted_blocks.iter().flatten().next().is_none() {
        return remove_emptied(blob, name).await;
    }
    let is_taken = list.committed_blocks.iter().flatten().next().is_some();
    if is_taken || upload_of(&list).as_deref() != Some(upload_id) {
        return Ok(Abandonment::Left);
    }
    let told = |error| told(name, &error);
    // Who may not remove is told before there is an empty blob that would stay.
    delete_version(blob, Etag::from(NO_VERSION))
        .await
        .map_err(told)?;
    let etag = match commit_nothing(blocks, upload_id).await.map_err(told) {
        Ok(Some(etag)) => etag,
        Ok(None) => return Ok(Abandonment::Left),
        // Somebody was faster, and has the name now.
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Changed) => {
            return Ok(Abandonment::Left);
        }
        Err(error) => return Err(error),
    };
    delete_version(blob, etag).await.map_err(told)?;
    Ok(Abandonment::Removed)
}

fn told(name: &str, error: &azure_core::Error) -> Error {
    failure::from_azure(format!("cannot remove the upload of `{name}`"), error)
}

/// Whether the blob is an empty one in the place of blocks.
pub(super) fn is_emptied(found: &impl BlobClientGetPropertiesResultHeaders) -> bool {
    matches!(found.content_length(), Ok(Some(0)))
        && found
            .metadata()
            .is_ok_and(|metadata| metadata.contains_key(METADATA))
}

/// The upload that such a blob stands for.
pub(super) fn emptied_upload(blob: &BlobItem) -> Option<&str> {
    let size_bytes = blob.properties.as_ref()?.content_length;
    let metadata = blob.metadata.as_ref()?.values.as_ref()?;
    let upload = metadata.get(METADATA)?;
    (size_bytes.unwrap_or(0) == 0).then_some(upload)
}

async fn remove_emptied(blob: &BlobClient, name: &str) -> Result<Abandonment> {
    match blob.get_properties(None).await {
        Ok(found) if is_emptied(&found) => {
            clear(blob, &found, name).await?;
            Ok(Abandonment::Removed)
        }
        Ok(_) => Ok(Abandonment::Gone),
        Err(error) if is_absent(&error) => Ok(Abandonment::Gone),
        Err(error) => Err(told(name, &error)),
    }
}

/// Removes such a blob, as it was found.
pub(super) async fn clear(
    blob: &BlobClient,
    found: &impl BlobClientGetPropertiesResultHeaders,
    name: &str,
) -> Result<()> {
    let told = |error| told(name, &error);
    match found.etag().map_err(told)? {
        Some(version) => delete_version(blob, version).await.map_err(told),
        None => Ok(()),
    }
}

/// Only this version; where the name has another one, or nothing, it stays so.
async fn delete_version(blob: &BlobClient, version: Etag) -> azure_core::Result<()> {
    let options = BlobClientDeleteOptions {
        if_match: Some(version),
        ..BlobClientDeleteOptions::default()
    };
    match blob.delete(Some(options)).await {
        Err(error) if !matches!(error.http_status().map(u16::from), Some(404 | 412)) => Err(error),
        _ => Ok(()),
    }
}

async fn commit_nothing(
    blocks: &BlockBlobClient,
    upload_id: &str,
) -> azure_core::Result<Option<Etag>> {
    let nothing: RequestContent<BlockLookupList, XmlFormat> =
        BlockLookupList::default().try_into()?;
    let options = BlockBlobClientCommitBlockListOptions {
        if_none_match: Some(Etag::from("*")),
        metadata: Some(HashMap::from([(METADATA.to_owned(), upload_id.to_owned())])),
        ..BlockBlobClientCommitBlockListOptions::default()
    };
    let committed = blocks.commit_block_list(nothing, Some(options)).await?;
    committed.etag()
}

/// The upload of ours that all uncommitted blocks belong to, if they belong to one.
pub(super) fn upload_of(list: &BlockList) -> Option<String> {
    let names = list.uncommitted_blocks.iter().flatten();
    let mut uploads = names.map(|block| {
        let id = std::str::from_utf8(block.name.as_deref()?).ok()?;
        let (upload, _) = id.split_once('-')?;
        upload::is_upload_id(upload).then(|| upload.to_owned())
    });
    let first = uploads.next()??;
    uploads
        .all(|upload| upload.as_deref() == Some(&first))
        .then_some(first)
}

pub(super) fn staged_bytes(list: &BlockList) -> u64 {
    let sizes = list.uncommitted_blocks.iter().flatten();
    sizes
        .filter_map(|block| u64::try_from(block.size?).ok())
        .sum()
}
