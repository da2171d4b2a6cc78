//! A file of a directory under construction: `<name>.partial`, under a lock, made durable, and then renamed.
//!
//! **Invariants.** Nothing has the object's name before it is durable. A partial file that a later run cannot go on
//! with is removed when the writer ends early, whatever ends it; one with a record stays.

use std::fs::File;

use async_trait::async_trait;
use bytes::Bytes;

use super::container::Overwrite;
use super::directory::DirectoryContainer;
use super::partial_record::PartialRecord;
use crate::content::{Error, FileSink, ObjectWriter, Result};

/// What becomes of the partial file when the writer is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Remove,
    Keep,
    /// It has the object's name.
    Published,
}

pub(super) struct FileWriter {
    sink: Option<FileSink>,
    record: Option<PartialRecord>,
    container: DirectoryContainer,
    partial: String,
    name: String,
    overwrite: Overwrite,
    fate: Fate,
    /// Keeps the lock until the object is published or removed.
    lock: File,
}

impl FileWriter {
    /// Writes on from where the partial `file` stands.
    pub(super) fn new(
        container: DirectoryContainer,
        name: &str,
        partial: String,
        overwrite: Overwrite,
        file: File,
    ) -> Result<Self> {
        let lock = file
            .try_clone()
            .map_err(|cause| Error::io(format!("cannot create `{partial}`"), cause))?;
        let shown = container.path_of(&partial).display().to_string();
        Ok(Self {
            sink: Some(FileSink::new(file, shown)),
            record: None,
            container,
            partial,
            name: name.to_owned(),
            overwrite,
            fate: Fate::Remove,
            lock,
        })
    }

    /// Notes what is written, so that a later run can go on with it.
    pub(super) fn recorded(mut self, record: PartialRecord) -> Self {
        self.record = Some(record);
        self.fate = Fate::Keep;
        self
    }
}

#[async_trait]
impl ObjectWriter for FileWriter {
    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        if let Some(record) = &self.record {
            record.note(pieces.clone()).await;
        }
        match &mut self.sink {
            Some(sink) => sink.write(pieces).await,
            None => Ok(()),
        }
    }

    async fn seal(&mut self) -> Result<()> {
        match self.sink.take() {
            Some(sink) => sink.finish().await.map(drop),
            None => Ok(()),
        }
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        self.seal().await?;
        self.container.check_is_ours(&self.lock, &self.partial)?;
        if let Some(record) = self.record.take() {
            // Before the name is given: a record without its partial file would stay for ever.
            record.finish().await;
            self.fate = Fate::Remove;
            self.container.forget_record(&self.name)?;
        }
        self.container
            .publish(&self.name, &self.partial, self.overwrite)?;
        self.fate = Fate::Published;
        Ok(())
    }

    async fn abort(mut self: Box<Self>) {
        self.fate = Fate::Remove;
    }

    async fn leave(mut self: Box<Self>) {
        if let Some(record) = self.record.take() {
            let sealed = self.seal().await;
            record.finish().await;
            if let Err(error) = sealed {
                tracing::debug!(%error, "what is proven of it is less");
            }
        }
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        let is_ours = || {
            self.container
                .check_is_ours(&self.lock, &self.partial)
                .is_ok()
        };
        if self.fate != Fate::Remove || !is_ours() {
            return;
        }
        if let Err(error) = self.container.remove_partial(&self.name, &self.partial) {
            tracing::warn!(%error, "a partial file is left behind");
        }
    }
}
