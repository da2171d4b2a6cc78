//! Several copies of one volume: which of them is damaged.
//!
//! A delivery that fails does not say whose bytes were wrong. Where there is another copy, what was read is read
//! wholly and compared; what is not right is left out, and the set is tried with the other.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Watching;
use super::book::CompleteSet;
use super::event::WatchEvent;
use crate::bundle::verify_volume;
use crate::content::describe;
use crate::pipeline::open_bundles::open_volume;

impl Watching<'_> {
    /// The set with other copies, where one of those that were read is damaged.
    pub(super) async fn find_better_copies(
        &mut self,
        set: &CompleteSet,
        stop: &CancellationToken,
    ) -> Option<CompleteSet> {
        let mut is_better = false;
        for object in self.book.replaceable(set) {
            let fault = tokio::select! {
                fault = self.find_fault(&object) => fault,
                () = stop.cancelled() => return None,
            };
            self.book.examined(&object, fault.is_none());
            if let Some(fault) = fault {
                is_better = true;
                let text = format!("`{object}` is left for another copy of it: {fault}");
                self.teller.tell(WatchEvent::Warning { text });
            }
        }
        match is_better {
            true => self.book.choose_again(set),
            false => None,
        }
    }

    /// What is wrong with the object, all of it read.
    async fn find_fault(&self, object: &str) -> Option<String> {
        let signatures = self.book.signatures_of(object);
        let container = &*self.watched.container;
        let opened = open_volume(container, object, &signatures, &self.trust.policy).await;
        let volume = match opened {
            Ok(volume) => volume,
            Err(error) => return Some(describe(&error)),
        };
        let events = Arc::clone(&self.options.events);
        let sign = move |_| events(&WatchEvent::Tried);
        match verify_volume(&volume, &sign).await {
            Ok(found) => {
                let fault = found.faults.first()?;
                Some(format!("{}: {}", fault.place, fault.what))
            }
            Err(error) => Some(describe(&error)),
        }
    }
}
