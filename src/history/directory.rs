//! The state directory: made for one user alone, and the locks in it that a killed process cannot leave.
//!
//! A file lock ends with its process, so nothing here is ever cleaned up by hand.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::content::{Error, Result};
use crate::oci::Digest;

/// How often a lock that another process holds is asked for again.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct StateDirectory {
    path: PathBuf,
}

impl StateDirectory {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        builder.mode(0o700);
        builder.create(path).map_err(|cause| {
            let shown = path.display();
            Error::io(format!("cannot make the state directory `{shown}`"), cause)
        })?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("ledger.db")
    }

    /// A file of the directory; `name` is one of ours.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn lock_file(&self, name: &str) -> Result<File> {
        let path = self.path.join(name);
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        opened.map_err(|cause| self.unusable(cause))
    }

    fn unusable(&self, cause: std::io::Error) -> Error {
        let shown = self.shown();
        Error::io(format!("cannot use the state directory `{shown}`"), cause)
    }

    /// Waits for a lock without holding up a thread, so that dropping the future ends the wait.
    async fn wait_for(
        &self,
        file: File,
        take: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<File> {
        loop {
            match take(&file) {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_INTERVAL).await,
                Err(TryLockError::Error(cause)) => return Err(self.unusable(cause)),
            }
        }
    }

    /// Takes part in the use of the directory. The flag says whether nobody else did: then the lock is
    /// exclusive, until [`Presence::share`] lets others in.
    pub(super) async fn enter(&self) -> Result<Presence> {
        let file = self.lock_file("ledger.lock")?;
        match file.try_lock() {
            Ok(()) => Ok(Presence {
                file,
                is_alone: true,
            }),
            Err(TryLockError::WouldBlock) => Ok(Presence {
                file: self.wait_for(file, File::try_lock_shared).await?,
                is_alone: false,
            }),
            Err(TryLockError::Error(cause)) => Err(self.unusable(cause)),
        }
    }

    /// Waits until nobody else has what the name stands for.
    pub(super) async fn hold(&self, name: &str) -> Result<Hold> {
        let name = hold_file(name);
        loop {
            let file = self.lock_file(&name)?;
            let file = self.wait_for(file, File::try_lock).await?;
            let path = self.path.join(&name);
            // The one before has removed the file that was waited for.
            if is_at(&file, &path) {
                return Ok(Hold { path, _file: file });
            }
        }
    }

    /// The right to what the name stands for, without waiting. `note` is left for those who find it taken: they get it
    /// in place of the hold.
    pub(super) fn hold_with_note(&self, name: &str, note: &str) -> Result<Result<Hold, String>> {
        let path = self.path.join(hold_file(name));
        loop {
            let mut file = self.lock_file(&hold_file(name))?;
            match file.try_lock() {
                Ok(()) if !is_at(&file, &path) => {}
                Ok(()) => {
                    let written = file
                        .set_len(0)
                        .and_then(|()| file.write_all(note.as_bytes()));
                    written.map_err(|cause| self.unusable(cause))?;
                    return Ok(Ok(Hold { path, _file: file }));
                }
                Err(TryLockError::WouldBlock) => {
                    return Ok(Err(std::fs::read_to_string(&path).unwrap_or_default()));
                }
                Err(TryLockError::Error(cause)) => return Err(self.unusable(cause)),
            }
        }
    }

    /// What the name stands for, if nobody has it.
    pub(super) fn try_hold(&self, name: &str) -> Result<Option<Hold>> {
        let name = hold_file(name);
        let file = self.lock_file(&name)?;
        let path = self.path.join(&name);
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => Ok(Some(Hold { path, _file: file })),
            // Whoever had it has removed its file in this moment.
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(self.unusable(cause)),
        }
    }

    /// Removes the file of a lock that nobody has, and that nobody will ask for again.
    pub(super) fn clear_hold(&self, name: &str) {
        let _ = std::fs::remove_file(self.path.join(hold_file(name)));
    }

    /// Whether somebody has it at this moment.
    pub(super) fn is_held(&self, name: &str) -> Result<bool> {
        let file = match File::open(self.path.join(hold_file(name))) {
            Ok(file) => file,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(cause) => return Err(self.unusable(cause)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(cause)) => Err(self.unusable(cause)),
        }
    }
}

fn hold_file(name: &str) -> String {
    format!("hold-{}.lock", Digest::sha256(name.as_bytes()).short())
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let held = file.metadata().map(identity).ok();
    held.is_some() && held == path.metadata().map(identity).ok()
}

/// This process among those that use the directory.
#[derive(Debug)]
pub(super) struct Presence {
    file: File,
    pub(super) is_alone: bool,
}

impl Presence {
    pub(super) fn share(&self) -> std::io::Result<()> {
        match self.is_alone {
            true => self.file.lock_shared(),
            false => Ok(()),
        }
    }
}

/// The right to deliver to one lane, to export one pipeline, to upload one plan, or to be one run, until it is
/// dropped.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    _file: File,
}

impl Drop for Hold {
    /// The file goes while it is still locked: who waits for it finds another one in its place.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
