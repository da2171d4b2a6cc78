//! A directory as a storage container: a disk, a share, a USB stick.
//!
//! An object is written as `<name>.partial` under a lock, made durable, and then renamed; without replacing unless
//! that was asked for. A partial file that nobody holds is what an interrupted run has left. The next run replaces
//! it, or goes on with it: where the object is a copy, a hidden record beside the partial file says of which version
//! it is and has the digest of every chunk that arrived, and the chunks are read again and compared before anything
//! is written behind them. What does not agree is cut off and fetched again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use rustix::fs::{FileType, FlockOperation, Stat, flock, fstat};

use super::container::{
    Abandonment, BegunCopy, CreateOptions, FoundObject, OpenUpload, Origin, Overwrite,
    StorageContainer,
};
use super::file_object::FileObject;
use super::file_writer::FileWriter;
use super::partial_record;
use crate::content::{
    Error, ErrorKind, ObjectWriter, RangedRead, Result, RootedDirectory, Uploaded, Version,
};

const PARTIAL_SUFFIX: &str = ".partial";

/// A directory that holds objects.
#[derive(Clone)]
pub struct DirectoryContainer {
    pub(super) directory: Arc<RootedDirectory>,
    name: String,
}

impl DirectoryContainer {
    /// Opens an existing directory.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self::of(RootedDirectory::open(path)?))
    }

    /// Opens the directory, making it first where it is missing.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self::of(RootedDirectory::create(path)?))
    }

    fn of(directory: RootedDirectory) -> Self {
        Self {
            name: directory.path().display().to_string(),
            directory: Arc::new(directory),
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The names of the objects. Partial files and hidden ones are not objects.
    fn object_names(&self) -> Result<Vec<String>> {
        let names = self.directory.names()?;
        let is_object = |name: &String| !name.ends_with(PARTIAL_SUFFIX) && !name.starts_with('.');
        Ok(names.into_iter().filter(is_object).collect())
    }

    /// What has the name now. What is no regular file, or not for us to read, is told of too, and refused when it
    /// is opened: one such file must not hide all others.
    fn inspect(&self, name: &str) -> Result<Option<FoundObject>> {
        let status = match self.directory.inspect(name) {
            Ok(status) => status,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Ok(Some(FoundObject {
                name: name.to_owned(),
                size_bytes: 0,
                version: Version::new("not a regular file"),
                modified: None,
            }));
        }
        let seconds = i128::from(status.st_mtime) * 1_000_000_000;
        let nanoseconds = seconds + i128::from(status.st_mtime_nsec);
        Ok(Some(FoundObject {
            name: name.to_owned(),
            size_bytes: size_of(&status),
            version: version_of(&status),
            modified: Timestamp::from_nanosecond(nanoseconds).ok(),
        }))
    }

    pub(super) fn create_object(&self, name: &str, overwrite: Overwrite) -> Result<FileWriter> {
        self.check_free(name, overwrite)?;
        let partial = Self::partial_name(name);
        let file = self.create_partial(name, &partial)?;
        self.writer(name, overwrite, file)
    }

    pub(super) fn check_free(&self, name: &str, overwrite: Overwrite) -> Result<()> {
        if overwrite == Overwrite::Refuse && self.directory.exists(name)? {
            return Err(already_exists(&self.path_of(name)));
        }
        Ok(())
    }

    pub(super) fn writer(
        &self,
        name: &str,
        overwrite: Overwrite,
        file: File,
    ) -> Result<FileWriter> {
        let partial = Self::partial_name(name);
        FileWriter::new(self.clone(), name, partial, overwrite, file)
    }

    fn create_partial(&self, name: &str, partial: &str) -> Result<File> {
        let file = match self.directory.create_file(partial) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let left = self.directory.open_file(partial)?;
                self.lock(&left, partial)?;
                self.remove_partial(name, partial)?;
                self.directory.create_file(partial)?
            }
            other => other?,
        };
        self.lock(&file, partial)?;
        // Between making a file and locking it, another process may have taken it for a left one.
        self.check_is_ours(&file, partial)?;
        Ok(file)
    }

    /// Removes a partial file and what is noted of it.
    pub(super) fn remove_partial(&self, name: &str, partial: &str) -> Result<()> {
        self.directory.remove(partial)?;
        self.directory.remove(&partial_record::name_for(name))
    }

    /// Gives the finished partial file the object's name.
    pub(super) fn publish(&self, name: &str, partial: &str, overwrite: Overwrite) -> Result<()> {
        let published = match overwrite {
            Overwrite::Refuse => self.directory.publish(partial, name),
            Overwrite::Replace => self.directory.replace(partial, name),
        };
        published.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => already_exists(&self.path_of(name)),
            _ => error,
        })
    }

    pub(super) fn forget_record(&self, name: &str) -> Result<()> {
        self.directory.remove(&partial_record::name_for(name))
    }

    /// Whether the name still stands for the file that we hold.
    pub(super) fn check_is_ours(&self, file: &File, name: &str) -> Result<()> {
        if self.directory.is_file(name, file)? {
            return Ok(());
        }
        let shown = self.path_of(name);
        Err(Error::new(
            ErrorKind::Changed,
            format!("another process has taken over `{}`", shown.display()),
        ))
    }

    /// The name under which an object is written before it is published.
    pub(super) fn partial_name(name: &str) -> String {
        format!("{name}{PARTIAL_SUFFIX}")
    }

    pub(super) fn lock(&self, file: &File, name: &str) -> Result<()> {
        flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            let shown = self.path_of(name);
            Error::io(
                format!("another process is writing `{}`", shown.display()),
                errno.into(),
            )
        })
    }
}

/// A file is replaced by renaming, changed in place by writing: the first changes the inode, the second the times.
/// Device, inode, size, time of writing and time of change, in this order.
fn version_of(status: &Stat) -> Version {
    Version::new(format!(
        "{:x}-{:x}-{:x}-{:x}.{:x}-{:x}.{:x}",
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime,
        status.st_mtime_nsec,
        status.st_ctime,
        status.st_ctime_nsec,
    ))
}

fn size_of(status: &Stat) -> u64 {
    u64::try_from(status.st_size).unwrap_or(0)
}

#[async_trait]
impl StorageContainer for DirectoryContainer {
    fn name(&self) -> &str {
        &self.name
    }

    fn shown(&self, object: &str) -> String {
        self.path_of(object).display().to_string()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<FoundObject>> {
        let names = match self.object_names() {
            Ok(names) => names,
            Err(error) => return stream::iter([Err(error)]).boxed(),
        };
        let inspect = |name: String| std::future::ready(self.inspect(&name).transpose());
        let begins = names
            .into_iter()
            .filter(move |name| name.starts_with(prefix));
        stream::iter(begins).filter_map(inspect).boxed()
    }

    async fn find(&self, object: &str) -> Result<Option<FoundObject>> {
        self.inspect(object)
    }

    async fn open(&self, object: &str) -> Result<Arc<dyn RangedRead>> {
        let file = self.directory.open_file(object)?;
        let status = fstat(&file).map_err(|errno| {
            let shown = self.shown(object);
            Error::io(format!("cannot inspect `{shown}`"), errno.into())
        })?;
        Ok(Arc::new(FileObject {
            file: Arc::new(file),
            size_bytes: size_of(&status),
            version: version_of(&status),
            name: self.shown(object),
        }))
    }

    /// A stick that is plugged in again has another device number, and on FAT other inodes.
    fn lasting_version(&self, version: &Version) -> Version {
        let size_and_time: Vec<&str> = version.as_str().split('-').skip(2).take(2).collect();
        Version::new(size_and_time.join("-"))
    }

    async fn create(&self, object: &str, options: CreateOptions) -> Result<Box<dyn ObjectWriter>> {
        let writer = self.create_object(object, options.overwrite)?;
        Ok(Box::new(writer))
    }

    async fn create_equal(
        &self,
        object: &str,
        overwrite: Overwrite,
        origin: &Origin,
    ) -> Result<BegunCopy> {
        if origin.size_bytes < partial_record::RECORDED_MIN_BYTES {
            return Ok(BegunCopy {
                writer: Box::new(self.create_object(object, overwrite)?),
                present_bytes: 0,
            });
        }
        let (this, name, origin) = (self.clone(), object.to_owned(), origin.clone());
        let begun =
            tokio::task::spawn_blocking(move || this.begin_equal(&name, overwrite, &origin));
        let (writer, present_bytes) = begun.await.map_err(ended_unexpectedly)??;
        Ok(BegunCopy {
            writer: Box::new(writer),
            present_bytes,
        })
    }

    async fn remove(&self, object: &str, version: Option<&Version>) -> Result<()> {
        if let Some(expected) = version {
            match self.inspect(object)? {
                None => return Ok(()),
                Some(found) if found.version == *expected => {}
                Some(_) => return Err(changed(&self.path_of(object))),
            }
        }
        self.directory.remove(object)
    }

    async fn abandon(&self, object: &str, _: &Uploaded) -> Result<Abandonment> {
        let partial = Self::partial_name(object);
        match self.directory.open_file(&partial) {
            Ok(left) => {
                self.lock(&left, &partial)?;
                self.check_is_ours(&left, &partial)?;
                // Held until it is gone: nobody begins to write what is being removed.
                self.remove_partial(object, &partial)?;
                Ok(Abandonment::Removed)
            }
            Err(error) if error.is_not_found() => Ok(Abandonment::Gone),
            Err(error) => Err(error),
        }
    }

    async fn list_uploads(&self) -> Result<Option<Vec<OpenUpload>>> {
        let names = self.directory.names()?;
        let mut uploads = Vec::new();
        for partial in &names {
            let Some(object) = partial.strip_suffix(PARTIAL_SUFFIX) else {
                continue;
            };
            let left = match self.directory.open_file(partial) {
                Ok(left) => left,
                Err(error) if error.is_not_found() => continue,
                // A link, a directory, or not for us to read: named, and nobody of us has begun it.
                Err(error) if matches!(error.kind(), ErrorKind::Refused | ErrorKind::Denied) => {
                    uploads.push(OpenUpload {
                        object: object.to_owned(),
                        upload_id: String::new(),
                        size_bytes: None,
                        modified: None,
                        is_held: false,
                    });
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(info) = self.inspect(partial)? else {
                continue;
            };
            uploads.push(OpenUpload {
                object: object.to_owned(),
                upload_id: partial.clone(),
                size_bytes: Some(info.size_bytes),
                modified: info.modified,
                is_held: self.lock(&left, partial).is_err(),
            });
        }
        Ok(Some(uploads))
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        self.directory.free_bytes().map(Some)
    }

    async fn object_size_max_bytes(&self) -> Result<Option<u64>> {
        self.directory.file_size_max_bytes()
    }

    fn is_removable(&self) -> bool {
        true
    }

    async fn flush(&self, objects: &[String]) -> Result<()> {
        let directory = Arc::clone(&self.directory);
        let objects = objects.to_vec();
        let flushed = tokio::task::spawn_blocking(move || {
            objects
                .iter()
                .try_for_each(|name| directory.flush_file(name))?;
            directory.flush_names()
        });
        flushed.await.map_err(ended_unexpectedly)?
    }

    async fn publish_left(&self, object: &str, overwrite: Overwrite) -> Result<()> {
        let partial = Self::partial_name(object);
        let left = self.directory.open_file(&partial)?;
        self.lock(&left, &partial)?;
        self.publish(object, &partial, overwrite)
    }

    async fn open_left(&self, object: &str) -> Result<Option<Arc<dyn RangedRead>>> {
        match self.open(&Self::partial_name(object)).await {
            Ok(left) => Ok(Some(left)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn ended_unexpectedly(cause: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Failed, "a task ended unexpectedly").with_cause(cause)
}

fn changed(path: &Path) -> Error {
    Error::new(
        ErrorKind::Changed,
        format!("`{}` was replaced meanwhile", path.display()),
    )
}

fn already_exists(path: &Path) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("`{}` exists already, and is not replaced", path.display()),
    )
}
