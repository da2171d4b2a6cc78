//! A directory with the limits and the faults of a device: little room, small files, writes that fail.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use airlift::content::{Error, ErrorKind, ObjectWriter, RangedRead, Result, Uploaded, Version};
use airlift::storage::{
    Abandonment, BegunCopy, CreateOptions, DirectoryContainer, FoundObject, OpenUpload, Origin,
    Overwrite, StorageContainer,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

pub(super) struct Limited {
    inner: DirectoryContainer,
    pub(super) free_bytes: Option<u64>,
    pub(super) size_max_bytes: Option<u64>,
    /// Bytes that may still be written before writing fails.
    pub(super) budget: Arc<AtomicU64>,
}

impl Limited {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            inner: DirectoryContainer::open(path).expect("a directory"),
            free_bytes: None,
            size_max_bytes: None,
            budget: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }
}

#[async_trait]
impl StorageContainer for Limited {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn shown(&self, object: &str) -> String {
        self.inner.shown(object)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<FoundObject>> {
        self.inner.list(prefix)
    }

    async fn find(&self, object: &str) -> Result<Option<FoundObject>> {
        self.inner.find(object).await
    }

    async fn open(&self, object: &str) -> Result<Arc<dyn RangedRead>> {
        self.inner.open(object).await
    }

    async fn create(&self, object: &str, options: CreateOptions) -> Result<Box<dyn ObjectWriter>> {
        let inner = self.inner.create(object, options).await?;
        let budget = Arc::clone(&self.budget);
        Ok(Box::new(LimitedWriter { inner, budget }))
    }

    async fn create_equal(
        &self,
        object: &str,
        overwrite: Overwrite,
        origin: &Origin,
    ) -> Result<BegunCopy> {
        let begun = self.inner.create_equal(object, overwrite, origin).await?;
        let budget = Arc::clone(&self.budget);
        let inner = begun.writer;
        Ok(BegunCopy {
            writer: Box::new(LimitedWriter { inner, budget }),
            present_bytes: begun.present_bytes,
        })
    }

    async fn remove(&self, object: &str, version: Option<&Version>) -> Result<()> {
        self.inner.remove(object, version).await
    }

    async fn abandon(&self, object: &str, uploaded: &Uploaded) -> Result<Abandonment> {
        self.inner.abandon(object, uploaded).await
    }

    async fn list_uploads(&self) -> Result<Option<Vec<OpenUpload>>> {
        self.inner.list_uploads().await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(self.free_bytes)
    }

    async fn object_size_max_bytes(&self) -> Result<Option<u64>> {
        Ok(self.size_max_bytes)
    }
}

struct LimitedWriter {
    inner: Box<dyn ObjectWriter>,
    budget: Arc<AtomicU64>,
}

#[async_trait]
impl ObjectWriter for LimitedWriter {
    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        let left = self.budget.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(length as u64) else {
            return Err(Error::new(ErrorKind::NoSpace, "the device has failed"));
        };
        self.budget.store(left, Ordering::Relaxed);
        self.inner.write(pieces).await
    }

    async fn seal(&mut self) -> Result<()> {
        self.inner.seal().await
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.inner.finish().await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }

    async fn leave(self: Box<Self>) {
        self.inner.leave().await;
    }
}
