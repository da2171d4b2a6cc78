//! What a watch remembers of the objects in its container, and what is due next.
//!
//! Pure: it is told what was listed and what became of opening an object, and says what to open, which sets are
//! complete and when to look again. Time is handed in.
//!
//! **Invariants.** An object is opened once for each version, once more when it has settled and the first reading
//! failed, and again when a signature beside it changes. The same name with another version is a new object.
//! Objects whose names are not ours take no memory.

mod sets;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub(super) use self::sets::{CompleteSet, IncompleteSet};
use super::verdict::{Fault, Verdict};
use super::work_key::WorkKey;
use crate::content::Version;
use crate::pipeline::open_bundles::{is_signature_name, is_volume_name};
use crate::storage::FoundObject;

/// What is due by its settle time already is still left alone for a moment.
const SECOND_READING: Duration = Duration::from_secs(1);

/// What the inventory of an opened volume says of its place in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VolumePlace {
    /// The same for all volumes of a bundle, and for no other bundle.
    pub(super) set: String,
    pub(super) volume: u32,
    pub(super) volumes: u32,
    /// The bundle's signed name, and the digest of this volume's inventory.
    pub(super) bundle: String,
    pub(super) inventory: String,
    /// Bundles are taken in this order: sequence, then time of making.
    pub(super) order: Order,
}

pub(super) type Order = (Option<u64>, Timestamp);

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Not opened yet, or to be opened again from `due` on.
    Unread {
        due: Instant,
    },
    /// It lacks something. Only another version or another signature changes that.
    Waiting,
    /// It was given up, opened or not. What is wrong says what may bring it back.
    SetAside(Fault),
    Opened,
    /// Its set was delivered. Copies of its volumes are known by it.
    Finished,
}

/// What is known of an object's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// All of it was read and is right.
    Proven,
    Unread,
    /// It is damaged, or a set that had it was.
    Suspect,
}

#[derive(Debug)]
struct Entry {
    version: Version,
    /// When this version was first seen here.
    since: Instant,
    /// How many readings of this version have failed.
    failures: u32,
    standing: Standing,
    /// Where it belongs, once this version was opened.
    place: Option<VolumePlace>,
    /// Whether its blobs were looked at before its set was complete.
    was_early: bool,
    state: State,
}

/// What a listing has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Objects that are no bundles, newly seen.
    pub(super) foreign: Vec<String>,
    pub(super) foreign_count: usize,
    /// Objects that are gone, or that begin anew after they were done with.
    pub(super) forgotten: Vec<String>,
    /// What the ledger calls objects that were given up, and are gone or replaced.
    pub(super) withdrawn: Vec<WorkKey>,
}

/// Names of foreign objects that are told one by one; of more, only the number is.
const FOREIGN_TOLD_MAX: usize = 20;

pub(super) struct Book {
    /// A writer that stops for longer than this is taken for one that has ended.
    settle_time: Duration,
    entries: HashMap<Box<str>, Entry>,
    signatures: HashMap<Box<str>, Version>,
    /// How many foreign objects the last listing had, and their names where they are few.
    foreign_count: usize,
    foreign_told: BTreeSet<String>,
    /// Sets that are not to be tried before a time.
    postponed: HashMap<String, Instant>,
    /// Objects that were given up, and what the ledger calls them.
    set_aside: HashMap<Box<str>, WorkKey>,
    round: Round,
}

/// What the current listing has shown so far.
#[derive(Default)]
struct Round {
    volumes: BTreeSet<Box<str>>,
    signatures: BTreeSet<Box<str>>,
    foreign: Vec<String>,
    foreign_count: usize,
    renewed: Vec<String>,
}

impl Book {
    pub(super) fn new(settle_time: Duration) -> Self {
        Self {
            settle_time,
            entries: HashMap::new(),
            signatures: HashMap::new(),
            foreign_count: 0,
            foreign_told: BTreeSet::new(),
            postponed: HashMap::new(),
            set_aside: HashMap::new(),
            round: Round::default(),
        }
    }

    /// A listing begins. What another one has shown that broke off is forgotten.
    pub(super) fn begin_listing(&mut self) {
        self.round = Round::default();
    }

    /// Takes in one object of a listing.
    pub(super) fn observe(&mut self, object: FoundObject, now: Instant) {
        let name: Box<str> = object.name.into();
        if is_volume_name(&name) {
            self.observe_volume(&name, object.version, now);
            self.round.volumes.insert(name);
        } else if is_signature_name(&name) {
            let before = self.signatures.insert(name.clone(), object.version.clone());
            if before.as_ref() != Some(&object.version) {
                self.reopen_signed(&name, now);
            }
            self.round.signatures.insert(name);
        } else {
            self.round.foreign_count += 1;
            if self.round.foreign.len() < FOREIGN_TOLD_MAX {
                self.round.foreign.push(name.into());
            }
        }
    }

    fn observe_volume(&mut self, name: &str, version: Version, now: Instant) {
        if self
            .entries
            .get(name)
            .is_some_and(|entry| entry.version == version)
        {
            return;
        }
        if let Some(entry) = self.entries.get(name) {
            if let Some(place) = &entry.place {
                self.postponed.remove(&place.set);
            }
            if matches!(entry.state, State::SetAside(_) | State::Finished) {
                self.round.renewed.push(name.to_owned());
            }
        }
        let entry = Entry {
            version,
            since: now,
            failures: 0,
            standing: Standing::Unread,
            place: None,
            was_early: false,
            state: State::Unread { due: now },
        };
        self.entries.insert(name.into(), entry);
    }

    /// A signature `<object>.<key id>.sig` has come or changed: the object may be admitted now.
    fn reopen_signed(&mut self, signature: &str, now: Instant) {
        let Some(entry) = signed_object(signature).and_then(|object| self.entries.get_mut(object))
        else {
            return;
        };
        if let Some(place) = &entry.place {
            self.postponed.remove(&place.set);
        }
        if entry.state != State::Finished {
            entry.state = State::Unread { due: now };
        }
    }

    /// The listing is complete: forgets what is gone, and says what else is new.
    pub(super) fn end_listing(&mut self, now: Instant) -> Changes {
        let round = std::mem::take(&mut self.round);
        let mut forgotten = round.renewed;
        self.entries.retain(|name, _| {
            let is_there = round.volumes.contains(name);
            if !is_there {
                forgotten.push(name.to_string());
            }
            is_there
        });
        let known = self.signatures.keys();
        let gone = known.filter(|name| !round.signatures.contains(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            // It may have been a wrong one that stood in the way.
            self.reopen_signed(&name, now);
            self.signatures.remove(&name);
        }
        let entries = &self.entries;
        let mut withdrawn = Vec::new();
        self.set_aside.retain(|name, key| {
            let state = entries.get(name).map(|entry| &entry.state);
            let is_given_up = matches!(state, Some(State::SetAside(_)));
            if !is_given_up && key.is_of_object() {
                withdrawn.push(key.clone());
            }
            is_given_up
        });
        let mut changes = Changes {
            forgotten,
            withdrawn,
            ..Changes::default()
        };
        let few = round.foreign_count <= FOREIGN_TOLD_MAX;
        if few {
            let names: BTreeSet<String> = round.foreign.into_iter().collect();
            let new = names.difference(&self.foreign_told);
            changes.foreign = new.cloned().collect();
            self.foreign_told = names;
        } else if round.foreign_count > self.foreign_count {
            changes.foreign_count = round.foreign_count;
        }
        self.foreign_count = round.foreign_count;
        changes
    }

    /// Signatures beside `object`.
    pub(super) fn signatures_of(&self, object: &str) -> Vec<String> {
        let is_beside = |name: &&str| {
            name.strip_prefix(object)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let names = self.signatures.keys().map(|name| &**name);
        names.filter(is_beside).map(str::to_owned).collect()
    }

    /// The version that was listed under the name.
    pub(super) fn version_of(&self, object: &str) -> Option<&Version> {
        let entry = self.entries.get(object).map(|entry| &entry.version);
        entry.or_else(|| self.signatures.get(object))
    }

    /// Whether this version has been left alone for the settle time, and has failed before.
    pub(super) fn is_settled(&self, object: &str, now: Instant) -> bool {
        let is_settled = |entry: &Entry| {
            let alone = now.saturating_duration_since(entry.since);
            alone >= self.settle_time && entry.failures > 0
        };
        self.entries.get(object).is_some_and(is_settled)
    }

    /// Whether this version could not be used before.
    pub(super) fn has_failed(&self, object: &str) -> bool {
        let entry = self.entries.get(object);
        entry.is_some_and(|entry| entry.failures > 0)
    }

    /// The objects to open now, in the order of their names.
    pub(super) fn to_open(&self, now: Instant) -> Vec<String> {
        let is_due = |entry: &Entry| matches!(entry.state, State::Unread { due } if due <= now);
        let due = self.entries.iter().filter(|(_, entry)| is_due(entry));
        let mut names: Vec<String> = due.map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    /// The object was opened, and this is its place. A set that was given up for damage, or is left alone for a
    /// while, is tried with it.
    pub(super) fn opened(&mut self, object: &str, place: VolumePlace) {
        for (name, entry) in &mut self.entries {
            let is_at_rest = matches!(
                entry.state,
                State::SetAside(Fault::Content) | State::Unread { .. }
            );
            let is_of = |old: &VolumePlace| old.set == place.set;
            if is_at_rest && entry.place.as_ref().is_some_and(is_of) {
                entry.state = State::Opened;
                self.set_aside.remove(name);
            }
        }
        if let Some(entry) = self.entries.get_mut(object) {
            entry.place = Some(place);
            entry.state = State::Opened;
        }
    }

    /// The object could not be used.
    pub(super) fn judged(&mut self, object: &str, verdict: Verdict, now: Instant) {
        let Some(entry) = self.entries.get_mut(object) else {
            return;
        };
        entry.failures += 1;
        entry.state = match verdict {
            Verdict::Settle => State::Unread {
                due: (entry.since + self.settle_time)
                    .max(now + SECOND_READING.min(self.settle_time)),
            },
            Verdict::Retry => State::Unread {
                due: now + delay_after(entry.failures),
            },
            Verdict::Wait => State::Waiting,
            Verdict::SetAside(fault) => State::SetAside(fault),
        };
    }

    /// A set could not be delivered now: it is tried again at `due`.
    pub(super) fn postpone(&mut self, set: &str, due: Instant) {
        self.postponed.insert(set.to_owned(), due);
    }

    /// The objects were given up. A person may bring them back in the ledger.
    pub(super) fn set_aside(&mut self, objects: &[String], key: &WorkKey, fault: Fault) {
        for object in objects {
            if let Some(entry) = self.entries.get_mut(&**object) {
                if fault == Fault::Content && entry.standing == Standing::Unread {
                    entry.standing = Standing::Suspect;
                }
                entry.state = State::SetAside(fault);
                self.set_aside.insert((&**object).into(), key.clone());
            }
        }
    }

    /// Other keys are trusted now: what waits, or was given up for its signatures, is opened again.
    pub(super) fn reopen_untrusted(&mut self, now: Instant) {
        for (name, entry) in &mut self.entries {
            let is_open_to_change = matches!(
                entry.state,
                State::Waiting | State::Unread { .. } | State::SetAside(Fault::Trust)
            );
            if is_open_to_change {
                entry.state = State::Unread { due: now };
                self.set_aside.remove(name);
            }
        }
    }

    /// What was given up, by the ledger's keys.
    pub(super) fn keys_set_aside(&self) -> BTreeSet<WorkKey> {
        self.set_aside.values().cloned().collect()
    }

    /// What a person has brought back is opened again: these objects.
    pub(super) fn revive(&mut self, key: &WorkKey, now: Instant) -> Vec<String> {
        let mut revived = Vec::new();
        let entries = &mut self.entries;
        self.set_aside.retain(|object, found| {
            let is_other = found != key;
            if !is_other && let Some(entry) = entries.get_mut(object) {
                entry.state = State::Unread { due: now };
                entry.failures = 0;
                entry.standing = Standing::Unread;
                revived.push(object.to_string());
            }
            is_other
        });
        revived
    }

    /// The objects of a set are not looked at again, unless they change.
    pub(super) fn finish(&mut self, objects: &[String]) {
        for object in objects {
            if let Some(entry) = self.entries.get_mut(&**object)
                && entry.state == State::Opened
            {
                entry.state = State::Finished;
            }
        }
    }

    /// Objects that are neither finished nor given up.
    pub(super) fn waiting_count(&self) -> usize {
        let is_waiting =
            |entry: &&Entry| !matches!(entry.state, State::SetAside(_) | State::Finished);
        self.entries.values().filter(is_waiting).count()
    }

    /// When something is due by itself; a listing may bring it forward.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let unread = self.entries.values().filter_map(|entry| match entry.state {
            State::Unread { due } => Some(due),
            _ => None,
        });
        unread
            .chain(self.postponed.values().copied())
            .filter(|due| *due > now)
            .min()
    }
}

impl Entry {
    /// Whether it was opened as a volume of the set, which is not delivered.
    fn is_open_of(&self, set: &str) -> bool {
        self.state == State::Opened && self.place.as_ref().is_some_and(|place| place.set == set)
    }
}

/// The object that a signature of the name `<object>.<key id>.sig` is about.
pub(super) fn signed_object(signature: &str) -> Option<&str> {
    let (object, _) = signature.strip_suffix(".sig")?.rsplit_once('.')?;
    Some(object)
}

/// Growing pauses between tries, from one second to five minutes.
pub(super) fn delay_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(9);
    Duration::from_secs(1 << doublings).min(Duration::from_mins(5))
}
