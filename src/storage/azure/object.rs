//! One version of one blob, read in ranges.

use std::num::NonZero;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::Etag;
use azure_storage_blob::BlobClient;
use azure_storage_blob::models::{BlobClientDownloadOptions, HttpRange};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::content::{Error, ErrorKind, RangedRead, Result, Version};
use crate::storage::failure;

/// The SDK repeats a request that fails; an answer that breaks off is ours to repeat.
const READ_ATTEMPTS: u32 = 4;
const READ_PAUSE: Duration = Duration::from_millis(250);

pub(super) struct AzureObject {
    pub(super) client: BlobClient,
    pub(super) name: String,
    pub(super) size_bytes: u64,
    pub(super) version: Version,
}

impl AzureObject {
    async fn read_once(&self, offset: u64, length: NonZero<usize>) -> Result<Bytes, Broken> {
        let told = |error: &azure_core::Error| {
            let message = format!("cannot read `{}`", self.name);
            failure::from_azure(message, error)
        };
        let options = BlobClientDownloadOptions {
            if_match: Some(Etag::from(self.version.as_str())),
            range: Some(HttpRange::new(offset, length.get() as u64)),
            parallel: Some(NonZero::<usize>::MIN),
            partition_size: Some(length),
            ..BlobClientDownloadOptions::default()
        };
        let answer = self.client.download(Some(options)).await;
        let mut body = answer.map_err(|error| Broken::Refused(told(&error)))?.body;
        let mut bytes = BytesMut::with_capacity(length.get());
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| Broken::Off(told(&error)))?;
            if piece.len() > length.get() - bytes.len() {
                let message = format!("`{}` sends more than was asked for", self.name);
                return Err(Broken::Refused(Error::new(ErrorKind::Failed, message)));
            }
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() < length.get() {
            return Err(Broken::Off(self.ends_before()));
        }
        Ok(bytes.freeze())
    }
}

/// How a read failed.
enum Broken {
    Refused(Error),
    /// In the middle of the answer.
    Off(Error),
}

#[async_trait]
impl RangedRead for AzureObject {
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
        self.check_range(offset, length)?;
        let Some(length) = NonZero::new(length) else {
            return Ok(Bytes::new());
        };
        let mut attempt = 1;
        loop {
            match self.read_once(offset, length).await {
                Ok(bytes) => return Ok(bytes),
                Err(Broken::Off(_)) if attempt < READ_ATTEMPTS => {
                    tokio::time::sleep(READ_PAUSE * attempt).await;
                    attempt += 1;
                }
                Err(Broken::Off(error) | Broken::Refused(error)) => return Err(error),
            }
        }
    }
}
