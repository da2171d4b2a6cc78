//! Which directory a path stood for when it was opened.
//!
//! An open directory is that directory for ever, whatever its path becomes: unmounted and mounted again, removed
//! and made again. So the path is asked which directory it stands for now.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Device and inode: two directories never share them while both are open.
type Identity = (u64, u64);

pub(super) struct KnownDirectory {
    path: PathBuf,
    identity: Option<Identity>,
}

impl KnownDirectory {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: identity_of(path),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What the path stands for now, where that is another directory or none.
    pub(super) fn find_other(&self) -> Option<Self> {
        let found = Self::new(&self.path);
        (found.identity != self.identity).then_some(found)
    }
}

fn identity_of(path: &Path) -> Option<Identity> {
    let status = std::fs::metadata(path).ok()?;
    Some((status.dev(), status.ino()))
}
