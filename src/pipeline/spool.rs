//! Room on a disk for decompressed layers, while a dense bundle is made or delivered.
//!
//! **Invariant.** A file of the spool has no name: it is gone when it is closed, also where the process is killed.
//! It never has anything that could not be made again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::content::{Error, Result};
use crate::dense::delta::ReadAt;

/// The directory in which files are made.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    directory: PathBuf,
}

impl Spool {
    /// Makes the directory where it is not there.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let spool = Self {
            directory: directory.to_owned(),
        };
        let made = std::fs::create_dir_all(directory).and_then(|()| spool.file().map(drop));
        made.map_err(|cause| spool.failed(cause))?;
        Ok(spool)
    }

    /// A new file, empty and without a name.
    pub(super) fn file(&self) -> io::Result<File> {
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(&self.directory, flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(file.into()),
            // Not every file system can do that.
            Err(
                rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::NOENT,
            ) => self.removed_file(flags, mode),
            Err(error) => Err(error.into()),
        }
    }

    fn removed_file(&self, flags: OFlags, mode: Mode) -> io::Result<File> {
        for number in 0..u32::MAX {
            let name = format!(".airlift-spool-{}-{number}", std::process::id());
            let path = self.directory.join(name);
            match rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL, mode) {
                Ok(file) => {
                    std::fs::remove_file(&path)?;
                    return Ok(file.into());
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The error of a file of the spool.
    pub(super) fn failed(&self, cause: io::Error) -> Error {
        let directory = self.directory.display();
        Error::io(
            format!("cannot use the spool directory `{directory}`"),
            cause,
        )
    }
}

/// A file of the spool that is complete.
#[derive(Clone, Debug)]
pub(super) struct SpooledFile {
    pub(super) file: Arc<File>,
    pub(super) size_bytes: u64,
}

impl SpooledFile {
    pub(super) fn of(mut file: File) -> io::Result<Self> {
        let size_bytes = file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file: Arc::new(file),
            size_bytes,
        })
    }

    /// A reader of all of it, which shares no position with others.
    pub(super) fn reader(&self) -> SpoolReader {
        SpoolReader {
            file: self.clone(),
            position: 0,
        }
    }
}

impl ReadAt for SpooledFile {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// Reads a spooled file from its beginning.
pub(super) struct SpoolReader {
    file: SpooledFile,
    position: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for SpoolReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
            SeekFrom::End(distance) => self.file.size_bytes.checked_add_signed(distance),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_has_no_name_and_its_readers_share_no_position() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(&directory.path().join("spool")).unwrap();
        for mut file in [
            spool.file().unwrap(),
            spool
                .removed_file(OFlags::RDWR, Mode::RUSR | Mode::WUSR)
                .unwrap(),
        ] {
            file.write_all(b"decompressed").unwrap();
            let names = std::fs::read_dir(directory.path().join("spool")).unwrap();
            assert_eq!(names.count(), 0);
            let file = SpooledFile::of(file).unwrap();
            let (mut one, mut other) = (file.reader(), file.reader());
            let mut text = String::new();
            one.seek(SeekFrom::End(-3)).unwrap();
            one.read_to_string(&mut text).unwrap();
            other.read_to_string(&mut text).unwrap();
            assert_eq!(text, "seddecompressed");
        }
    }
}
