//! Who speaks: the pipeline whose name stands before what is told, where one process runs several of them.
//!
//! It belongs to the task that runs the pipeline. What tells from elsewhere, such as the events of content that moves
//! on other cores, has asked for it before.

use std::future::Future;
use std::sync::Arc;

tokio::task_local! {
    static SPEAKER: Arc<str>;
}

/// The pipeline that speaks; a command by itself has no name.
#[derive(Clone, Debug, Default)]
pub(super) struct Voice(Option<Arc<str>>);

impl Voice {
    pub(super) fn of(name: &str) -> Self {
        Self(Some(Arc::from(name)))
    }

    /// Whoever speaks now.
    pub(super) fn current() -> Self {
        Self(SPEAKER.try_with(Arc::clone).ok())
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// What the future tells is told in this name.
    pub(super) async fn lead<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Some(name) => SPEAKER.scope(Arc::clone(name), future).await,
            None => future.await,
        }
    }

    /// What is told by `speak` is told in this name.
    pub(super) fn say(&self, speak: impl FnOnce()) {
        match &self.0 {
            Some(name) => SPEAKER.sync_scope(Arc::clone(name), speak),
            None => speak(),
        }
    }
}
