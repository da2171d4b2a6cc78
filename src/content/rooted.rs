//! A directory outside of which nothing resolves: not by `..`, not by a link, not by a device.
//!
//! Every component of a path is opened by itself, relative to its parent's descriptor, and never through a
//! symbolic link. Only regular files are read. Directories that others may write to (USB sticks, shares)
//! are hostile, and may change while we look.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Error, ErrorKind, Result};

/// An open directory, used as the root of all paths.
pub struct RootedDirectory {
    descriptor: OwnedFd,
    path: PathBuf,
}

/// What Linux calls FAT12, FAT16 and FAT32; exFAT has another number, and no limit that matters.
const FAT_MAGIC: i64 = 0x4d44;
const FAT_FILE_MAX_BYTES: u64 = u32::MAX as u64;

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);

impl RootedDirectory {
    /// Opens an existing directory. The operator names it, so its own path may lead through links.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let descriptor = fs::open(path, flags, Mode::empty())
            .map_err(|errno| failed("open directory", path, errno))?;
        Ok(Self {
            descriptor,
            path: path.to_owned(),
        })
    }

    /// Opens the directory, making it and its missing parents first; their names are durable then.
    pub fn create(path: &Path) -> Result<Self> {
        let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
        std::fs::create_dir_all(path).map_err(|cause| {
            Error::io(
                format!("cannot create directory `{}`", path.display()),
                cause,
            )
        })?;
        for parent in missing.iter().filter_map(|path| path.parent()) {
            let parent = match parent.as_os_str().is_empty() {
                true => Path::new("."),
                false => parent,
            };
            Self::open(parent)?.flush_names()?;
        }
        Self::open(path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the folder that holds `name`, and says the last component.
    fn parent_of<'a>(&self, name: &'a str) -> Result<(OwnedFd, &'a str)> {
        let mut folder = self.descriptor.try_clone().map_err(|cause| {
            Error::io(
                format!("cannot open directory `{}`", self.path.display()),
                cause,
            )
        })?;
        let mut components = name.split('/');
        let last = components.next_back().unwrap_or_default();
        for component in components {
            self.check_component(component, name)?;
            folder = fs::openat(&folder, component, DIRECTORY, Mode::empty())
                .map_err(|errno| self.failed("open", name, errno))?;
        }
        self.check_component(last, name)?;
        Ok((folder, last))
    }

    fn check_component(&self, component: &str, name: &str) -> Result<()> {
        if matches!(component, "" | "." | "..") || component.contains('\0') {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("`{name}` is not a name within `{}`", self.path.display()),
            ));
        }
        Ok(())
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, name: &str) -> Result<File> {
        let (folder, last) = self.parent_of(name)?;
        // NONBLOCK: opening a pipe that somebody left here must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = fs::openat(&folder, last, flags, Mode::empty())
            .map_err(|errno| self.failed("open", name, errno))?;
        let status = fs::fstat(&file).map_err(|errno| self.failed("inspect", name, errno))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("`{}` is not a regular file", self.path.join(name).display()),
            ));
        }
        Ok(file.into())
    }

    /// Makes a file that must not exist yet.
    pub fn create_file(&self, name: &str) -> Result<File> {
        let (folder, last) = self.parent_of(name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&folder, last, flags, Mode::from_raw_mode(0o644))
            .map(File::from)
            .map_err(|errno| self.failed("create", name, errno))
    }

    /// Opens a file that was begun earlier, to read it and to go on with it. One that belongs to somebody else, or
    /// that has another name too, is refused: what is written into it would be written elsewhere as well.
    pub fn reopen_file(&self, name: &str) -> Result<File> {
        let (folder, last) = self.parent_of(name)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = fs::openat(&folder, last, flags, Mode::empty())
            .map_err(|errno| self.failed("open", name, errno))?;
        let status = fs::fstat(&file).map_err(|errno| self.failed("inspect", name, errno))?;
        let is_regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        let is_own = status.st_uid == rustix::process::geteuid().as_raw() && status.st_nlink == 1;
        if is_regular && is_own {
            return Ok(file.into());
        }
        let shown = self.path.join(name);
        Err(Error::new(
            ErrorKind::Refused,
            format!("`{}` is not a file of our own", shown.display()),
        ))
    }

    /// Makes a folder; one that exists already is fine.
    pub fn create_folder(&self, name: &str) -> Result<()> {
        let (folder, last) = self.parent_of(name)?;
        match fs::mkdirat(&folder, last, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.failed("create", name, errno)),
        }
    }

    /// Gives a finished file its final name, which must be free. File systems that cannot do this in one
    /// step (FAT) get a check and a plain rename.
    pub fn publish(&self, partial: &str, name: &str) -> Result<()> {
        let (from, partial) = self.parent_of(partial)?;
        let (to, last) = self.parent_of(name)?;
        let renamed = fs::renameat_with(&from, partial, &to, last, RenameFlags::NOREPLACE);
        match renamed {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                if self.exists(name)? {
                    return Err(self.failed("create", name, Errno::EXIST));
                }
                fs::renameat(&from, partial, &to, last)
            }
            other => other,
        }
        .and_then(|()| fs::fsync(&to))
        .map_err(|errno| self.failed("create", name, errno))
    }

    /// Gives a finished file its final name, replacing what had it.
    pub fn replace(&self, partial: &str, name: &str) -> Result<()> {
        let (from, partial) = self.parent_of(partial)?;
        let (to, last) = self.parent_of(name)?;
        fs::renameat(&from, partial, &to, last)
            .and_then(|()| fs::fsync(&to))
            .map_err(|errno| self.failed("replace", name, errno))
    }

    /// Removes a file; one that is not there is fine.
    pub fn remove(&self, name: &str) -> Result<()> {
        let (folder, last) = self.parent_of(name)?;
        match fs::unlinkat(&folder, last, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("remove", name, errno)),
        }
    }

    /// Whether anything has this name.
    pub fn exists(&self, name: &str) -> Result<bool> {
        match self.file_size(name) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the name stands for this very file.
    pub fn is_file(&self, name: &str, file: &File) -> Result<bool> {
        let (folder, last) = self.parent_of(name)?;
        let held = fs::fstat(file).map_err(|errno| self.failed("inspect", name, errno))?;
        match fs::statat(&folder, last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.failed("inspect", name, errno)),
        }
    }

    /// The size in bytes of what has this name.
    pub fn file_size(&self, name: &str) -> Result<u64> {
        Ok(u64::try_from(self.inspect(name)?.st_size).unwrap_or(0))
    }

    /// What the file system says of what has this name, which is not opened for that.
    pub fn inspect(&self, name: &str) -> Result<fs::Stat> {
        let (folder, last) = self.parent_of(name)?;
        fs::statat(&folder, last, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.failed("inspect", name, errno))
    }

    /// The names in the root that are valid UTF-8, sorted.
    pub fn names(&self) -> Result<Vec<String>> {
        let failed = |errno| failed("list directory", &self.path, errno);
        let entries = fs::Dir::read_from(&self.descriptor).map_err(failed)?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Bytes that an unprivileged user may still write here.
    pub fn free_bytes(&self) -> Result<u64> {
        let status = fs::fstatvfs(&self.descriptor)
            .map_err(|errno| failed("inspect directory", &self.path, errno))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    /// The largest file that the file system can hold, where it is known to be small.
    pub fn file_size_max_bytes(&self) -> Result<Option<u64>> {
        let status = fs::fstatfs(&self.descriptor)
            .map_err(|errno| failed("inspect directory", &self.path, errno))?;
        Ok((status.f_type == FAT_MAGIC).then_some(FAT_FILE_MAX_BYTES))
    }

    /// Waits until the file is on the device, and forgets what the memory holds of it, so that whoever reads it
    /// next reads the device.
    pub fn flush_file(&self, name: &str) -> Result<()> {
        let file = self.open_file(name)?;
        fs::fsync(&file).map_err(|errno| self.failed("flush", name, errno))?;
        // Advice that is not taken changes nothing but where the next reader reads.
        let _ = fs::fadvise(&file, 0, None, fs::Advice::DontNeed);
        Ok(())
    }

    /// Waits until the names in the root are on the device.
    pub fn flush_names(&self) -> Result<()> {
        fs::fsync(&self.descriptor).map_err(|errno| failed("flush directory", &self.path, errno))
    }

    fn failed(&self, action: &str, name: &str, errno: Errno) -> Error {
        failed(action, &self.path.join(name), errno)
    }
}

fn failed(action: &str, path: &Path, errno: Errno) -> Error {
    let message = format!("cannot {action} `{}`", path.display());
    if errno == Errno::LOOP {
        return Error::new(ErrorKind::Refused, message)
            .with_cause("it is a symbolic link, and links are not followed here");
    }
    Error::io(message, errno.into())
}
