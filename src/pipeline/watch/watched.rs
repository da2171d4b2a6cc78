//! The container that is watched. A directory that is made anew under its path is another one, and is opened again.

use std::sync::Arc;

use super::WatchOptions;
use super::ends::Opener;
use super::known_directory::KnownDirectory;
use crate::content::Result;
use crate::storage::StorageContainer;

pub(super) struct Watched {
    pub(super) container: Arc<dyn StorageContainer>,
    open: Opener<Arc<dyn StorageContainer>>,
    directory: Option<KnownDirectory>,
    is_doubted: bool,
}

impl Watched {
    pub(super) fn new(container: Arc<dyn StorageContainer>, options: &WatchOptions) -> Self {
        let directory = options.directory.as_deref();
        Self {
            container,
            open: Arc::clone(&options.open_container),
            directory: directory.map(KnownDirectory::new),
            is_doubted: false,
        }
    }

    /// The same wherever the watch is started: the ledger knows the container by it.
    pub(super) fn lasting_name(&self) -> String {
        let path = self.directory.as_ref().map(KnownDirectory::path);
        let absolute = path.and_then(|path| std::path::absolute(path).ok());
        match absolute {
            Some(path) => path.display().to_string(),
            None => self.container.name().to_owned(),
        }
    }

    /// Opens the directory again where its path stands for another one now, and says whether it does.
    pub(super) async fn follow(&mut self) -> Result<bool> {
        let known = self.directory.as_ref();
        let Some(other) = known.and_then(KnownDirectory::find_other) else {
            return Ok(false);
        };
        // A directory that was removed lists as an empty one to whoever has it open, so the path is what counts.
        self.container = (self.open)().await?;
        self.directory = Some(other);
        Ok(true)
    }

    /// Something was refused to us. A directory has no credential.
    pub(super) fn doubt(&mut self) {
        self.is_doubted = self.directory.is_none();
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted
    }

    /// Opens the container anew, with the credential that its reference names now. What fails leaves the old one.
    pub(super) async fn renew(&mut self) -> Result<()> {
        self.is_doubted = false;
        self.container = (self.open)().await?;
        Ok(())
    }
}
