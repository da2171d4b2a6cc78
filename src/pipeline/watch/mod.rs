//! The watch: takes every bundle of a container, once, as soon as it can be taken.
//!
//! It lists the container, opens what is new, and delivers sets that are complete, in the order of their sequence.
//! Whatever woke it is only a hint; what is done is decided by content, in `verdict` and `book`, which are pure.
//!
//! **Invariants.** Nothing about an object ends the watch: it is told in one line, and the watch goes on. A bundle
//! is claimed in the ledger before it is imported and recorded after; what was recorded is not imported again by
//! any watch that shares the state directory. Nothing is removed before the whole set has been delivered and
//! recorded, and then only the version that was read.
//! Specification: design.md, "Reading"; FORMAT.md, "Volumes".

mod aside;
mod book;
mod claiming;
mod copies;
mod deliver;
mod early;
mod ending;
mod ends;
mod event;
mod gone;
mod known_directory;
mod objects;
mod queue;
#[cfg(test)]
mod tests;
mod trust;
mod verdict;
mod wake;
mod watched;
mod work_key;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use ends::Opener;
pub use event::{WatchEvent, WatchEvents};
pub use trust::PolicyReader;
pub use work_key::WorkKey;

use self::aside::Known;
use self::book::{Book, CompleteSet};
use self::ends::{TargetEnd, open_ends};
use self::event::Teller;
use self::trust::{Trust, TrustChange};
use self::wake::Wake;
use self::watched::Watched;
use super::deliver::Remembrance;
use super::import::{ImportOptions, Tailoring};
use super::place::{Place, TargetReference};
use crate::content::{Error, ErrorKind, Result, describe};
use crate::storage::{AzureQueue, StorageContainer};

/// What becomes of a bundle without a pipeline. Safe by default: nothing orders it, so it could be played again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneOff {
    Refuse,
    Accept,
}

/// What becomes of the objects of a bundle that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveredSource {
    Keep,
    Delete,
}

/// When a watch ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    Stopped,
    /// After one listing and what it led to.
    Once,
}

pub struct WatchOptions {
    pub open_container: Opener<Arc<dyn StorageContainer>>,
    /// The directory behind the container, where it is one, to be told of changes.
    pub directory: Option<PathBuf>,
    /// The queue that is told of new objects of the container, where there is one.
    pub queue: Option<Opener<Arc<AzureQueue>>>,
    pub read_trust: PolicyReader,
    pub target: TargetReference,
    pub open_target: Opener<Place>,
    pub import: ImportOptions,
    pub tailoring: Tailoring,
    pub one_off: OneOff,
    pub source: DeliveredSource,
    pub interval: Duration,
    /// What fails is read again when it has not changed for this long, and only then given up.
    pub settle_time: Duration,
    pub until: Until,
    /// Names of bundles or of their objects; empty means all. Others are not looked at.
    pub only: Vec<String>,
    pub events: WatchEvents,
}

/// What a watch did until it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchReport {
    pub imported: usize,
    pub partly_imported: usize,
    pub set_aside: usize,
    /// Objects and bundles that wait for something.
    pub waiting: usize,
    /// What could not be done now, around the bundles: the container or the target was not to be had.
    pub postponed: usize,
    /// How often the container refused to be listed.
    pub denied: usize,
}

/// A writer that stops for longer than this is taken for one that has ended.
pub const SETTLE_TIME: Duration = Duration::from_mins(1);

/// Runs until `stop` is cancelled, or for one round.
pub async fn run_watch(
    options: &WatchOptions,
    memory: &Remembrance,
    stop: &CancellationToken,
) -> Result<WatchReport> {
    let mut teller = Teller::new(Arc::clone(&options.events));
    let trust = Trust::read(&options.read_trust)?;
    let Some((watched, target)) = open_ends(options, &mut teller, stop).await? else {
        teller.tell(WatchEvent::Stopped);
        return Ok(WatchReport::default());
    };
    let mut watching = Watching {
        options,
        memory,
        known: Known::default(),
        watched,
        target,
        trust,
        book: Book::new(options.settle_time),
        teller,
        report: WatchReport::default(),
        is_ready: false,
        is_unreachable: false,
        holder: format!("{}, process {}", memory.who, std::process::id()),
    };
    watching.recall().await?;
    watching.run(stop).await;
    Ok(watching.report)
}

/// Whether the object is the named one, or belongs to the bundle of that name.
fn is_of(object: &str, name: &str) -> bool {
    let rest = object.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

struct Watching<'a> {
    options: &'a WatchOptions,
    memory: &'a Remembrance,
    /// What the ledger knew of this container's objects at the start, and learnt since.
    known: Known,
    watched: Watched,
    target: TargetEnd,
    trust: Trust,
    book: Book,
    teller: Teller,
    report: WatchReport,
    is_ready: bool,
    is_unreachable: bool,
    /// Who holds the claims of this watch, for people who look at the ledger.
    holder: String,
}

impl WatchOptions {
    /// Whether an object is, or belongs to, one of those that were named.
    fn is_wanted(&self, object: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| is_of(object, name))
    }

    /// The import's options, with the clock of now.
    fn import_at(&self, now: Timestamp) -> ImportOptions {
        let mut options = self.import.clone();
        options.rules.now = now;
        options
    }

    /// What is taken of a bundle now: ages are counted from its import.
    fn tailoring_at(&self, now: Timestamp) -> Tailoring {
        let mut tailoring = self.tailoring.clone();
        if let Some(part) = &mut tailoring.part {
            part.tags.now = now;
        }
        tailoring
    }
}

impl Watching<'_> {
    async fn run(&mut self, stop: &CancellationToken) {
        let mut wake = self.start_wake();
        loop {
            let listed = Instant::now();
            // A round is never dropped: what it has claimed is given back when `stop` is cancelled.
            match self.watched.follow().await {
                Ok(is_another) => {
                    if is_another {
                        wake = self.start_wake();
                    }
                    self.round(stop).await;
                }
                Err(error) => self.miss(&error),
            }
            if self.options.until == Until::Once && !stop.is_cancelled() {
                self.report.waiting = self.book.waiting_count();
                return;
            }
            let now = Instant::now();
            let due = match self.has_early() && !self.is_unreachable {
                true => Some(now),
                false => self.book.next_due(now),
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = wake.wait(listed, due) => {}
            }
        }
        self.teller.tell(WatchEvent::Stopped);
    }

    fn warn(&mut self, text: String) {
        self.teller.tell(WatchEvent::Warning { text });
    }

    fn start_wake(&mut self) -> Wake {
        let interval = self.options.interval;
        if let Some(queue) = &self.options.queue {
            return Wake::of_queue(queue, interval, &self.options.events);
        }
        let Some(directory) = &self.options.directory else {
            return Wake::by_interval(interval);
        };
        let (wake, failure) = Wake::of_directory(directory, interval);
        if let Some(failure) = failure {
            let text = format!(
                "changes of `{}` cannot be watched, so it is listed every {} s: {failure}",
                directory.display(),
                interval.as_secs()
            );
            self.warn(text);
        }
        wake
    }

    /// The container is not to be had now.
    fn miss(&mut self, error: &Error) {
        let reason = describe(error);
        self.report.postponed += 1;
        self.report.denied += usize::from(error.kind() == ErrorKind::Denied);
        self.is_unreachable = true;
        self.teller.tell(WatchEvent::Unreachable { reason });
        self.teller.tell(WatchEvent::Tried);
    }

    /// Reads the trusted keys anew. What was refused for its signatures gets another chance with other keys.
    fn read_trust(&mut self) {
        match self.trust.read_again() {
            TrustChange::Same => {}
            TrustChange::Changed => {
                self.book.reopen_untrusted(Instant::now());
                let text = "the trusted keys have changed, and the new ones are in force";
                let text = text.to_owned();
                self.teller.tell(WatchEvent::Renewed { text });
            }
            TrustChange::Unreadable(reason) => self.warn(format!(
                "the trusted keys cannot be read, so those of before stay in force: {reason}"
            )),
        }
    }

    /// Lists, opens, delivers. Whatever fails is told.
    async fn round(&mut self, stop: &CancellationToken) {
        let listed = tokio::select! {
            listed = self.list_with_login() => listed,
            () = stop.cancelled() => return,
        };
        if let Err(error) = listed {
            self.miss(&error);
            return;
        }
        self.read_trust();
        if let Err(error) = self.memory.send_receipts().await {
            self.warn(describe(&error));
        }
        if let Err(error) = self.revive().await {
            self.warn(describe(&error));
        }
        self.open_new(stop).await;
        let mut tried = Vec::new();
        // A delivery may take long; what became complete meanwhile is not kept waiting by the order of names.
        while !stop.is_cancelled()
            && let Some(set) = self.next_set(&tried)
        {
            tried.push(set.set.clone());
            self.deliver(set, stop).await;
        }
        self.push_early(stop).await;
    }

    /// Lists with the credential that we have, and where that is refused with the one that there is now.
    async fn list_with_login(&mut self) -> Result<()> {
        if self.watched.is_doubted()
            && let Err(error) = self.watched.renew().await
        {
            let text = describe(&error);
            self.warn(format!("the container cannot be opened anew: {text}"));
        }
        let listed = self.list().await;
        let Err(error) = listed else {
            return Ok(());
        };
        if error.kind() != ErrorKind::Denied {
            return Err(error);
        }
        self.watched.doubt();
        if !self.watched.is_doubted() {
            // A directory has no other credential.
            return Err(error);
        }
        self.watched.renew().await?;
        self.list().await?;
        let text = "the container's credential was read again".to_owned();
        self.teller.tell(WatchEvent::Renewed { text });
        Ok(())
    }

    async fn list(&mut self) -> Result<()> {
        let now = Instant::now();
        let container = Arc::clone(&self.watched.container);
        self.book.begin_listing();
        let mut objects = container.list("");
        let mut count = 0;
        let mut missing: BTreeSet<&String> = self.options.only.iter().collect();
        while let Some(object) = objects.try_next().await? {
            if self.options.is_wanted(&object.name) {
                missing.retain(|name| !is_of(&object.name, name));
                self.book.observe(object, now);
                count += 1;
            }
        }
        for name in missing {
            self.report.postponed += 1;
            let text = format!("there is no bundle `{name}` in `{}`", container.name());
            self.teller.tell(WatchEvent::Warning { text });
        }
        let changes = self.book.end_listing(now);
        self.teller.forget(&changes.forgotten);
        if self.options.only.is_empty() {
            self.forget(&changes).await;
        }
        self.teller.tell(WatchEvent::Listed { objects: count });
        if std::mem::take(&mut self.is_unreachable) && self.is_ready {
            self.teller.tell(WatchEvent::Reachable);
        }
        if !self.is_ready {
            if self.options.only.is_empty() {
                self.forget_gone().await;
                if let Err(error) = self.remove_left_signatures().await {
                    self.warn(describe(&error));
                }
            }
            self.is_ready = true;
            let container = container.name().to_owned();
            self.teller.tell(WatchEvent::Ready {
                container,
                objects: count,
            });
        }
        for object in changes.foreign {
            self.teller.tell(WatchEvent::Foreign { object });
        }
        if changes.foreign_count > 0 {
            let count = changes.foreign_count;
            self.teller.tell(WatchEvent::ForeignCount { count });
        }
        Ok(())
    }

    /// The next complete set that this round has not tried.
    fn next_set(&self, tried: &[String]) -> Option<CompleteSet> {
        let (complete, _) = self.book.sets(Instant::now());
        let untried = complete.into_iter().filter(|set| !tried.contains(&set.set));
        untried.min_by_key(|set| set.order)
    }
}
