//! When to try again, and when not before: the table of statuses, `Retry-After`, the pauses between
//! attempts, and the pace that a registry asks of all requests together.
//!
//! Specification: RFC 9110, sections 10.2.3 and 15.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use super::RegistryOptions;
use super::error::{RegistryError, Result};

/// Whoever asks for more patience than this gets an error that says so.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
const DELAY_MAX: Duration = Duration::from_secs(30);
/// Shorter waits are told in the debug log only.
const WAIT_SAID_MIN: Duration = Duration::from_secs(10);

/// Statuses that may be another one next time.
pub(super) fn is_retried(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The wait that the answer asks for, in seconds or until a date.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The instant before which the registry wants no request at all.
#[derive(Default)]
pub(super) struct Pace {
    not_before: Mutex<Option<Instant>>,
}

impl Pace {
    /// Sleeps until the registry takes requests again; what was asked meanwhile counts too.
    pub(super) async fn keep(&self) {
        while let Some(at) = self.current() {
            tokio::time::sleep_until(at).await;
        }
    }

    fn current(&self) -> Option<Instant> {
        let not_before = self
            .not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        not_before.filter(|at| *at > Instant::now())
    }

    fn hold(&self, wait: Duration) {
        let mut not_before = self
            .not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *not_before = (*not_before).max(Some(Instant::now() + wait));
    }
}

/// The attempts that one piece of work has left.
pub(super) struct Attempts<'a> {
    pace: &'a Pace,
    pauses: ExponentialBuilder,
    left: ExponentialBackoff,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(options: &RegistryOptions, pace: &'a Pace) -> Self {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(options.retry_delay_min)
            .with_max_delay(DELAY_MAX.max(options.retry_delay_min))
            .with_max_times(options.attempts_max.saturating_sub(1))
            .with_jitter();
        Self {
            pace,
            pauses,
            left: pauses.build(),
        }
    }

    /// Returns when it is time to try again, and hands the error back when it is not worth it.
    pub(super) async fn again(&mut self, error: RegistryError) -> Result<()> {
        let asked = error.retry_after().unwrap_or_default();
        if !error.is_temporary() || asked > RETRY_AFTER_MAX {
            return Err(error);
        }
        let Some(pause) = self.left.next() else {
            return Err(error);
        };
        let wait = pause.max(asked);
        let slows_everybody = error
            .answer()
            .is_some_and(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS);
        if slows_everybody {
            self.pace.hold(wait);
        }
        // A registry may ask for minutes; a person should know what is waited for.
        if wait >= WAIT_SAID_MIN {
            tracing::warn!(%error, seconds = wait.as_secs(), "waiting before trying again");
        } else {
            tracing::debug!(%error, wait_ms = wait.as_millis(), "trying again");
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// There was progress: the count starts anew.
    pub(super) fn reset(&mut self) {
        self.left = self.pauses.build();
    }
}
