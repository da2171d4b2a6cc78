//! What a watch remembers of the objects in its container, and what is due next.
//!
//! Pure: it is told what was listed and what became of opening an object, and says what to open, which sets are
//! complete and when to look again. Time is handed in.
//!
//! **Invariants.** An object is opened once for each version, once more when it has settled and the first reading
//! failed, and again when a signature beside it changes. The same name with another version is a new object.
//! Objects whose names are not ours take no memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::verdict::Verdict;
use crate::content::Version;
use crate::pipeline::open_bundles::{is_signature_name, is_volume_name};
use crate::storage::FoundObject;

/// A writer that stops for longer than this is taken for one that has ended.
pub(super) const SETTLE_TIME: Duration = Duration::from_secs(60);

/// What the inventory of an opened volume says of its place in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VolumePlace {
    /// The same for all volumes of a bundle, and for no other bundle.
    pub(super) set: String,
    pub(super) volume: u32,
    pub(super) volumes: u32,
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
    /// It was given up.
    SetAside,
    Opened(VolumePlace),
    Finished,
}

#[derive(Debug)]
struct Entry {
    version: Version,
    /// When this version was first seen here.
    since: Instant,
    /// How many readings of this version have failed.
    failures: u32,
    state: State,
}

/// A complete set, and the names of its volumes in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CompleteSet {
    pub(super) set: String,
    pub(super) objects: Vec<String>,
    pub(super) order: Order,
}

/// What a listing has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Objects that are no bundles, newly seen.
    pub(super) foreign: Vec<String>,
    pub(super) foreign_count: usize,
}

/// Names of foreign objects that are told one by one; of more, only the number is.
const FOREIGN_TOLD_MAX: usize = 20;

#[derive(Default)]
pub(super) struct Book {
    entries: HashMap<Box<str>, Entry>,
    signatures: HashMap<Box<str>, Version>,
    /// How many foreign objects were told by name; the names themselves are not kept.
    foreign_count: usize,
    /// Sets that are not to be tried before a time.
    postponed: HashMap<String, Instant>,
    round: Round,
}

/// What the current listing has shown so far.
#[derive(Default)]
struct Round {
    volumes: BTreeSet<Box<str>>,
    signatures: BTreeSet<Box<str>>,
    foreign: Vec<String>,
    foreign_count: usize,
}

impl Book {
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
        if let Some(Entry {
            state: State::Opened(place),
            ..
        }) = self.entries.get(name)
        {
            self.postponed.remove(&place.set);
        }
        let entry = Entry {
            version,
            since: now,
            failures: 0,
            state: State::Unread { due: now },
        };
        self.entries.insert(name.into(), entry);
    }

    /// A signature `<object>.<key id>.sig` has come or changed: the object may be admitted now.
    fn reopen_signed(&mut self, signature: &str, now: Instant) {
        let object = signature
            .strip_suffix(".sig")
            .and_then(|rest| rest.rsplit_once('.'))
            .map(|(object, _)| object);
        let Some(entry) = object.and_then(|object| self.entries.get_mut(object)) else {
            return;
        };
        if let State::Opened(place) = &entry.state {
            self.postponed.remove(&place.set);
        }
        if entry.state != State::Finished {
            entry.state = State::Unread { due: now };
        }
    }

    /// The listing is complete: forgets what is gone, and says what else is new.
    pub(super) fn end_listing(&mut self) -> Changes {
        let round = std::mem::take(&mut self.round);
        self.entries.retain(|name, _| round.volumes.contains(name));
        self.signatures
            .retain(|name, _| round.signatures.contains(name));
        let mut changes = Changes::default();
        if round.foreign_count > self.foreign_count {
            changes.foreign_count = round.foreign_count;
            changes.foreign = round.foreign;
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
        self.entries.get(object).map(|entry| &entry.version)
    }

    /// How long this version has been there unchanged, and how often it could not be read.
    pub(super) fn settled_for(&self, object: &str, now: Instant) -> (Duration, u32) {
        self.entries
            .get(object)
            .map_or((Duration::ZERO, 0), |entry| {
                (now.saturating_duration_since(entry.since), entry.failures)
            })
    }

    /// The objects to open now, in the order of their names.
    pub(super) fn to_open(&self, now: Instant) -> Vec<String> {
        let is_due = |entry: &Entry| matches!(entry.state, State::Unread { due } if due <= now);
        let due = self.entries.iter().filter(|(_, entry)| is_due(entry));
        let mut names: Vec<String> = due.map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    /// The object was opened, and this is its place.
    pub(super) fn opened(&mut self, object: &str, place: VolumePlace) {
        if let Some(entry) = self.entries.get_mut(object) {
            entry.state = State::Opened(place);
        }
    }

    /// The object could not be used.
    pub(super) fn judged(&mut self, object: &str, verdict: &Verdict, now: Instant) {
        let Some(entry) = self.entries.get_mut(object) else {
            return;
        };
        entry.failures += 1;
        entry.state = match verdict {
            Verdict::Settle => State::Unread {
                due: entry.since + SETTLE_TIME,
            },
            Verdict::Retry => State::Unread {
                due: now + delay_after(entry.failures),
            },
            Verdict::Wait => State::Waiting,
            Verdict::SetAside => State::SetAside,
        };
    }

    /// A set could not be delivered now: it is tried again at `due`.
    pub(super) fn postpone(&mut self, set: &str, due: Instant) {
        self.postponed.insert(set.to_owned(), due);
    }

    /// The objects of a set are not looked at again, unless they change.
    pub(super) fn finish(&mut self, objects: &[String]) {
        for object in objects {
            if let Some(entry) = self.entries.get_mut(&**object) {
                entry.state = State::Finished;
            }
        }
    }

    /// The sets of which every volume is there and that may be tried now, and those that lack volumes.
    pub(super) fn sets(&self, now: Instant) -> (Vec<CompleteSet>, Vec<(String, Vec<u32>, u32)>) {
        let mut sets: BTreeMap<&str, (&VolumePlace, BTreeMap<u32, &str>)> = BTreeMap::new();
        let mut names: Vec<_> = self.entries.iter().collect();
        names.sort_by(|a, b| a.0.cmp(b.0));
        for (name, entry) in names {
            if let State::Opened(place) = &entry.state {
                let set = sets
                    .entry(&place.set)
                    .or_insert_with(|| (place, BTreeMap::new()));
                // Of a volume that is there twice, the first name counts.
                set.1.entry(place.volume).or_insert(name);
            }
        }
        let (mut complete, mut incomplete) = (Vec::new(), Vec::new());
        for (set, (place, present)) in sets {
            let missing: Vec<u32> = (1..=place.volumes)
                .filter(|n| !present.contains_key(n))
                .collect();
            if !missing.is_empty() {
                incomplete.push((set.to_owned(), missing, place.volumes));
            } else if self.postponed.get(set).is_none_or(|due| *due <= now) {
                let objects = present.values().map(|name| (*name).to_owned()).collect();
                let set = set.to_owned();
                complete.push(CompleteSet {
                    set,
                    objects,
                    order: place.order,
                });
            }
        }
        (complete, incomplete)
    }

    /// Every object that says it belongs to the set, copies included.
    pub(super) fn objects_of(&self, set: &str) -> Vec<String> {
        let is_of =
            |entry: &Entry| matches!(&entry.state, State::Opened(place) if place.set == set);
        let entries = self.entries.iter().filter(|(_, entry)| is_of(entry));
        entries.map(|(name, _)| name.to_string()).collect()
    }

    /// Objects that are neither finished nor given up.
    pub(super) fn waiting_count(&self) -> usize {
        let is_waiting = |entry: &&Entry| !matches!(entry.state, State::SetAside | State::Finished);
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

/// Growing pauses between tries, from one second to five minutes.
pub(super) fn delay_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(9);
    Duration::from_secs(1 << doublings).min(Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, version: &str) -> FoundObject {
        FoundObject {
            name: name.to_owned(),
            size_bytes: 1,
            version: Version::new(version),
            modified: None,
        }
    }

    fn place(set: &str, volume: u32, volumes: u32) -> VolumePlace {
        VolumePlace {
            set: set.to_owned(),
            volume,
            volumes,
            order: (None, Timestamp::UNIX_EPOCH),
        }
    }

    fn list(book: &mut Book, objects: &[(&str, &str)], now: Instant) -> Changes {
        for (name, version) in objects {
            book.observe(object(name, version), now);
        }
        book.end_listing()
    }

    #[test]
    fn each_version_is_opened_once() {
        let (mut book, now) = (Book::default(), Instant::now());
        list(&mut book, &[("a.tar.zst", "1")], now);
        assert_eq!(book.to_open(now), ["a.tar.zst"]);
        book.opened("a.tar.zst", place("a", 1, 1));
        list(&mut book, &[("a.tar.zst", "1")], now);
        assert!(book.to_open(now).is_empty());
        list(&mut book, &[("a.tar.zst", "2")], now);
        assert_eq!(book.to_open(now), ["a.tar.zst"]);
    }

    #[test]
    fn what_fails_is_read_again_when_it_has_settled_and_then_rests() {
        let (mut book, now) = (Book::default(), Instant::now());
        list(&mut book, &[("a.tar.zst", "1")], now);
        book.judged("a.tar.zst", &Verdict::Settle, now);
        assert!(book.to_open(now).is_empty());
        let later = now + SETTLE_TIME;
        assert_eq!(book.next_due(now), Some(later));
        assert_eq!(book.to_open(later), ["a.tar.zst"]);
        book.judged("a.tar.zst", &Verdict::SetAside, later);
        assert!(book.to_open(later + SETTLE_TIME).is_empty());
        list(&mut book, &[("a.tar.zst", "2")], later);
        assert_eq!(book.to_open(later), ["a.tar.zst"]);
    }

    #[test]
    fn a_signature_opens_its_object_again() {
        let (mut book, now) = (Book::default(), Instant::now());
        list(&mut book, &[("a.tar.zst", "1"), ("b.tar.zst", "1")], now);
        book.judged("a.tar.zst", &Verdict::Wait, now);
        book.judged("b.tar.zst", &Verdict::Wait, now);
        let signature = "a.tar.zst.0123456789abcdef.sig";
        list(
            &mut book,
            &[("a.tar.zst", "1"), ("b.tar.zst", "1"), (signature, "1")],
            now,
        );
        assert_eq!(book.to_open(now), ["a.tar.zst"]);
        assert_eq!(book.signatures_of("a.tar.zst"), [signature]);
    }

    #[test]
    fn a_set_is_complete_with_all_its_volumes_in_any_order() {
        let (mut book, now) = (Book::default(), Instant::now());
        list(
            &mut book,
            &[("2.tar", "1"), ("1.tar", "1"), ("1-copy.tar", "1")],
            now,
        );
        book.opened("2.tar", place("s", 2, 2));
        assert_eq!(book.sets(now).1, [("s".to_owned(), vec![1], 2)]);
        book.opened("1.tar", place("s", 1, 2));
        book.opened("1-copy.tar", place("s", 1, 2));
        let (complete, incomplete) = book.sets(now);
        assert!(incomplete.is_empty());
        assert_eq!(complete[0].objects, ["1-copy.tar", "2.tar"]);
        assert_eq!(book.objects_of("s").len(), 3);
        book.postpone("s", now + Duration::from_secs(9));
        assert!(book.sets(now).0.is_empty());
        assert_eq!(book.sets(now + Duration::from_secs(9)).0.len(), 1);
    }

    #[test]
    fn what_is_gone_is_forgotten_and_foreign_objects_are_told_once() {
        let (mut book, now) = (Book::default(), Instant::now());
        let changes = list(&mut book, &[("a.tar.zst", "1"), ("notes.txt", "1")], now);
        assert_eq!(
            (changes.foreign, changes.foreign_count),
            (vec!["notes.txt".to_owned()], 1)
        );
        assert_eq!(
            list(&mut book, &[("notes.txt", "1")], now),
            Changes::default()
        );
        assert!(book.to_open(now).is_empty());
        assert!(book.entries.is_empty());
    }

    #[test]
    fn pauses_grow_and_have_an_end() {
        let pauses: Vec<u64> = [1, 2, 3, 20].map(|n| delay_after(n).as_secs()).to_vec();
        assert_eq!(pauses, [1, 2, 4, 300]);
    }
}
