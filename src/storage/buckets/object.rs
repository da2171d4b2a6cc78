//! One version of one object of a bucket, read in ranges.
//!
//! `object_store` repeats a request that fails, and goes on with an answer that breaks off.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange};

use super::Bucket;
use crate::content::{RangedRead, Result, Version};
use crate::storage::failure;

pub(super) struct BucketObject {
    pub(super) store: Arc<dyn Bucket>,
    pub(super) path: Path,
    pub(super) name: String,
    pub(super) size_bytes: u64,
    pub(super) version: Version,
}

#[async_trait]
impl RangedRead for BucketObject {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn version(&self) -> &Version {
        &self.version
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        let end = self.check_range(offset, length)?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        let told =
            |error| failure::from_object_store(format!("cannot read `{}`", self.name), &error);
        let options = GetOptions {
            range: Some(GetRange::Bounded(offset..end)),
            if_match: Some(self.version.as_str().to_owned()).filter(|etag| !etag.is_empty()),
            ..GetOptions::default()
        };
        let answer = self.store.get_opts(&self.path, options).await;
        let bytes = answer.map_err(told)?.bytes().await.map_err(told)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(self.ends_before())
        }
    }
}
