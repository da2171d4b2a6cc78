//! One range of a blob, copied by the service to a block of another: Put Block From URL.
//!
//! **Invariant.** The SDK is told the source without its signature, and the wire puts that in.

use std::time::Duration;

use azure_core::http::{Etag, StatusCode};
use azure_storage_blob::BlockBlobClient;
use azure_storage_blob::models::{BlockBlobClientStageBlockFromUrlOptions, HttpRange};
use secrecy::{ExposeSecret, SecretString};

use crate::content::{ErrorKind, Result, Version};
use crate::storage::failure;

/// For a range that a busy service puts off.
const ATTEMPTS_MAX: u32 = 7;
const PAUSE_MIN: Duration = Duration::from_millis(400);

/// One blob whose blocks the service copies from another.
pub(super) struct BlockCopy<'a> {
    pub(super) blocks: BlockBlobClient,
    pub(super) name: &'a str,
    pub(super) url: &'a SecretString,
    pub(super) version: &'a Version,
}

impl BlockCopy<'_> {
    /// Copies a range to a block. What is busy is asked again; what fails in itself once more only, because the
    /// bytes can be carried then.
    pub(super) async fn stage(&self, id: &str, start: u64, length: u64) -> Result<()> {
        let (mut attempt, mut pause) = (1, PAUSE_MIN);
        loop {
            let Err(error) = self.stage_once(id, start, length).await else {
                return Ok(());
            };
            let attempts_max = match is_failure_in_itself(&error) {
                true => 2,
                false => ATTEMPTS_MAX,
            };
            let message = format!("cannot let the service copy to `{}`", self.name);
            let error = failure::from_azure(message, &error);
            let ErrorKind::Temporary { retry_after } = error.kind() else {
                return Err(error);
            };
            if attempt >= attempts_max {
                return Err(error);
            }
            tokio::time::sleep(pause.max(retry_after.unwrap_or_default())).await;
            attempt += 1;
            pause *= 2;
        }
    }

    async fn stage_once(&self, id: &str, start: u64, length: u64) -> azure_core::Result<()> {
        let options = BlockBlobClientStageBlockFromUrlOptions {
            source_if_match: Some(Etag::from(self.version.as_str())),
            source_range: Some(HttpRange::new(start, length)),
            ..BlockBlobClientStageBlockFromUrlOptions::default()
        };
        // The wire knows the rest of it.
        let url = without_query(self.url).to_owned();
        // The request itself has no body.
        let staged = self
            .blocks
            .stage_block_from_url(id.as_bytes(), 0, url, Some(options));
        staged.await.map(drop)
    }
}

fn is_failure_in_itself(error: &azure_core::Error) -> bool {
    error.http_status() == Some(StatusCode::InternalServerError)
}

pub(super) fn without_query(url: &SecretString) -> &str {
    url.expose_secret().split('?').next().unwrap_or_default()
}
