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
use crate::storage::failure;

/// Removes the blocks of this upload where it is safe.
pub(super) async fn remove(
    blob: &BlobClient,
    blocks: &BlockBlobClient,
    name: &str,
    upload_id: &str,
) -> Result<()> {
    let Some(list) = upload::staged(blocks, name).await? else {
        return Ok(());
    };
    if !list
        .committed_blocks
        .as_deref()
        .unwrap_or_default()
        .is_empty()
        || upload_of(&list).as_deref() != Some(upload_id)
    {
        return Ok(());
    }
    let told = |error: azure_core::Error| {
        failure::from_azure(format!("cannot remove the upload of `{name}`"), &error)
    };
    let etag = match commit_nothing(blocks).await.map_err(told) {
        Ok(Some(etag)) => etag,
        Ok(None) => return Ok(()),
        // Somebody was faster, and has the name now.
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Changed) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let options = BlobClientDeleteOptions {
        if_match: Some(etag),
        ..BlobClientDeleteOptions::default()
    };
    match blob.delete(Some(options)).await.map_err(told) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Changed) => Ok(()),
        Err(error) => Err(error),
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
