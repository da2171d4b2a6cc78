//! Listings of an Azure container, one page of at most 5,000 names at a time.

use azure_storage_blob::models::{
    BlobContainerClientListBlobsOptions, BlobItem, CopyStatus, ListBlobsIncludeItem,
};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::{AzureContainer, leftovers, upload, version};
use crate::content::{Error, Result};
use crate::storage::container::{FoundObject, OpenUpload, StorageContainer};
use crate::storage::failure;

/// The committed blobs below the container's prefix whose names begin with `prefix`.
pub(super) fn objects<'a>(
    container: &'a AzureContainer,
    prefix: &str,
) -> BoxStream<'a, Result<FoundObject>> {
    let include = vec![ListBlobsIncludeItem::Copy, ListBlobsIncludeItem::Metadata];
    blobs(container, prefix, include)
        .try_filter_map(|blob| std::future::ready(Ok(object(container, blob))))
        .boxed()
}

fn blobs<'a>(
    container: &'a AzureContainer,
    prefix: &str,
    include: Vec<ListBlobsIncludeItem>,
) -> BoxStream<'a, Result<BlobItem>> {
    let told = |error: azure_core::Error| {
        failure::from_azure(format!("cannot list `{}`", container.name), &error)
    };
    let options = BlobContainerClientListBlobsOptions {
        include: Some(include),
        prefix: Some(format!("{}{prefix}", container.prefix)),
        ..BlobContainerClientListBlobsOptions::default()
    };
    let pages = match container.client.list_blobs(Some(options)) {
        Ok(pager) => pager.into_pages(),
        Err(error) => return stream::iter([Err(told(error))]).boxed(),
    };
    pages
        .map(move |page| {
            let page = page.and_then(azure_core::http::Response::into_model);
            page.map_err(told)
        })
        .map_ok(|page| stream::iter(page.blob_items.into_iter().map(Ok::<_, Error>)))
        .try_flatten()
        .boxed()
}

/// What a blob is called in the container; `None` for what lies outside of it.
fn name_of(container: &AzureContainer, blob: &BlobItem) -> Option<String> {
    let name = blob.name.as_deref()?.strip_prefix(&container.prefix)?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn object(container: &AzureContainer, blob: BlobItem) -> Option<FoundObject> {
    let name = name_of(container, &blob)?;
    if leftovers::emptied_upload(&blob).is_some() {
        return None;
    }
    let properties = blob.properties?;
    let is_pending = properties.copy_status == Some(CopyStatus::Pending);
    let size_bytes = properties.content_length.unwrap_or(0);
    let modified = properties.last_modified;
    Some(FoundObject {
        name,
        size_bytes: if is_pending { 0 } else { size_bytes },
        version: version(properties.etag?.as_ref()),
        modified: modified.and_then(|at| Timestamp::from_second(at.unix_timestamp()).ok()),
    })
}

/// Names for which blocks were staged and nothing was committed, or nothing but an empty blob in their place. Blocks staged for a name that has a blob already
/// are in no listing; the service removes them after a week.
pub(super) async fn uploads(container: &AzureContainer) -> Result<Vec<OpenUpload>> {
    let mut found = Vec::new();
    let include = vec![
        ListBlobsIncludeItem::UncommittedBlobs,
        ListBlobsIncludeItem::Metadata,
    ];
    let mut blobs = blobs(container, "", include);
    while let Some(blob) = blobs.try_next().await? {
        let size_bytes = blob.properties.as_ref().and_then(|it| it.content_length);
        if size_bytes.unwrap_or(0) > 0 {
            continue;
        }
        if let Some(name) = name_of(container, &blob) {
            let modified = blob.properties.as_ref().and_then(|it| it.last_modified);
            let modified = modified.and_then(|at| Timestamp::from_second(at.unix_timestamp()).ok());
            match leftovers::emptied_upload(&blob) {
                Some(upload_id) => found.push(OpenUpload {
                    object: name,
                    upload_id: upload_id.to_owned(),
                    size_bytes: Some(0),
                    modified,
                    is_held: false,
                }),
                None => found.extend(inspect(container, name, modified).await?),
            }
        }
    }
    Ok(found)
}

async fn inspect(
    container: &AzureContainer,
    object: String,
    modified: Option<Timestamp>,
) -> Result<Option<OpenUpload>> {
    let blocks = container.blob(&object).block_blob_client();
    let Some(list) = upload::staged(&blocks, &container.shown(&object)).await? else {
        return Ok(None);
    };
    let is_open = list.committed_blocks.iter().flatten().next().is_none()
        && list.uncommitted_blocks.iter().flatten().next().is_some();
    Ok(is_open.then(|| OpenUpload {
        upload_id: leftovers::upload_of(&list).unwrap_or_default(),
        size_bytes: Some(leftovers::staged_bytes(&list)),
        modified,
        // Nobody holds an upload here: whether a run still works on it, its ledger knows.
        is_held: false,
        object,
    }))
}
