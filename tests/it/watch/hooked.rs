//! A directory as a container, with something that happens when an object is opened.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use airlift::content::{Error, ErrorKind, ObjectWriter, RangedRead, Result, Uploaded, Version};
use airlift::pipeline::Opener;
use airlift::storage::{
    Abandonment, CreateOptions, DirectoryContainer, FoundObject, OpenUpload, StorageContainer,
};
use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};

type Hook = Arc<dyn Fn() + Send + Sync>;
/// Whether listing is refused.
type Check = Arc<dyn Fn() -> Result<()> + Send + Sync>;

struct Hooked {
    inner: DirectoryContainer,
    opened: Arc<AtomicUsize>,
    nth: usize,
    hook: Hook,
    hangs: bool,
    /// Objects of this ending cannot be removed.
    lasting: &'static str,
    check: Check,
}

/// Ends no name.
const NONE: &str = "/";

/// The hook is called once, right after the `nth` opening of an object.
pub(super) fn hooked_opener(
    path: &Path,
    nth: usize,
    hook: Hook,
) -> Opener<Arc<dyn StorageContainer>> {
    opener(path, (nth, false), hook, NONE, free())
}

/// The same, and that opening never comes to an end.
pub(super) fn hanging_opener(
    path: &Path,
    nth: usize,
    hook: Hook,
) -> Opener<Arc<dyn StorageContainer>> {
    opener(path, (nth, true), hook, NONE, free())
}

/// Objects of this ending stay, whoever wants to remove them.
pub(super) fn lasting_opener(
    path: &Path,
    lasting: &'static str,
) -> Opener<Arc<dyn StorageContainer>> {
    opener(path, (0, false), Arc::new(|| {}), lasting, free())
}

/// Nothing is refused.
fn free() -> Arc<dyn Fn() -> Check + Send + Sync> {
    Arc::new(|| Arc::new(|| Ok(())))
}

/// Each opening makes a check of its own, as each reads a credential.
pub(super) fn checked_opener(
    path: &Path,
    make: Arc<dyn Fn() -> Check + Send + Sync>,
) -> Opener<Arc<dyn StorageContainer>> {
    opener(path, (0, false), Arc::new(|| {}), NONE, make)
}

fn opener(
    path: &Path,
    (nth, hangs): (usize, bool),
    hook: Hook,
    lasting: &'static str,
    make: Arc<dyn Fn() -> Check + Send + Sync>,
) -> Opener<Arc<dyn StorageContainer>> {
    let (path, opened) = (path.to_owned(), Arc::new(AtomicUsize::new(0)));
    Arc::new(move || {
        let hooked = DirectoryContainer::open(&path).map(|inner| {
            Arc::new(Hooked {
                inner,
                opened: Arc::clone(&opened),
                nth,
                hook: Arc::clone(&hook),
                hangs,
                lasting,
                check: make(),
            }) as Arc<dyn StorageContainer>
        });
        Box::pin(std::future::ready(hooked))
    })
}

#[async_trait]
impl StorageContainer for Hooked {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn shown(&self, object: &str) -> String {
        self.inner.shown(object)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<FoundObject>> {
        match (self.check)() {
            Ok(()) => self.inner.list(prefix),
            Err(error) => stream::iter([Err::<FoundObject, Error>(error)]).boxed(),
        }
    }

    async fn find(&self, object: &str) -> Result<Option<FoundObject>> {
        self.inner.find(object).await
    }

    async fn open(&self, object: &str) -> Result<Arc<dyn RangedRead>> {
        let opened = self.inner.open(object).await;
        if self.opened.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            (self.hook)();
            if self.hangs {
                return std::future::pending().await;
            }
        }
        opened
    }

    async fn create(&self, object: &str, options: CreateOptions) -> Result<Box<dyn ObjectWriter>> {
        self.inner.create(object, options).await
    }

    async fn remove(&self, object: &str, version: Option<&Version>) -> Result<()> {
        if object.ends_with(self.lasting) {
            return Err(Error::new(ErrorKind::Failed, "it is held"));
        }
        self.inner.remove(object, version).await
    }

    async fn abandon(&self, object: &str, uploaded: &Uploaded) -> Result<Abandonment> {
        self.inner.abandon(object, uploaded).await
    }

    async fn list_uploads(&self) -> Result<Option<Vec<OpenUpload>>> {
        self.inner.list_uploads().await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        self.inner.free_bytes().await
    }
}
