//! When a watch looks again: at once when a directory or a queue says that something happened, and by the clock
//! always.
//!
//! Whatever wakes it is only a hint: what is there is decided by listing the container. A directory whose changes
//! cannot be watched (a network share, too many watches) is polled like a cloud.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::ends::Opener;
use super::event::WatchEvents;
use super::queue::follow;
use crate::storage::AzureQueue;

/// Several events of one copy are answered by one listing.
const QUIET_TIME: Duration = Duration::from_millis(50);
/// A directory in which something happens all the time is listed this often.
const BUSY_INTERVAL: Duration = Duration::from_millis(500);

/// What wakes a watch.
pub(super) struct Wake {
    changes: watch::Receiver<u64>,
    /// The other end, for containers that tell nothing, so that the receiver stays open.
    _teller: Option<watch::Sender<u64>>,
    /// Watches as long as it lives.
    _watcher: Option<RecommendedWatcher>,
    /// Asks the queue as long as it lives.
    _follower: Option<AbortOnDropHandle<()>>,
    interval: Duration,
}

impl Wake {
    /// Wakes by the clock alone.
    pub(super) fn by_interval(interval: Duration) -> Self {
        let (teller, changes) = watch::channel(0);
        Self {
            changes,
            _teller: Some(teller),
            _watcher: None,
            _follower: None,
            interval,
        }
    }

    /// Wakes by the clock, and when the queue has a message about the container. Trouble with the queue is told.
    pub(super) fn of_queue(
        queue: &Opener<Arc<AzureQueue>>,
        interval: Duration,
        events: &WatchEvents,
    ) -> Self {
        let (teller, changes) = watch::channel(0_u64);
        let following = tokio::spawn(follow(Arc::clone(queue), teller, Arc::clone(events)));
        Self {
            changes,
            _teller: None,
            _watcher: None,
            _follower: Some(AbortOnDropHandle::new(following)),
            interval,
        }
    }

    /// Wakes by the clock, and when something changes in `directory`. The error is a reason to tell, and then the
    /// clock is what is left.
    pub(super) fn of_directory(
        directory: &Path,
        interval: Duration,
    ) -> (Self, Option<notify::Error>) {
        let (teller, changes) = watch::channel(0_u64);
        let tell = move |event: notify::Result<Event>| {
            // An error is a reason to look as well: an overflowing queue has lost events.
            if event.is_ok_and(|event| is_only_reading(event.kind)) {
                return;
            }
            teller.send_modify(|count| *count += 1);
        };
        let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => {
                let wake = Self {
                    changes,
                    _teller: None,
                    _watcher: Some(watcher),
                    _follower: None,
                    interval,
                };
                (wake, None)
            }
            Err(error) => (Self::by_interval(interval), Some(error)),
        }
    }

    /// Waits until there is a reason to look: a change, `due`, or the interval with some jitter.
    pub(super) async fn wait(&mut self, listed: Instant, due: Option<Instant>) {
        let by_clock = listed + jittered(self.interval);
        let until = due.map_or(by_clock, |due| due.min(by_clock));
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            changed = self.changes.changed() => {
                if changed.is_err() {
                    // The watcher has gone; the clock is left.
                    tokio::time::sleep_until(until.into()).await;
                    return;
                }
                let not_before = listed + BUSY_INTERVAL;
                let calm = Instant::now() + QUIET_TIME;
                tokio::time::sleep_until(calm.max(not_before).min(until.max(calm)).into()).await;
                self.changes.mark_unchanged();
            }
        }
    }
}

/// Our own reads cause these, and they change nothing.
fn is_only_reading(kind: EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

/// A little less, and not the same for all, so that many watches do not list at the same moment. Within the interval
/// that was asked for there is then time for the listing itself.
fn jittered(interval: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    // Without randomness there is no jitter, which is no harm.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    interval.mul_f64(0.75 + 0.15 * f64::from(byte[0]) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_file_wakes_long_before_the_interval() {
        let directory = tempfile::tempdir().unwrap();
        let (mut wake, error) = Wake::of_directory(directory.path(), Duration::from_hours(1));
        assert!(error.is_none());
        std::fs::write(directory.path().join("a.tar.zst"), b"x").unwrap();
        let woken = wake.wait(Instant::now(), None);
        tokio::time::timeout(Duration::from_secs(20), woken)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn what_is_due_wakes_without_a_change() {
        let mut wake = Wake::by_interval(Duration::from_hours(1));
        let now = Instant::now();
        tokio::time::timeout(Duration::from_secs(20), wake.wait(now, Some(now)))
            .await
            .unwrap();
    }

    #[test]
    fn no_pause_is_as_long_as_the_interval() {
        for _ in 0..100 {
            let seconds = jittered(Duration::from_secs(100)).as_secs_f64();
            assert!((74.9..=90.1).contains(&seconds), "{seconds}");
        }
    }
}
