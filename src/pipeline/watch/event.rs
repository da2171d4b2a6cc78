//! What a watch tells while it goes on: one clear line each, and never twice the same about an object.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::content::{count, escape_control};

/// What happened to an object, a bundle or the watch itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The container is being watched; the first listing is complete.
    Ready {
        container: String,
        objects: usize,
    },
    /// A sign of life, after each listing.
    Listed {
        objects: usize,
    },
    /// A sign of life: something was tried and came to nothing, or takes long.
    Tried,
    /// It is no bundle, and nothing is done with it.
    Foreign {
        object: String,
    },
    ForeignCount {
        count: usize,
    },
    /// It may still be arriving, or lacks volumes or signatures.
    Waiting {
        object: String,
        reason: String,
    },
    /// It is looked at again later.
    Postponed {
        object: String,
        reason: String,
    },
    /// It waits for other volumes, and its blobs are at the target.
    Ahead {
        object: String,
        summary: String,
    },
    Started {
        bundle: String,
    },
    Imported {
        bundle: String,
        summary: String,
    },
    /// Some artifacts of it failed.
    PartlyImported {
        bundle: String,
        summary: String,
    },
    /// Nothing was to be done.
    Skipped {
        bundle: String,
        reason: String,
    },
    SetAside {
        object: String,
        reason: String,
    },
    Removed {
        object: String,
    },
    Warning {
        text: String,
    },
    /// The container cannot be listed; the watch goes on trying.
    Unreachable {
        reason: String,
    },
    Reachable,
    /// The target cannot be used at the start; the watch goes on trying.
    TargetUnreachable {
        reason: String,
    },
    TargetReachable,
    /// Keys or credentials have changed, and are in force.
    Renewed {
        text: String,
    },
    /// The queue cannot be asked; the watch goes on by its interval.
    QueueUnreachable {
        reason: String,
    },
    QueueReachable,
    Stopped,
}

impl WatchEvent {
    /// What it is about, where later lines about the same thing replace it.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::Waiting { object, .. }
            | Self::Postponed { object, .. }
            | Self::SetAside { object, .. } => Some(object),
            Self::Unreachable { .. }
            | Self::Reachable
            | Self::TargetUnreachable { .. }
            | Self::TargetReachable => Some(""),
            _ => None,
        }
    }

    /// One word for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "ready",
            Self::Listed { .. } => "listed",
            Self::Tried => "tried",
            Self::Foreign { .. } | Self::ForeignCount { .. } => "foreign",
            Self::Waiting { .. } => "waiting",
            Self::Postponed { .. } => "postponed",
            Self::Ahead { .. } => "ahead",
            Self::Started { .. } => "started",
            Self::Imported { .. } => "imported",
            Self::PartlyImported { .. } => "partly imported",
            Self::Skipped { .. } => "skipped",
            Self::SetAside { .. } => "set aside",
            Self::Removed { .. } => "removed",
            Self::Warning { .. } => "warning",
            Self::Unreachable { .. } => "unreachable",
            Self::Reachable => "reachable",
            Self::TargetUnreachable { .. } => "target unreachable",
            Self::TargetReachable => "target reachable",
            Self::Renewed { .. } => "renewed",
            Self::QueueUnreachable { .. } => "queue unreachable",
            Self::QueueReachable => "queue reachable",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for WatchEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Ready { container, objects } => {
                format!("watching `{container}`, {}", count(*objects, "object"))
            }
            Self::Listed { objects } => format!("listed, {}", count(*objects, "object")),
            Self::Tried => "tried".to_owned(),
            Self::Foreign { object } => {
                format!("{object}: ignored, it is not a bundle by its name")
            }
            Self::ForeignCount { count: number } => {
                format!("{number} objects are ignored: no bundles by their names")
            }
            Self::Waiting { object, reason } => format!("{object}: waiting: {reason}"),
            Self::Postponed { object, reason } => {
                format!("{object}: will be tried again: {reason}")
            }
            Self::Ahead { object, summary } => {
                format!("{object}: its blobs are at the target: {summary}")
            }
            Self::Started { bundle } => format!("{bundle}: importing"),
            Self::Imported { bundle, summary } => format!("{bundle}: imported: {summary}"),
            Self::PartlyImported { bundle, summary } => {
                format!("{bundle}: imported in part: {summary}")
            }
            Self::Skipped { bundle, reason } => format!("{bundle}: nothing to do: {reason}"),
            Self::SetAside { object, reason } => format!("{object}: set aside: {reason}"),
            Self::Removed { object } => format!("{object}: removed from the container"),
            Self::Warning { text } => format!("warning: {text}"),
            Self::Unreachable { reason } => format!("the container cannot be listed: {reason}"),
            Self::Reachable => "the container can be listed again".to_owned(),
            Self::TargetUnreachable { reason } => format!("the target cannot be used: {reason}"),
            Self::TargetReachable => "the target can be used".to_owned(),
            Self::Renewed { text } => text.clone(),
            Self::QueueUnreachable { reason } => {
                format!("the queue cannot be asked, listings go on: {reason}")
            }
            Self::QueueReachable => "the queue can be asked again".to_owned(),
            Self::Stopped => "stopped".to_owned(),
        };
        f.write_str(&escape_control(&text))
    }
}

pub type WatchEvents = Arc<dyn Fn(&WatchEvent) + Send + Sync>;

/// Tells events, and leaves out what was the last thing told about the same object.
pub(super) struct Teller {
    events: WatchEvents,
    last: HashMap<String, WatchEvent>,
}

impl Teller {
    pub(super) fn new(events: WatchEvents) -> Self {
        Self {
            events,
            last: HashMap::new(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "events are made to be told")]
    pub(super) fn tell(&mut self, event: WatchEvent) {
        if let Some(subject) = event.subject() {
            if self.last.get(subject) == Some(&event) {
                return;
            }
            self.last.insert(subject.to_owned(), event.clone());
        }
        (self.events)(&event);
    }

    /// Nothing more is expected about these objects, or they begin anew.
    pub(super) fn forget(&mut self, objects: &[String]) {
        for object in objects {
            self.last.remove(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn the_same_is_told_once_and_again_after_something_else() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let mut teller = Teller::new(Arc::new(move |event| {
            sink.lock().unwrap().push(event.name());
        }));
        let waiting = |reason: &str| WatchEvent::Waiting {
            object: "a".into(),
            reason: reason.into(),
        };
        for event in [waiting("1"), waiting("1"), waiting("2"), waiting("1")] {
            teller.tell(event);
        }
        teller.tell(WatchEvent::Reachable);
        teller.tell(WatchEvent::Reachable);
        assert_eq!(
            *told.lock().unwrap(),
            ["waiting", "waiting", "waiting", "reachable"]
        );
    }
}
