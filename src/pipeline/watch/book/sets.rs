//! Which sets are complete, and which of several copies of a volume is read.
//!
//! Pure, like the rest of the book. Of copies the one that is not known to be damaged is taken, and of those the
//! first by name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::{Book, Entry, Order, Standing, State, VolumePlace};

/// A complete set, and the names of its volumes in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline::watch) struct CompleteSet {
    pub(in crate::pipeline::watch) set: String,
    pub(in crate::pipeline::watch) objects: Vec<String>,
    pub(in crate::pipeline::watch) bundle: String,
    /// The digest of the inventory that lists the artifacts.
    pub(in crate::pipeline::watch) inventory: String,
    pub(in crate::pipeline::watch) order: Order,
}

/// A set of which volumes have not arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::pipeline::watch) struct IncompleteSet {
    pub(in crate::pipeline::watch) set: String,
    pub(in crate::pipeline::watch) missing: Vec<u32>,
    pub(in crate::pipeline::watch) volumes: u32,
    /// The bundle and the inventory that lists its artifacts, where that volume is there.
    pub(in crate::pipeline::watch) last: Option<(String, String)>,
}

/// The chosen copy of each volume that is there.
type Present<'a> = BTreeMap<u32, (&'a str, &'a VolumePlace)>;

impl Book {
    /// The sets of which every volume is there and that may be tried now, and those that lack volumes.
    pub(in crate::pipeline::watch) fn sets(
        &self,
        now: Instant,
    ) -> (Vec<CompleteSet>, Vec<IncompleteSet>) {
        let (mut complete, mut incomplete) = (Vec::new(), Vec::new());
        for (set, present) in self.present() {
            let Some((_, (_, place))) = present.last_key_value() else {
                continue;
            };
            let is_missing = |number: &u32| !present.contains_key(number);
            let missing: Vec<u32> = (1..=place.volumes).filter(is_missing).collect();
            if !missing.is_empty() {
                let is_last = place.volume == place.volumes;
                incomplete.push(IncompleteSet {
                    set: set.to_owned(),
                    missing,
                    volumes: place.volumes,
                    last: is_last.then(|| (place.bundle.clone(), place.inventory.clone())),
                });
            } else if self.postponed.get(set).is_none_or(|due| *due <= now) {
                complete.push(complete_set(set, &present, place));
            }
        }
        (complete, incomplete)
    }

    /// The volumes of every set of which something is new.
    fn present(&self) -> BTreeMap<&str, Present<'_>> {
        let mut known: Vec<(Standing, &str, &VolumePlace)> = Vec::new();
        // A set of which nothing is new was delivered.
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for (name, entry) in &self.entries {
            if let Some(place) = &entry.place
                && matches!(entry.state, State::Opened | State::Finished)
            {
                known.push((entry.standing, name, place));
                if entry.state == State::Opened {
                    open.insert(&place.set);
                }
            }
        }
        known.sort_by_key(|(standing, name, _)| (*standing == Standing::Suspect, *name));
        let mut sets: BTreeMap<&str, Present<'_>> = BTreeMap::new();
        for (_, name, place) in known {
            if open.contains(&*place.set) {
                let set = sets.entry(&place.set).or_default();
                set.entry(place.volume).or_insert((name, place));
            }
        }
        sets
    }

    /// Every object that says it belongs to the set, copies included, in the order of volumes.
    pub(in crate::pipeline::watch) fn objects_of(&self, set: &str) -> Vec<String> {
        let volume = |entry: &Entry| entry.place.as_ref().map(|place| place.volume);
        let entries = self.entries.iter();
        let open = entries.filter(|(_, entry)| entry.is_open_of(set));
        let objects: BTreeSet<_> = open
            .map(|(name, entry)| (volume(entry), name.to_string()))
            .collect();
        objects.into_iter().map(|(_, name)| name).collect()
    }

    /// Those of a set's chosen objects that may be damaged, and of which there is another copy that may not be.
    pub(in crate::pipeline::watch) fn replaceable(&self, set: &CompleteSet) -> Vec<String> {
        let has_other = |object: &&String| {
            let Some(entry) = self.entries.get(object.as_str()) else {
                return false;
            };
            let volume = |entry: &Entry| entry.place.as_ref().map(|place| place.volume);
            let is_other = |name: &str, other: &Entry| {
                name != object.as_str()
                    && other.standing != Standing::Suspect
                    && other.is_open_of(&set.set)
                    && volume(other) == volume(entry)
            };
            entry.standing == Standing::Unread
                && self
                    .entries
                    .iter()
                    .any(|(name, other)| is_other(name, other))
        };
        set.objects.iter().filter(has_other).cloned().collect()
    }

    /// A volume before the last of an incomplete set, whose blobs nobody has looked at; the first by name.
    pub(in crate::pipeline::watch) fn next_early(&self) -> Option<String> {
        let is_open = |entry: &Entry| {
            let is_early = |place: &VolumePlace| place.volume < place.volumes;
            !entry.was_early
                && entry.state == State::Opened
                && entry.place.as_ref().is_some_and(is_early)
        };
        if !self.entries.values().any(is_open) {
            return None;
        }
        let mut names = Vec::new();
        for present in self.present().into_values() {
            let of = present.values().map(|(_, place)| place.volumes).max();
            if of.is_some_and(|of| present.len() < of as usize) {
                names.extend(present.values().map(|(name, _)| *name));
            }
        }
        let is_early = |name: &&str| self.entries.get(*name).is_some_and(is_open);
        names.into_iter().filter(is_early).min().map(str::to_owned)
    }

    pub(in crate::pipeline::watch) fn examined_early(&mut self, object: &str) {
        if let Some(entry) = self.entries.get_mut(object) {
            entry.was_early = true;
        }
    }

    /// All of the object was read.
    pub(in crate::pipeline::watch) fn examined(&mut self, object: &str, is_right: bool) {
        if let Some(entry) = self.entries.get_mut(object) {
            entry.standing = match is_right {
                true => Standing::Proven,
                false => Standing::Suspect,
            };
        }
    }

    /// The set once more, with the copies that are to be read now; `None` where a volume has gone.
    pub(in crate::pipeline::watch) fn choose_again(
        &self,
        set: &CompleteSet,
    ) -> Option<CompleteSet> {
        let present = self.present().remove(&*set.set)?;
        let (_, (_, place)) = present.last_key_value()?;
        (present.len() == set.objects.len()).then(|| complete_set(&set.set, &present, place))
    }
}

fn complete_set(set: &str, present: &Present<'_>, place: &VolumePlace) -> CompleteSet {
    let names = present.values().map(|(name, _)| (*name).to_owned());
    CompleteSet {
        set: set.to_owned(),
        objects: names.collect(),
        bundle: place.bundle.clone(),
        inventory: place.inventory.clone(),
        order: place.order,
    }
}
