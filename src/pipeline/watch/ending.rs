//! The end of a set: it was delivered, nothing looks at it again, and its objects go where that was asked for.
//!
//! **Invariants.** Only versions that were listed are removed, and only after the delivery was recorded. The volume
//! that lists the artifacts goes last: as long as anything of a set is left, that volume says which delivery it was,
//! so that what a killed watch has left is known for what it is.

use std::sync::Arc;
use std::time::Instant;

use super::book::IncompleteSet;
use super::event::WatchEvent;
use super::{DeliveredSource, Watching};
use crate::content::{Result, describe};
use crate::history::ClaimState;

impl Watching<'_> {
    /// The set is done with: nothing looks at its objects again, and they go where that was asked for.
    pub(super) async fn end_set(&mut self, objects: &[String], is_whole: bool) {
        if self.options.source == DeliveredSource::Delete && is_whole {
            for object in objects {
                let mut names = vec![object.clone()];
                names.extend(self.book.signatures_of(object));
                for name in names {
                    self.remove(&name).await;
                }
            }
        }
        self.book.finish(objects);
        self.teller.forget(objects);
    }

    /// Removes the version that was listed. What cannot be removed stays, and is told.
    async fn remove(&mut self, object: &str) {
        let version = self.book.version_of(object).cloned();
        let container = Arc::clone(&self.watched.container);
        let removed = container.remove(object, version.as_ref()).await;
        self.teller.tell(match removed {
            Ok(()) => WatchEvent::Removed {
                object: object.to_owned(),
            },
            Err(error) => WatchEvent::Warning {
                text: format!("`{object}` was imported and stays: {}", describe(&error)),
            },
        });
    }

    /// Tells what is missing, unless it is missing because the set was delivered and its objects removed.
    pub(super) async fn judge_incomplete(&mut self) {
        for incomplete in self.book.sets(Instant::now()).1 {
            let objects = self.book.objects_of(&incomplete.set);
            match self.was_delivered(&incomplete).await {
                Ok(Some(is_whole)) => self.end_remains(objects, is_whole).await,
                Ok(None) => self.tell_missing(&incomplete, objects),
                Err(error) => {
                    let text = describe(&error);
                    self.teller.tell(WatchEvent::Warning { text });
                }
            }
        }
    }

    /// `None`: not yet, or it cannot be known. Otherwise whether all of it was.
    async fn was_delivered(&self, incomplete: &IncompleteSet) -> Result<Option<bool>> {
        let Some((bundle, inventory)) = &incomplete.last else {
            return Ok(None);
        };
        let key = self.key_of(bundle, inventory).to_string();
        let claim = self.memory.ledger.find_claim(&key).await?;
        match claim {
            Some(claim) if claim.state == ClaimState::Done => {
                Ok(Some(!self.was_done_in_part(&key).await?))
            }
            _ => Ok(None),
        }
    }

    async fn end_remains(&mut self, objects: Vec<String>, is_whole: bool) {
        if let Some(bundle) = objects.last().cloned() {
            let reason = "it was imported before, and other volumes are gone".to_owned();
            self.teller.tell(WatchEvent::Skipped { bundle, reason });
        }
        self.end_set(&objects, is_whole).await;
    }

    fn tell_missing(&mut self, incomplete: &IncompleteSet, objects: Vec<String>) {
        let missing = incomplete.missing.iter().map(ToString::to_string);
        let missing: Vec<String> = missing.collect();
        let (missing, volumes) = (missing.join(", "), incomplete.volumes);
        let reason = format!("volume {missing} of {volumes} has not arrived");
        for object in objects {
            self.teller.tell(WatchEvent::Waiting {
                object,
                reason: reason.clone(),
            });
        }
    }
}
