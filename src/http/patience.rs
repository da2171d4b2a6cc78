//! Tells people that a peer is waited for, before they wonder, and not again and again.
//!
//! It decides nothing: who asks goes on as long as it would have. Only the host and a reason are told.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Trouble that lasts for less is nobody's business.
const TOLD_AFTER: Duration = Duration::from_secs(3);
/// What is sent takes its time on a slow line.
const TOLD_AFTER_SENDING: Duration = Duration::from_secs(20);
/// The same is not told more often.
const TOLD_EVERY: Duration = Duration::from_mins(1);

/// What one peer has kept us waiting with.
#[derive(Debug, Default)]
pub struct Patience(Mutex<Trouble>);

#[derive(Debug, Default)]
struct Trouble {
    since: Option<Instant>,
    told: Option<Instant>,
}

impl Patience {
    /// Waits for an answer that should not take long, and tells when it does.
    pub async fn wait<T>(&self, host: &str, answer: impl Future<Output = T>) -> T {
        self.wait_silently(TOLD_AFTER, host, answer).await
    }

    /// The same of an answer to a request that may carry many bytes.
    pub async fn wait_for_upload<T>(&self, host: &str, answer: impl Future<Output = T>) -> T {
        self.wait_silently(TOLD_AFTER_SENDING, host, answer).await
    }

    /// Says nothing for this long.
    async fn wait_silently<T>(
        &self,
        silence: Duration,
        host: &str,
        answer: impl Future<Output = T>,
    ) -> T {
        let (begun, mut answer) = (Instant::now(), pin!(answer));
        if let Ok(answered) = tokio::time::timeout(silence, answer.as_mut()).await {
            return answered;
        }
        if self.trouble().is_news(begun, Instant::now()) {
            let seconds = silence.as_secs();
            tracing::warn!("`{host}` has not answered for {seconds} s, still waiting");
        }
        answer.await
    }

    /// It did not answer, or with something else than what was asked for, and is asked again.
    pub fn failed(&self, host: &str, why: &dyn std::fmt::Display) {
        let now = Instant::now();
        if self.trouble().is_news(now, now) {
            tracing::warn!("`{host}` cannot be used just now, trying again: {why}");
        }
    }

    /// It has answered.
    pub fn answered(&self) {
        self.trouble().since = None;
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    /// Takes in that something began to go wrong at `begun`, and says whether that is to be told at `now`.
    fn is_news(&mut self, begun: Instant, now: Instant) -> bool {
        let since = *self.since.get_or_insert(begun);
        let is_known = self.told.is_some_and(|told| now < told + TOLD_EVERY);
        let is_news = !is_known && now >= since + TOLD_AFTER;
        if is_news {
            self.told = Some(now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_when_it_lasts_and_then_not_for_a_while() {
        let (begun, mut trouble) = (Instant::now(), Trouble::default());
        let mut at = |seconds| {
            let now = begun + Duration::from_secs(seconds);
            trouble.is_news(now, now)
        };
        let told = [0, 1, 3, 4, 62, 63, 64].map(&mut at);
        assert_eq!(told, [false, false, true, false, false, true, false]);
    }

    #[test]
    fn an_answer_ends_it() {
        let patience = Patience::default();
        let begun = Instant::now();
        assert!(!patience.trouble().is_news(begun, begun));
        patience.answered();
        let later = begun + Duration::from_secs(10);
        assert!(!patience.trouble().is_news(later, later));
    }
}
