//! A blob written as blocks: staged under ids of our own, and put together by one conditional commit.
//!
//! A block's id is `<upload id>-<number>`, always as long, so that a later run knows what is there. Blocks that are
//! never committed are invisible, and the service removes them after a week. A commit leaves the upload's id in
//! the blob's metadata: when its answer is lost and the repetition is refused, that shows that the blob is ours.
//!
//! The upload of a copy has an id that follows from the origin's version and from how it is cut, so that the next
//! run finds the blocks by their ids. A block is there whole or not at all, and only runs that read this version
//! name blocks so: id and size are enough.

use std::collections::HashMap;

use async_trait::async_trait;
use azure_core::http::{Etag, RequestContent, XmlFormat};
use azure_storage_blob::models::{
    BlobClientGetPropertiesResultHeaders, BlockBlobClientCommitBlockListOptions, BlockList,
    BlockListType, BlockLookupList,
};
use azure_storage_blob::{BlobClient, BlockBlobClient};
use bytes::Bytes;

use super::{already_exists, is_absent, leftovers};
use crate::content::{Error, ErrorKind, Result, Uploaded, UploadedPart};
use crate::oci::Digest;
use crate::storage::container::{Origin, Overwrite};
use crate::storage::failure;
use crate::storage::parts::PartUpload;

/// Of one blob.
pub(super) const BLOCKS_MAX: u32 = 50_000;
const METADATA: &str = "airliftupload";

pub(super) struct BlockUpload {
    pub(super) blob: BlobClient,
    pub(super) blocks: BlockBlobClient,
    pub(super) name: String,
    pub(super) upload_id: String,
    pub(super) overwrite: Overwrite,
}

/// An id that no other upload has.
pub(super) fn new_upload_id() -> Result<String> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Failed, "the system gives no random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether it may be such an id: other programs name their blocks otherwise.
pub(super) fn is_upload_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The id that every run has which copies this version in parts of this size.
pub(super) fn upload_id_of(origin: &Origin, part_size_bytes: u64) -> String {
    let named = format!("{} {part_size_bytes}", origin.digest());
    Digest::sha256(named.as_bytes()).hex()[..16].to_owned()
}

pub(super) fn block_id(upload_id: &str, number: usize) -> String {
    format!("{upload_id}-{number:05}")
}

/// The blocks of a blob that were staged and not committed; `None` where there is no such blob.
pub(super) async fn staged(blocks: &BlockBlobClient, name: &str) -> Result<Option<BlockList>> {
    let answer = blocks.get_block_list(BlockListType::All, None).await;
    let told = |error: azure_core::Error| {
        failure::from_azure(format!("cannot list the blocks of `{name}`"), &error)
    };
    match answer {
        Ok(answer) => answer.into_model().map(Some).map_err(told),
        Err(error) => match told(error) {
            error if error.is_not_found() => Ok(None),
            error => Err(error),
        },
    }
}

/// Of the uncommitted blocks, by their ids.
fn sizes_of(list: BlockList) -> HashMap<Vec<u8>, u64> {
    let blocks = list.uncommitted_blocks.unwrap_or_default().into_iter();
    let sizes = blocks.filter_map(|block| Some((block.name?, u64::try_from(block.size?).ok()?)));
    sizes.collect()
}

impl BlockUpload {
    /// The object may be made; the commit has the last word, and this spares an upload that it would refuse.
    pub(super) async fn check_free(&self) -> Result<()> {
        if self.overwrite == Overwrite::Replace {
            return Ok(());
        }
        let error = match self.blob.get_properties(None).await {
            Ok(found) if leftovers::is_emptied(&found) => {
                return leftovers::clear(&self.blob, &found, &self.name).await;
            }
            Ok(_) => return Err(already_exists(&self.name)),
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => failure::from_azure(format!("cannot inspect `{}`", self.name), &error),
        };
        match error.kind() {
            ErrorKind::Denied => Ok(()),
            _ => Err(error),
        }
    }

    /// Sizes of the uncommitted blocks, by their ids; none where the signature may only write.
    pub(super) async fn staged_sizes(&self) -> Result<HashMap<Vec<u8>, u64>> {
        let list = match staged(&self.blocks, &self.name).await {
            Ok(list) => list.unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Denied => return Ok(HashMap::new()),
            Err(error) => return Err(error),
        };
        Ok(sizes_of(list))
    }

    /// The parts that an interrupted run of this upload has staged, from the first byte on and without a gap.
    pub(super) async fn staged_parts(
        &self,
        part_size_bytes: u64,
        object_size_bytes: u64,
    ) -> Result<Vec<UploadedPart>> {
        let sizes = self.staged_sizes().await?;
        let mut parts = Vec::new();
        let mut left = object_size_bytes;
        while left > 0 {
            let id = block_id(&self.upload_id, parts.len());
            let size_bytes = part_size_bytes.min(left);
            if sizes.get(id.as_bytes()) != Some(&size_bytes) {
                break;
            }
            left -= size_bytes;
            parts.push(UploadedPart { id, size_bytes });
        }
        Ok(parts)
    }

    /// What the service still has of a former run, from the first block on, with the size that was recorded; `None`
    /// where it has nothing of it. A signature that may only write cannot look; the commit will tell.
    pub(super) async fn find_uploaded(&self, uploaded: Uploaded) -> Result<Option<Uploaded>> {
        let list = match staged(&self.blocks, &self.name).await {
            Ok(list) => list.unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Denied => return Ok(Some(uploaded)),
            Err(error) => return Err(error),
        };
        let sizes = sizes_of(list);
        let is_there =
            |part: &UploadedPart| sizes.get(part.id.as_bytes()) == Some(&part.size_bytes);
        let had_parts = !uploaded.parts.is_empty();
        let parts: Vec<UploadedPart> = uploaded.parts.into_iter().take_while(is_there).collect();
        let is_lost = had_parts && parts.is_empty();
        Ok((!is_lost).then_some(Uploaded {
            upload_id: uploaded.upload_id,
            parts,
        }))
    }

    /// Whether the service still has all that a former run has staged.
    pub(super) async fn check_resumed(&self, uploaded: &Uploaded) -> Result<()> {
        if self.find_uploaded(uploaded.clone()).await?.as_ref() == Some(uploaded) {
            return Ok(());
        }
        let message = format!("the interrupted upload of `{}` is gone", self.name);
        Err(Error::not_found(message))
    }

    /// Whether the blob that is there came from this upload.
    async fn is_committed(&self) -> bool {
        let Ok(found) = self.blob.get_properties(None).await else {
            return false;
        };
        let metadata = found.metadata().unwrap_or_default();
        metadata.get(METADATA) == Some(&self.upload_id)
    }

    async fn commit(&self, list: BlockLookupList) -> azure_core::Result<()> {
        let content: RequestContent<BlockLookupList, XmlFormat> = list.try_into()?;
        let options = BlockBlobClientCommitBlockListOptions {
            if_none_match: match self.overwrite {
                Overwrite::Refuse => Some(Etag::from("*")),
                Overwrite::Replace => None,
            },
            blob_content_type: Some("application/octet-stream".to_owned()),
            metadata: Some(HashMap::from([(
                METADATA.to_owned(),
                self.upload_id.clone(),
            )])),
            ..BlockBlobClientCommitBlockListOptions::default()
        };
        self.blocks
            .commit_block_list(content, Some(options))
            .await?;
        Ok(())
    }
}

#[async_trait]
impl PartUpload for BlockUpload {
    fn shown(&self) -> &str {
        &self.name
    }

    fn upload_id(&self) -> Option<String> {
        Some(self.upload_id.clone())
    }

    async fn put(&self, number: usize, bytes: Bytes) -> Result<UploadedPart> {
        let id = block_id(&self.upload_id, number);
        let size_bytes = bytes.len() as u64;
        let staged = self
            .blocks
            .stage_block(id.as_bytes(), size_bytes, bytes.into(), None)
            .await;
        staged.map_err(|error| {
            let message = format!("cannot write block {number} of `{}`", self.name);
            failure::from_azure(message, &error)
        })?;
        Ok(UploadedPart { id, size_bytes })
    }

    async fn complete(&self, parts: &[UploadedPart]) -> Result<()> {
        let latest = parts.iter().map(|part| part.id.clone().into_bytes());
        let list = BlockLookupList {
            latest: Some(latest.collect()),
            ..BlockLookupList::default()
        };
        let Err(error) = self.commit(list).await else {
            return Ok(());
        };
        let told = failure::from_azure(format!("cannot finish `{}`", self.name), &error);
        let is_taken = matches!(told.kind(), ErrorKind::AlreadyExists | ErrorKind::Changed);
        if !is_taken || self.overwrite == Overwrite::Replace {
            return Err(told);
        }
        if self.is_committed().await {
            return Ok(());
        }
        Err(already_exists(&self.name))
    }

    fn is_found_again(&self) -> bool {
        true
    }

    async fn discard(&self) {
        let removed =
            leftovers::remove(&self.blob, &self.blocks, &self.name, &self.upload_id).await;
        if let Err(error) = removed {
            tracing::debug!(%error, "blocks are left for the service to remove");
        }
    }
}
