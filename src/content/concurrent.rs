//! Runs a bounded number of tasks at once, each on any core, and begins no more when one fails.

use std::future::Future;

use tokio::task::{JoinError, JoinSet};

use super::{Error, ErrorKind, Result};

/// Runs `work` for every item, at most `limit` at a time. The first error ends the others.
pub async fn for_each<T, F, W>(
    items: impl IntoIterator<Item = T>,
    limit: usize,
    mut work: W,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
    W: FnMut(T) -> F,
{
    // Dropping the set, on an error or when the caller is cancelled, ends every task in it.
    let mut running = JoinSet::new();
    for item in items {
        if running.len() >= limit.max(1)
            && let Some(done) = running.join_next().await
        {
            flatten(done)?;
        }
        running.spawn(work(item));
    }
    while let Some(done) = running.join_next().await {
        flatten(done)?;
    }
    Ok(())
}

/// The same for work that is not to be broken off: after the first error nothing is begun, and what is under way comes
/// to its end.
pub(super) async fn for_each_to_its_end<T, F, W>(
    items: impl IntoIterator<Item = T>,
    limit: usize,
    mut work: W,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
    W: FnMut(T) -> F,
{
    let mut running = JoinSet::new();
    let mut outcome = Ok(());
    for item in items {
        if running.len() >= limit.max(1)
            && let Some(done) = running.join_next().await
        {
            outcome = outcome.and(flatten(done));
        }
        if outcome.is_err() {
            break;
        }
        running.spawn(work(item));
    }
    while let Some(done) = running.join_next().await {
        outcome = outcome.and(flatten(done));
    }
    outcome
}

fn flatten(done: Result<Result<()>, JoinError>) -> Result<()> {
    done.unwrap_or_else(|cause| {
        Err(Error::new(ErrorKind::Failed, "a task ended unexpectedly").with_cause(cause))
    })
}
