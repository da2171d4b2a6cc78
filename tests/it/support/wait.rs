//! Waiting for a condition, with a bound. The only place in the tests that lets time pass.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine, short enough to be noticed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Whether `condition` came true before `bound` had passed.
pub(crate) fn within(bound: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + bound;
    loop {
        if condition() {
            return true;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(PAUSE));
    }
}

/// Waits until `condition` is true; panics with `what` when it does not become so.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(
        within(PATIENCE, condition),
        "{what}: not so after {PATIENCE:?}"
    );
}

/// Returns when `condition` has come true. For a task that runs beside others and is dropped with them.
pub(crate) async fn true_in_time(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(PAUSE / 5).await;
    }
}
