//! A directory as a storage container: a disk, a share, a USB stick.
//!
//! An object is written as `<name>.partial` under a lock, made durable, and then renamed without replacing.
//! A partial file that nobody holds is what an interrupted run has left, and is replaced by the next one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};

use crate::content::{
    Error, ErrorKind, FileSink, ObjectWriter, RangedRead, Result, RootedDirectory,
};

const PARTIAL_SUFFIX: &str = ".partial";

/// A directory that holds objects.
#[derive(Clone)]
pub struct DirectoryContainer {
    directory: Arc<RootedDirectory>,
}

impl DirectoryContainer {
    /// Opens an existing directory.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            directory: Arc::new(RootedDirectory::open(path)?),
        })
    }

    /// Opens the directory, making it first where it is missing.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self {
            directory: Arc::new(RootedDirectory::create(path)?),
        })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn shown(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The names of the objects. Partial files and hidden ones are not objects.
    pub fn names(&self) -> Result<Vec<String>> {
        let names = self.directory.names()?;
        let is_object = |name: &String| !name.ends_with(PARTIAL_SUFFIX) && !name.starts_with('.');
        Ok(names.into_iter().filter(is_object).collect())
    }

    pub fn exists(&self, name: &str) -> Result<bool> {
        self.directory.exists(name)
    }

    /// The stored bytes of an object.
    pub fn size_bytes(&self, name: &str) -> Result<u64> {
        self.directory.file_size(name)
    }

    /// Removes an object; one that is not there is fine.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.directory.remove(name)
    }

    /// Opens one version of an object: the file that has the name now.
    pub fn read(&self, name: &str) -> Result<Arc<dyn RangedRead>> {
        let shown = self.shown(name).display().to_string();
        let file = self.directory.open_file(name)?;
        let status = file
            .metadata()
            .map_err(|cause| Error::io(format!("cannot inspect `{shown}`"), cause))?;
        Ok(Arc::new(FileObject {
            file: Arc::new(file),
            size_bytes: status.len(),
            name: shown,
        }))
    }

    /// Begins a new object, which must not exist.
    pub fn create_object(&self, name: &str) -> Result<Box<dyn ObjectWriter>> {
        if self.directory.exists(name)? {
            return Err(already_exists(&self.shown(name)));
        }
        let partial = Self::partial_name(name);
        let file = self.create_partial(&partial)?;
        let lock = file
            .try_clone()
            .map_err(|cause| Error::io(format!("cannot create `{partial}`"), cause))?;
        Ok(Box::new(FileWriter {
            sink: Some(FileSink::new(
                file,
                self.shown(&partial).display().to_string(),
            )),
            container: self.clone(),
            partial,
            name: name.to_owned(),
            is_published: false,
            lock,
        }))
    }

    fn create_partial(&self, partial: &str) -> Result<File> {
        let file = match self.directory.create_file(partial) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let left = self.directory.open_file(partial)?;
                self.lock(&left, partial)?;
                self.directory.remove(partial)?;
                self.directory.create_file(partial)?
            }
            other => other?,
        };
        self.lock(&file, partial)?;
        // Between making a file and locking it, another process may have taken it for a left one.
        self.check_is_ours(&file, partial)?;
        Ok(file)
    }

    /// Whether the name still stands for the file that we hold.
    fn check_is_ours(&self, file: &File, name: &str) -> Result<()> {
        if self.directory.is_file(name, file)? {
            return Ok(());
        }
        let shown = self.shown(name);
        Err(Error::new(
            ErrorKind::Changed,
            format!("another process has taken over `{}`", shown.display()),
        ))
    }

    /// The name under which an object is written before it is published.
    pub fn partial_name(name: &str) -> String {
        format!("{name}{PARTIAL_SUFFIX}")
    }

    /// Publishes a whole object that a run has sealed, and was ended before it could publish.
    pub fn publish_left(&self, name: &str) -> Result<()> {
        let partial = Self::partial_name(name);
        let left = self.directory.open_file(&partial)?;
        self.lock(&left, &partial)?;
        self.directory.publish(&partial, name)
    }

    fn lock(&self, file: &File, name: &str) -> Result<()> {
        flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            let shown = self.shown(name);
            Error::io(
                format!("another process is writing `{}`", shown.display()),
                errno.into(),
            )
        })
    }

    /// A small file at once, replacing nothing.
    pub async fn write_small(&self, name: &str, bytes: Bytes) -> Result<()> {
        let mut writer = self.create_object(name)?;
        writer.write(vec![bytes]).await?;
        writer.finish().await
    }

    /// Bytes that may still be written here.
    pub fn free_bytes(&self) -> Result<u64> {
        self.directory.free_bytes()
    }
}

fn already_exists(path: &Path) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("`{}` exists already, and is not replaced", path.display()),
    )
}

struct FileWriter {
    sink: Option<FileSink>,
    container: DirectoryContainer,
    partial: String,
    name: String,
    is_published: bool,
    /// Keeps the lock until the object is published or removed.
    lock: File,
}

#[async_trait]
impl ObjectWriter for FileWriter {
    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<()> {
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
        let published = self.container.directory.publish(&self.partial, &self.name);
        published.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => already_exists(&self.container.shown(&self.name)),
            _ => error,
        })?;
        self.is_published = true;
        Ok(())
    }

    async fn abort(self: Box<Self>) {}
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        let is_ours = || {
            self.container
                .check_is_ours(&self.lock, &self.partial)
                .is_ok()
        };
        if self.is_published || !is_ours() {
            return;
        }
        if let Err(error) = self.container.directory.remove(&self.partial) {
            tracing::warn!(%error, "a partial file is left behind");
        }
    }
}

struct FileObject {
    file: Arc<File>,
    size_bytes: u64,
    name: String,
}

#[async_trait]
impl RangedRead for FileObject {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    async fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        let is_within = offset
            .checked_add(length as u64)
            .is_some_and(|end| end <= self.size_bytes);
        if !is_within {
            return Err(Error::new(
                ErrorKind::Incomplete,
                format!("`{}` ends before the bytes that were asked for", self.name),
            ));
        }
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
