//! The end of a set: it was delivered, nothing looks at it again, and its objects go where that was asked for.
//!
//! **Invariants.** Only versions that were listed are removed, and only after the delivery was recorded. That they are
//! being removed is recorded before, and the volume that lists the artifacts goes last: so what a killed watch has left
//! of a set is known for what it is, and not waited for to become complete.

use std::sync::Arc;
use std::time::Instant;

use super::book::{IncompleteSet, signed_object};
use super::event::WatchEvent;
use super::work_key::WorkKey;
use super::{DeliveredSource, Watching};
use crate::content::{Result, Version, describe};
use crate::history::ClaimState;

/// What the ledger says of work that is done, as long as objects of it may be left.
const REMOVING: &str = "its objects are being removed";

/// The same with what the ledger said before.
fn note_removing(before: Option<&str>) -> String {
    match before {
        Some(before) if !is_removing(before) => format!("{REMOVING}; {before}"),
        Some(before) => before.to_owned(),
        None => REMOVING.to_owned(),
    }
}

fn is_removing(note: &str) -> bool {
    note.starts_with(REMOVING)
}

/// What the ledger said before.
fn note_removed(note: &str) -> Option<&str> {
    note.strip_prefix(REMOVING)?.strip_prefix("; ")
}

impl Watching<'_> {
    /// The set is done with: nothing looks at its objects again, and they go where that was asked for.
    pub(super) async fn end_set(&mut self, key: &WorkKey, objects: &[String], is_whole: bool) {
        if self.options.source == DeliveredSource::Delete
            && is_whole
            && let Err(error) = self.remove_all(key, objects).await
        {
            let text = format!(
                "`{}` was imported and stays: {}",
                key.subject,
                describe(&error)
            );
            self.teller.tell(WatchEvent::Warning { text });
        }
        for object in objects {
            self.forget_failure(object).await;
        }
        self.book.finish(objects);
        self.teller.forget(objects);
    }

    async fn remove_all(&mut self, key: &WorkKey, objects: &[String]) -> Result<()> {
        let key = key.to_string();
        let ledger = &self.memory.ledger;
        let before = ledger
            .find_claim(&key)
            .await?
            .and_then(|claim| claim.reason);
        let note = note_removing(before.as_deref());
        ledger.annotate_done(&key, Some(&note)).await?;
        let container = self.watched.lasting_name();
        ledger
            .note_removals(&container, &self.signatures_with_versions(objects))
            .await?;
        let mut is_all = true;
        for object in objects {
            is_all &= self.remove(object).await;
            for name in self.book.signatures_of(object) {
                let is_gone = self.remove(&name).await;
                if is_gone {
                    let ledger = &self.memory.ledger;
                    ledger.forget_removal(&container, &name).await?;
                }
                is_all &= is_gone;
            }
        }
        let ledger = &self.memory.ledger;
        match is_all {
            true => ledger.annotate_done(&key, note_removed(&note)).await,
            false => Ok(()),
        }
    }

    fn signatures_with_versions(&self, objects: &[String]) -> Vec<(String, Version)> {
        let names = objects.iter().flat_map(|it| self.book.signatures_of(it));
        let version = |name: String| {
            let version = self.book.version_of(&name)?.clone();
            Some((name, version))
        };
        names.filter_map(version).collect()
    }

    /// After the first listing: countersignatures whose objects a killed watch has delivered and removed.
    pub(super) async fn remove_left_signatures(&mut self) -> Result<()> {
        if self.options.source != DeliveredSource::Delete {
            return Ok(());
        }
        let container = self.watched.lasting_name();
        for (signature, version) in self.memory.ledger.list_removals(&container).await? {
            let is_there = self.book.version_of(&signature) == Some(&version);
            let of = signed_object(&signature);
            // With its object it goes in the usual way.
            let has_object = of.is_some_and(|of| self.book.version_of(of).is_some());
            if !is_there || (!has_object && self.remove(&signature).await) {
                let ledger = &self.memory.ledger;
                ledger.forget_removal(&container, &signature).await?;
            }
        }
        Ok(())
    }

    /// Removes the version that was listed. What cannot be removed stays, and is told.
    async fn remove(&mut self, object: &str) -> bool {
        let version = self.book.version_of(object).cloned();
        let container = Arc::clone(&self.watched.container);
        let removed = container.remove(object, version.as_ref()).await;
        let is_removed = removed.is_ok();
        self.teller.tell(match removed {
            Ok(()) => WatchEvent::Removed {
                object: object.to_owned(),
            },
            Err(error) => WatchEvent::Warning {
                text: format!("`{object}` was imported and stays: {}", describe(&error)),
            },
        });
        is_removed
    }

    /// Tells what is missing, unless it is missing because the set was delivered and is being removed.
    pub(super) async fn judge_incomplete(&mut self) {
        for incomplete in self.book.sets(Instant::now()).1 {
            let objects = self.book.objects_of(&incomplete.set);
            match self.find_removal(&incomplete).await {
                Ok(Some(key)) => self.end_remains(&key, &objects).await,
                Ok(None) => self.tell_missing(&incomplete, objects),
                Err(error) => {
                    let text = describe(&error);
                    self.teller.tell(WatchEvent::Warning { text });
                }
            }
        }
    }

    /// The delivery of which these are the remains, if they are.
    async fn find_removal(&self, incomplete: &IncompleteSet) -> Result<Option<WorkKey>> {
        let Some((bundle, inventory)) = &incomplete.last else {
            return Ok(None);
        };
        let key = self.key_of_bundle(bundle, inventory);
        let claim = self.memory.ledger.find_claim(&key.to_string()).await?;
        let is_going = claim.is_some_and(|claim| {
            claim.state == ClaimState::Done && claim.reason.as_deref().is_some_and(is_removing)
        });
        Ok(is_going.then_some(key))
    }

    async fn end_remains(&mut self, key: &WorkKey, objects: &[String]) {
        if let Some(bundle) = objects.last().cloned() {
            let reason = "it was imported before, and its other volumes are gone".to_owned();
            self.teller.tell(WatchEvent::Skipped { bundle, reason });
        }
        self.end_set(key, objects, true).await;
    }

    fn tell_missing(&mut self, incomplete: &IncompleteSet, objects: Vec<String>) {
        let missing = incomplete.missing.iter().map(ToString::to_string);
        let missing: Vec<String> = missing.collect();
        let volumes = incomplete.volumes;
        let reason = match missing.as_slice() {
            [one] => format!("volume {one} of {volumes} has not arrived"),
            many => format!("volumes {} of {volumes} have not arrived", many.join(", ")),
        };
        for object in objects {
            self.teller.tell(WatchEvent::Waiting {
                object,
                reason: reason.clone(),
            });
        }
    }
}
