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

mod book;
mod deliver;
mod event;
mod queue;
#[cfg(test)]
mod tests;
mod verdict;
mod wake;
mod watched;
mod work_key;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use event::{WatchEvent, WatchEvents};
pub use work_key::WorkKey;

use self::book::{Book, CompleteSet, VolumePlace};
use self::event::Teller;
use self::verdict::{Verdict, judge_volume};
use self::wake::Wake;
use self::watched::Watched;
use super::deliver::Remembrance;
use super::import::ImportOptions;
use super::open_bundles::{key_of_set, open_volume};
use super::place::{Place, TargetReference};
use super::rebuild::PlatformIndex;
use crate::bundle::{SignaturePolicy, Volume};
use crate::content::{Error, Result, describe};
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
    pub container: Arc<dyn StorageContainer>,
    /// The directory behind the container, where it is one, to be told of changes.
    pub directory: Option<PathBuf>,
    /// The queue that is told of new objects of the container, where there is one.
    pub queue: Option<Arc<AzureQueue>>,
    pub policy: SignaturePolicy,
    pub target: TargetReference,
    pub import: ImportOptions,
    pub platform_index: PlatformIndex,
    pub one_off: OneOff,
    pub source: DeliveredSource,
    pub interval: Duration,
    /// What fails is read again when it has not changed for this long, and only then given up.
    pub settle_time: Duration,
    pub until: Until,
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
}

/// A writer that stops for longer than this is taken for one that has ended.
pub const SETTLE_TIME: Duration = Duration::from_mins(1);

/// Runs until `stop` is cancelled, or for one round.
pub async fn run_watch(
    options: &WatchOptions,
    place: &Place,
    memory: &Remembrance,
    stop: &CancellationToken,
) -> Result<WatchReport> {
    let mut watching = Watching {
        options,
        place,
        memory,
        watched: Watched::new(Arc::clone(&options.container), options.directory.as_deref()),
        book: Book::new(options.settle_time),
        teller: Teller::new(Arc::clone(&options.events)),
        report: WatchReport::default(),
        is_ready: false,
        is_unreachable: false,
        holder: format!("{}, process {}", memory.who, std::process::id()),
    };
    let mut wake = watching.start_wake();
    loop {
        let listed = Instant::now();
        // A round is never dropped: what it has claimed is given back when `stop` is cancelled.
        match watching.watched.follow() {
            Ok(is_another) => {
                if is_another {
                    wake = watching.start_wake();
                }
                watching.round(stop).await;
            }
            Err(error) => watching.miss(&error),
        }
        if stop.is_cancelled() {
            break;
        }
        if options.until == Until::Once {
            return Ok(watching.end_once());
        }
        let due = watching.book.next_due(Instant::now());
        tokio::select! {
            () = stop.cancelled() => break,
            () = wake.wait(listed, due) => {}
        }
    }
    watching.teller.tell(WatchEvent::Stopped);
    Ok(watching.report)
}

struct Watching<'a> {
    options: &'a WatchOptions,
    place: &'a Place,
    memory: &'a Remembrance,
    watched: Watched,
    book: Book,
    teller: Teller,
    report: WatchReport,
    is_ready: bool,
    is_unreachable: bool,
    /// Who holds the claims of this watch, for people who look at the ledger.
    holder: String,
}

impl WatchOptions {
    /// The import's options, with the clock of now.
    fn import_at(&self, now: Timestamp) -> ImportOptions {
        let mut options = self.import.clone();
        options.rules.now = now;
        options
    }
}

impl Watching<'_> {
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
            self.teller.tell(WatchEvent::Warning { text });
        }
        wake
    }

    /// The container is not to be had now.
    fn miss(&mut self, error: &Error) {
        let reason = describe(error);
        self.report.postponed += 1;
        self.is_unreachable = true;
        self.teller.tell(WatchEvent::Unreachable { reason });
    }

    /// Lists, opens, delivers. Whatever fails is told.
    async fn round(&mut self, stop: &CancellationToken) {
        let listed = tokio::select! {
            listed = self.list() => listed,
            () = stop.cancelled() => return,
        };
        if let Err(error) = listed {
            self.miss(&error);
            return;
        }
        if let Err(error) = self.revive().await {
            let text = describe(&error);
            self.teller.tell(WatchEvent::Warning { text });
        }
        self.open_new(stop).await;
        let mut tried = Vec::new();
        // A delivery may take long; what became complete meanwhile is not kept waiting by the order of names.
        while !stop.is_cancelled()
            && let Some(set) = self.next_set(&tried)
        {
            tried.push(set.set.clone());
            self.deliver(&set, stop).await;
        }
    }

    async fn list(&mut self) -> Result<()> {
        let now = Instant::now();
        let container = Arc::clone(&self.watched.container);
        self.book.begin_listing();
        let mut objects = container.list("");
        let mut count = 0;
        while let Some(object) = objects.try_next().await? {
            self.book.observe(object, now);
            count += 1;
        }
        let changes = self.book.end_listing();
        self.teller.forget(&changes.forgotten);
        self.teller.tell(WatchEvent::Listed { objects: count });
        if std::mem::take(&mut self.is_unreachable) && self.is_ready {
            self.teller.tell(WatchEvent::Reachable);
        }
        if !self.is_ready {
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

    /// Opens what is new. A set whose volumes are all here is delivered afterwards.
    async fn open_new(&mut self, stop: &CancellationToken) {
        for object in self.book.to_open(Instant::now()) {
            if stop.is_cancelled() {
                return;
            }
            let signatures = self.book.signatures_of(&object);
            let container = &*self.watched.container;
            match open_volume(container, &object, &signatures, &self.options.policy).await {
                Ok(volume) => self.opened(&object, &volume).await,
                Err(error) => {
                    let now = Instant::now();
                    let verdict = judge_volume(&error, self.book.is_settled(&object, now));
                    self.judge_object(&object, verdict, describe(&error), now)
                        .await;
                }
            }
        }
        self.tell_incomplete();
    }

    fn tell_incomplete(&mut self) {
        for incomplete in self.book.sets(Instant::now()).1 {
            let missing = incomplete.missing.iter().map(ToString::to_string);
            let missing: Vec<String> = missing.collect();
            let (missing, volumes) = (missing.join(", "), incomplete.volumes);
            let reason = format!("volume {missing} of {volumes} has not arrived");
            for object in self.book.objects_of(&incomplete.set) {
                self.teller.tell(WatchEvent::Waiting {
                    object,
                    reason: reason.clone(),
                });
            }
        }
    }

    async fn opened(&mut self, object: &str, volume: &Volume) {
        if self.book.has_failed(object) {
            // It could not be used before, and may be in the ledger as such.
            let key = self.key_of_object(object).to_string();
            if let Err(error) = self.memory.ledger.withdraw(&key).await {
                let text = describe(&error);
                self.teller.tell(WatchEvent::Warning { text });
            }
        }
        self.book.opened(object, place_of(volume));
    }

    fn key_of_object(&self, object: &str) -> WorkKey {
        let version = self.book.version_of(object).map(ToString::to_string);
        WorkKey {
            subject: object.to_owned(),
            identity: version.unwrap_or_default(),
            container: self.watched.lasting_name(),
            target: self.options.target.to_string(),
        }
    }

    async fn judge_object(&mut self, object: &str, verdict: Verdict, reason: String, now: Instant) {
        if verdict == Verdict::SetAside {
            let key = self.key_of_object(object);
            self.give_up(&[object.to_owned()], &key, object, reason)
                .await;
        } else {
            self.judged(object, verdict, reason, now);
        }
    }

    fn judged(&mut self, object: &str, verdict: Verdict, reason: String, now: Instant) {
        self.book.judged(object, verdict, now);
        self.report.postponed += usize::from(verdict == Verdict::Retry);
        let object = object.to_owned();
        self.teller.tell(match verdict {
            Verdict::Settle | Verdict::Wait => WatchEvent::Waiting { object, reason },
            Verdict::Retry => WatchEvent::Postponed { object, reason },
            Verdict::SetAside => WatchEvent::SetAside { object, reason },
        });
    }

    /// The next complete set that this round has not tried.
    fn next_set(&self, tried: &[String]) -> Option<CompleteSet> {
        let (complete, _) = self.book.sets(Instant::now());
        let untried = complete.into_iter().filter(|set| !tried.contains(&set.set));
        untried.min_by_key(|set| set.order)
    }

    fn end_once(mut self) -> WatchReport {
        self.report.waiting = self.book.waiting_count();
        self.report
    }
}

fn place_of(volume: &Volume) -> VolumePlace {
    let inventory = volume.inventory();
    VolumePlace {
        set: key_of_set(volume),
        volume: inventory.volume,
        volumes: inventory.volumes,
        bundle: inventory.name.clone(),
        inventory: volume.inventory_digest().to_string(),
        order: (inventory.sequence, inventory.created),
    }
}
