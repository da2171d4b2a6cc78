//! What interrupted uploads leave in Azure: blocks that nobody has committed.
//!
//! Such blocks cost storage for a week and are then removed by the service. They cannot be removed one by one.
//! Where they are all that there is of a name, an empty blob is committed in their place, under the condition that
//! nothing has the name, and removed at once, under the condition that it is still this one. Where a blob has the
//! name already, or where blocks of another upload are among them, they are left to the service: a committed blob
//! and another run's work are never touched.

use azure_core::http::{Etag, RequestContent, XmlFormat};
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlockBlobClientCommitBlockListOptions,
    BlockBlobClientCommitBlockListResultHeaders, BlockList, BlockLookupList,
};
use azure_storage_blob::{BlobClient, BlockBlobClient};

use super::upload;
use crate::content::{ErrorKind, Result};
use crate::storage::container::Abandonment;
use crate::storage::failure;

/// No blob has it.
const NO_VERSION: &str = "\"0x0\"";

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
        return Ok(Abandonment::Gone);
    }
    let is_taken = list.committed_blocks.iter().flatten().next().is_some();
    if is_taken || upload_of(&list).as_deref() != Some(upload_id) {
        return Ok(Abandonment::Left);
    }
    let told = |error: azure_core::Error| {
        failure::from_azure(format!("cannot remove the upload of `{name}`"), &error)
    };
    // Who may not remove is told before there is an empty blob that would stay.
    delete_version(blob, Etag::from(NO_VERSION))
        .await
        .map_err(told)?;
    let etag = match commit_nothing(blocks).await.map_err(told) {
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

async fn commit_nothing(blocks: &BlockBlobClient) -> azure_core::Result<Option<Etag>> {
    let nothing: RequestContent<BlockLookupList, XmlFormat> =
        BlockLookupList::default().try_into()?;
    let options = BlockBlobClientCommitBlockListOptions {
        if_none_match: Some(Etag::from("*")),
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
