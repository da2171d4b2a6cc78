//! Follows a queue of notices about new objects, and wakes the watch.
//!
//! A notice is only a hint: nothing that it names is opened, and the container is listed. A message is removed after
//! the watch was woken; what is about another place is left to whoever else asks the queue, and removed with a
//! warning when it has come back often. A queue that is away stops nothing; one that refuses us is opened anew, with the
//! credential that its reference names then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::super::open_bundles::{is_signature_name, is_volume_name};
use super::ends::Opener;
use super::event::{WatchEvent, WatchEvents};
use crate::content::{ErrorKind, Result, describe};
use crate::storage::{AzureQueue, MESSAGES_MAX, Notice, QueueMessage};

/// The service does not keep a question waiting, so an empty queue is asked again after this, and ever later.
const IDLE_MIN: Duration = Duration::from_millis(500);
const IDLE_MAX: Duration = Duration::from_secs(5);
/// The pauses while the queue is away.
const AWAY_MIN: Duration = Duration::from_secs(1);
const AWAY_MAX: Duration = Duration::from_mins(1);
/// A message that concerns nobody is removed when it was received this often.
const DEQUEUES_MAX: u64 = 5;

/// Asks the queue for ever.
pub(super) async fn follow(
    open: Opener<Arc<AzureQueue>>,
    changes: watch::Sender<u64>,
    events: WatchEvents,
) {
    let mut pace = Pace::default();
    let mut queue = None;
    loop {
        let known = queue.is_some();
        let mut taken = take(&open, &mut queue, &changes, &events).await;
        if known && is_denied(&taken) {
            // The credential may have been replaced meanwhile.
            taken = take(&open, &mut queue, &changes, &events).await;
        }
        if let Some(event) = pace.learn(&taken.map_err(|error| describe(&error))) {
            events(&event);
        }
        tokio::time::sleep(pace.pause).await;
    }
}

fn is_denied(taken: &Result<usize>) -> bool {
    matches!(taken, Err(error) if error.kind() == ErrorKind::Denied)
}

/// Asks the queue, opened with the credential of now where that is due. One that has refused us is not kept.
async fn take(
    open: &Opener<Arc<AzureQueue>>,
    queue: &mut Option<Arc<AzureQueue>>,
    changes: &watch::Sender<u64>,
    events: &WatchEvents,
) -> Result<usize> {
    let opened = match queue.take() {
        Some(opened) => opened,
        None => open().await?,
    };
    let taken = receive(&opened, changes, events).await;
    if !is_denied(&taken) {
        *queue = Some(opened);
    }
    taken
}

/// Receives once, wakes the watch, and removes what has done its duty. The number of messages that were received.
async fn receive(
    queue: &AzureQueue,
    changes: &watch::Sender<u64>,
    events: &WatchEvents,
) -> Result<usize> {
    let messages = queue.receive().await?;
    if messages.iter().any(|message| is_hint(&message.notice)) {
        changes.send_modify(|count| *count += 1);
    }
    for message in messages.iter().filter(|message| is_done(message)) {
        queue.remove(message).await?;
    }
    if let Some(text) = warn_of_poison(queue.name(), &messages) {
        events(&WatchEvent::Warning { text });
    }
    Ok(messages.len())
}

/// Whether there may be something to deliver.
fn is_hint(notice: &Notice) -> bool {
    matches!(notice, Notice::Created(object) if is_volume_name(object) || is_signature_name(object))
}

fn is_done(message: &QueueMessage) -> bool {
    match message.notice {
        Notice::Created(_) | Notice::Nothing => true,
        Notice::Elsewhere | Notice::Malformed => message.dequeues >= DEQUEUES_MAX,
    }
}

/// One line for all that was removed without having been of use.
fn warn_of_poison(queue: &str, messages: &[QueueMessage]) -> Option<String> {
    let removed = messages.iter().filter(|message| is_done(message));
    let count = |notice: &Notice| {
        let alike = removed.clone().filter(|it| it.notice == *notice);
        alike.count()
    };
    let (elsewhere, malformed) = (count(&Notice::Elsewhere), count(&Notice::Malformed));
    let reasons = [
        (elsewhere, "about another place"),
        (malformed, "no events of a storage account"),
    ];
    let reasons = reasons.iter().filter(|(count, _)| *count > 0);
    let reasons: Vec<String> = reasons.map(|(count, it)| format!("{count} {it}")).collect();
    (!reasons.is_empty()).then(|| {
        let reasons = reasons.join(", ");
        format!("messages were removed from `{queue}` after {DEQUEUES_MAX} attempts: {reasons}")
    })
}

/// When the queue is asked again, and what there is to tell. Pure.
struct Pace {
    pause: Duration,
    is_away: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pause: IDLE_MIN,
            is_away: false,
        }
    }
}

impl Pace {
    /// Takes in how many messages were received, or why none could be.
    fn learn(&mut self, taken: &Result<usize, String>) -> Option<WatchEvent> {
        let was_away = std::mem::replace(&mut self.is_away, taken.is_err());
        self.pause = match taken {
            Ok(MESSAGES_MAX..) => Duration::ZERO,
            Ok(0) if !was_away => (self.pause * 2).clamp(IDLE_MIN, IDLE_MAX),
            Ok(_) => IDLE_MIN,
            Err(_) if !was_away => AWAY_MIN,
            Err(_) => (self.pause * 2).min(AWAY_MAX),
        };
        match (taken, was_away) {
            (Err(reason), false) => Some(WatchEvent::QueueUnreachable {
                reason: reason.clone(),
            }),
            (Ok(_), true) => Some(WatchEvent::QueueReachable),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(pace: &mut Pace, taken: &Result<usize, String>, times: usize) -> Vec<Duration> {
        let learn = |_| {
            pace.learn(taken);
            pace.pause
        };
        (0..times).map(learn).collect()
    }

    #[test]
    fn an_idle_queue_is_asked_ever_less_often_and_a_busy_one_at_once() {
        let mut pace = Pace::default();
        let idle = pauses(&mut pace, &Ok(0), 10);
        assert_eq!((idle[0], idle[9]), (2 * IDLE_MIN, IDLE_MAX));
        assert_eq!(pauses(&mut pace, &Ok(1), 1), [IDLE_MIN]);
        assert_eq!(pauses(&mut pace, &Ok(MESSAGES_MAX), 1), [Duration::ZERO]);
        assert_eq!(pauses(&mut pace, &Ok(0), 1), [IDLE_MIN]);
    }

    #[test]
    fn a_queue_that_is_away_is_told_once_and_when_it_is_back() {
        let mut pace = Pace::default();
        let away = Err("gone".to_owned());
        assert!(matches!(
            pace.learn(&away),
            Some(WatchEvent::QueueUnreachable { .. })
        ));
        assert_eq!(pace.pause, AWAY_MIN);
        let later = pauses(&mut pace, &away, 10);
        assert_eq!((later[0], later[9]), (2 * AWAY_MIN, AWAY_MAX));
        assert!(pace.learn(&away).is_none());
        assert_eq!(pace.learn(&Ok(0)), Some(WatchEvent::QueueReachable));
        assert_eq!(pace.pause, IDLE_MIN);
        assert!(pace.learn(&Ok(0)).is_none());
    }
}
