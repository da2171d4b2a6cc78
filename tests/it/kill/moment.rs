//! Moments drawn from a seed: what a process changes on disk, told as it happens.
//!
//! A kill that follows a change comes a moment after it, so what it meets depends on the machine a little. That is
//! why there are many.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Changes below a directory.
pub(crate) struct Changes {
    seen: Receiver<()>,
    /// Tells as long as it lives.
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Whatever is made, written, renamed or removed.
    pub(crate) fn below(directory: &Path) -> Self {
        Self::of(directory, |kind| !matches!(kind, EventKind::Access(_)))
    }

    /// Only what is removed.
    pub(crate) fn removals_below(directory: &Path) -> Self {
        Self::of(directory, |kind| matches!(kind, EventKind::Remove(_)))
    }

    fn of(directory: &Path, counts: fn(&EventKind) -> bool) -> Self {
        let (told, seen) = channel();
        let tell = move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| counts(&event.kind)) {
                // Nobody listens any more when the life is over.
                let _ = told.send(());
            }
        };
        let mut watcher = notify::recommended_watcher(tell).expect("changes can be watched");
        watcher
            .watch(directory, RecursiveMode::Recursive)
            .expect("the directory is there");
        Self {
            seen,
            _watcher: watcher,
        }
    }

    /// Whether something has changed before `bound` had passed. Every change is told once.
    pub(crate) fn next(&self, bound: Duration) -> bool {
        self.seen.recv_timeout(bound).is_ok()
    }
}

#[test]
fn changes_are_told_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let (all, removals) = (
        Changes::below(directory.path()),
        Changes::removals_below(directory.path()),
    );
    let path = directory.path().join("one");
    std::fs::write(&path, "text").unwrap();
    std::fs::remove_file(&path).unwrap();
    let patience = crate::support::wait::PATIENCE;
    // Made, written, removed.
    assert!(all.next(patience) && all.next(patience) && all.next(patience));
    assert!(removals.next(patience));
    assert!(!removals.next(Duration::ZERO));
}
