//! What a run tells about itself while it goes on, kept until it is written: its progress and its log.
//!
//! Events come by the thousand and are counted here, in memory; `active` writes what has changed once in a
//! while. The log is bounded: what a run tells beyond it is left out, and that is told.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::run::{RunPhase, RunProgress, words};
use crate::content::{self, Event, escape_control};

/// Lines that are kept of a run, apart from its end and from the one that says that others were left out.
pub const LOG_LINES_MAX: u64 = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub time: Timestamp,
    pub event: LogEvent,
    pub text: String,
}

words! {
    /// What a line of a run's log is about.
    LogEvent {
        Started = "started",
        Planned = "planned",
        Warning = "warning",
        /// A project or repository that the target had to have.
        Created = "created",
        /// A tag has moved.
        Tagged = "tagged",
        Delivered = "delivered",
        Unchanged = "unchanged",
        Kept = "kept",
        Failed = "failed",
        CancelAsked = "cancel asked",
        /// The log is full.
        Cut = "cut",
        Ended = "ended",
    }
}

/// What is to be written: lines with their positions, and the progress where it has changed.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) lines: Vec<(u64, LogLine)>,
    pub(super) progress: Option<RunProgress>,
    /// Bytes that were moved so far; what was read back does not count.
    pub(super) moved_bytes: u64,
}

pub(super) struct Journal {
    clock: fn() -> Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    page: Page,
    progress: Option<RunProgress>,
    has_progressed: bool,
    /// Lines so far, written or not.
    told: u64,
}

impl Journal {
    /// `told` lines are in the ledger already.
    pub(super) fn new(clock: fn() -> Timestamp, told: u64) -> Self {
        Self {
            clock,
            state: Mutex::new(State {
                told,
                ..State::default()
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn observe(&self, event: &Event, phase: RunPhase) {
        match event {
            Event::Planned { contents, bytes } => self.plan(*contents as u64, *bytes, phase),
            // It comes before the run begins.
            Event::TakingApart { .. } => {}
            Event::ReadingBack(bytes) => self.lengthen(*bytes),
            Event::Moved(bytes) => self.count(*bytes, 0, phase == RunPhase::Moving),
            Event::Spared(bytes) => self.count(*bytes, 0, false),
            Event::ContentDone(_) => self.count(0, 1, false),
            Event::Settled { .. } => {}
            Event::Tagged(repository, tag) => {
                self.tell(LogEvent::Tagged, format!("{repository}:{tag}"));
            }
            Event::Created(it) => self.tell(
                LogEvent::Created,
                format!("{} {}", it.kind.as_str(), it.name),
            ),
            Event::Warning(text) => self.tell(LogEvent::Warning, text),
        }
    }

    fn plan(&self, contents: u64, size_bytes: u64, phase: RunPhase) {
        let doing = match phase {
            RunPhase::Moving => "",
            RunPhase::ReadingBack => " to read back",
        };
        self.tell(
            LogEvent::Planned,
            format!(
                "{}, {}{doing}",
                content::count(contents, "content"),
                content::count(size_bytes, "byte")
            ),
        );
        let mut state = self.lock();
        state.has_progressed = true;
        state.progress = Some(RunProgress {
            phase,
            contents,
            contents_done: 0,
            size_bytes,
            done_bytes: 0,
            updated: (self.clock)(),
        });
    }

    fn lengthen(&self, bytes: u64) {
        if let Some(progress) = &mut self.lock().progress {
            progress.size_bytes += bytes;
        }
    }

    fn count(&self, bytes: u64, contents: u64, is_moved: bool) {
        let mut state = self.lock();
        if is_moved {
            state.page.moved_bytes += bytes;
        }
        if let Some(progress) = &mut state.progress {
            // What broke off and was moved again counts once.
            progress.done_bytes = (progress.done_bytes + bytes).min(progress.size_bytes);
            progress.contents_done = (progress.contents_done + contents).min(progress.contents);
            state.has_progressed = true;
        }
    }

    pub(super) fn tell(&self, event: LogEvent, text: impl AsRef<str>) {
        let mut state = self.lock();
        let position = state.told;
        let line = |event, text: &str| LogLine {
            time: (self.clock)(),
            event,
            text: escape_control(text),
        };
        let line = match position {
            0..LOG_LINES_MAX => line(event, text.as_ref()),
            LOG_LINES_MAX => line(LogEvent::Cut, "the log is full, and more is not kept"),
            _ => return,
        };
        state.told += 1;
        state.page.lines.push((position, line));
    }

    pub(super) fn moved_bytes(&self) -> u64 {
        self.lock().page.moved_bytes
    }

    /// What has changed since it was last asked for.
    pub(super) fn take(&self) -> Option<Page> {
        let mut state = self.lock();
        if !state.has_progressed && state.page.lines.is_empty() {
            return None;
        }
        let has_progressed = std::mem::take(&mut state.has_progressed);
        let now = (self.clock)();
        if let Some(progress) = state.progress.as_mut().filter(|_| has_progressed) {
            progress.updated = now;
        }
        Some(Page {
            lines: std::mem::take(&mut state.page.lines),
            progress: state.progress.clone().filter(|_| has_progressed),
            moved_bytes: state.page.moved_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Journal {
        Journal::new(|| Timestamp::UNIX_EPOCH, 1)
    }

    #[test]
    fn events_are_counted_and_written_once() {
        let journal = journal();
        assert!(journal.take().is_none());
        let planned = Event::Planned {
            contents: 2,
            bytes: 100,
        };
        journal.observe(&planned, RunPhase::Moving);
        for _ in 0..10_000 {
            journal.observe(&Event::Moved(1), RunPhase::Moving);
        }
        journal.observe(&Event::Spared(20), RunPhase::Moving);
        let page = journal.take().unwrap();
        assert_eq!((page.lines.len(), page.lines[0].0), (1, 1));
        assert_eq!(page.moved_bytes, 10_000);
        let progress = page.progress.unwrap();
        assert_eq!((progress.done_bytes, progress.contents_done), (100, 0));
        assert!(journal.take().is_none());
        journal.observe(&planned, RunPhase::ReadingBack);
        journal.observe(&Event::Moved(7), RunPhase::ReadingBack);
        let page = journal.take().unwrap();
        assert_eq!(page.moved_bytes, 10_000, "what is read back is not moved");
        assert_eq!(page.progress.unwrap().done_bytes, 7);
    }

    #[test]
    fn a_log_that_is_full_says_so_once() {
        let journal = journal();
        for number in 0..LOG_LINES_MAX + 50 {
            journal.tell(LogEvent::Warning, format!("line {number}\u{1b}[1m"));
        }
        let lines = journal.take().unwrap().lines;
        assert_eq!(lines.len() as u64, LOG_LINES_MAX);
        assert!(!lines[0].1.text.contains('\u{1b}'));
        let (position, last) = lines.last().unwrap();
        assert_eq!((*position, last.event), (LOG_LINES_MAX, LogEvent::Cut));
        journal.tell(LogEvent::Failed, "too late");
        assert!(journal.take().is_none());
    }
}
