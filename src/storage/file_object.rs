//! A file of a directory, open to be read at any offset.
//!
//! It goes on with the file that was opened, whatever has its name by now.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::content::{Error, ErrorKind, RangedRead, Result, Version};

/// One version of a file, as long as it is open.
pub(super) struct FileObject {
    pub(super) file: Arc<File>,
    pub(super) size_bytes: u64,
    pub(super) version: Version,
    pub(super) name: String,
}

#[async_trait]
impl RangedRead for FileObject {
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
        let file = Arc::clone(&self.file);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, offset)
                .map(|()| Bytes::from(bytes))
        })
        .await;
        let failed = |cause: std::io::Error| {
            let message = format!("cannot read `{}`", self.name);
            if cause.kind() == std::io::ErrorKind::UnexpectedEof {
                return Error::new(ErrorKind::Changed, message).with_cause(cause);
            }
            Error::io(message, cause)
        };
        read.map_err(|cause| failed(std::io::Error::other(cause)))?
            .map_err(failed)
    }
}
