//! Objects of a storage container as the bundle sees them: ranged reads, and one write from start to end.
//!
//! The contract stands here, so that `bundle` needs no `storage` and `storage` knows no bundle.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use serde::{Deserialize, Serialize};

use super::{Error, ErrorKind, Result};

/// What distinguishes a version of an object from every other: an `ETag`, a generation, or device, inode, size and
/// times of a file. Compared, and never looked into.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(Box<str>);

impl Version {
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a service has taken in of an object under construction, for a later run to go on from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    pub upload_id: String,
    /// In order, from the first byte of the object on, without a gap.
    pub parts: Vec<UploadedPart>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedPart {
    /// A block id or an `ETag`, as the service wants it named when the object is put together.
    pub id: String,
    pub size_bytes: u64,
}

impl Uploaded {
    pub fn size_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.size_bytes).sum()
    }
}

/// One version of one object, readable at any offset.
///
/// **Contract.** All reads are of the same version; when the object was replaced meanwhile, a read fails
/// with `Changed` and never mixes the two.
#[async_trait]
pub trait RangedRead: Send + Sync {
    /// What people call the object; without credentials.
    fn name(&self) -> &str;

    fn size_bytes(&self) -> u64;

    fn version(&self) -> &Version;

    /// Exactly `length` bytes from `offset`; `Incomplete` where the object ends before.
    async fn read(&self, offset: u64, length: usize) -> Result<Bytes>;

    /// Where `length` bytes from `offset` end, if they lie within the object.
    fn check_range(&self, offset: u64, length: usize) -> Result<u64> {
        let end = offset.checked_add(length as u64);
        end.filter(|end| *end <= self.size_bytes())
            .ok_or_else(|| self.ends_before())
    }

    fn ends_before(&self) -> Error {
        let name = self.name();
        let message = format!("`{name}` ends before the bytes that were asked for");
        Error::new(ErrorKind::Incomplete, message)
    }
}

/// A new object being written. Nobody sees it under its name before `finish` has returned.
#[async_trait]
pub trait ObjectWriter: Send {
    /// Makes sure that `uploaded` tells of the upload from now on, where it ever does.
    async fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    /// The next bytes, as the pieces that they happen to lie in.
    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<()>;

    /// What the service has taken in so far; `None` where a later run cannot go on from it.
    fn uploaded(&self) -> Option<Uploaded> {
        None
    }

    /// Waits until the service has taken in what was sent; what is less than a part stays here.
    async fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes what was written durable, and still invisible. Nothing is written after it.
    async fn seal(&mut self) -> Result<()>;

    /// Makes the object durable and visible under its name.
    async fn finish(self: Box<Self>) -> Result<()>;

    /// Removes what was written.
    async fn abort(self: Box<Self>);

    /// Ends early, and keeps what was written where a later run finds it and goes on from it.
    async fn leave(self: Box<Self>) {
        self.abort().await;
    }
}

/// An object in memory.
#[derive(Clone)]
pub struct MemoryObject {
    bytes: Arc<Mutex<Bytes>>,
    version: Version,
}

impl Default for MemoryObject {
    fn default() -> Self {
        Self::new(Bytes::new())
    }
}

impl MemoryObject {
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: Arc::new(Mutex::new(bytes.into())),
            version: Version::new("memory"),
        }
    }

    /// The bytes as they are now; empty until a writer has finished.
    pub fn bytes(&self) -> Bytes {
        self.bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A writer that fills this object when it finishes.
    pub fn writer(&self) -> Box<dyn ObjectWriter> {
        Box::new(MemoryObjectWriter {
            object: self.clone(),
            bytes: Vec::new(),
        })
    }
}

#[async_trait]
impl RangedRead for MemoryObject {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn size_bytes(&self) -> u64 {
        self.bytes().len() as u64
    }

    fn version(&self) -> &Version {
        &self.version
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        let bytes = self.bytes();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.checked_add(length).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(|| self.ends_before())?;
        Ok(bytes.slice(start..end))
    }
}

struct MemoryObjectWriter {
    object: MemoryObject,
    bytes: Vec<u8>,
}

#[async_trait]
impl ObjectWriter for MemoryObjectWriter {
    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        for piece in pieces {
            self.bytes.extend_from_slice(&piece);
        }
        Ok(())
    }

    async fn seal(&mut self) -> Result<()> {
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let mut object = self
            .object
            .bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *object = self.bytes.into();
        Ok(())
    }

    async fn abort(self: Box<Self>) {}
}
