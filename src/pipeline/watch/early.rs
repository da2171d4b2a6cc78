//! Volumes that wait for others: their blobs are brought to the target meanwhile.
//!
//! Only what the rules would let in, under one trusted signature that may ship the pipeline, and one volume in a
//! round, so that a bundle that became complete does not wait for many. What fails is left to the delivery.

use tokio_util::sync::CancellationToken;

use super::event::WatchEvent;
use super::{OneOff, Until, Watching};
use crate::bundle::{BundleError, Volume};
use crate::content::{CopyReport, Error, ErrorKind, Existing, Result, describe};
use crate::history::Decision;
use crate::pipeline::early::push_early;
use crate::pipeline::open_bundles::open_volume;

impl Watching<'_> {
    /// Whether there is such a volume. Where tags may stay as they are, and where only a part is taken, nobody knows
    /// yet whether its blobs are needed.
    pub(super) fn has_early(&self) -> bool {
        self.options.import.copy.existing == Existing::Overwrite
            && self.options.tailoring.part.is_none()
            && self.book.next_early().is_some()
    }

    pub(super) async fn push_early(&mut self, stop: &CancellationToken) {
        while self.has_early()
            && let Some(object) = self.book.next_early()
        {
            self.book.examined_early(&object);
            let pushed = tokio::select! {
                pushed = self.push_blobs_of(&object) => pushed,
                () = stop.cancelled() => return,
            };
            match pushed {
                Ok(None) => {}
                Ok(Some(report)) => self.teller.tell(WatchEvent::Ahead {
                    object,
                    summary: format!(
                        "{} bytes moved, {} bytes there already",
                        report.pushed_bytes, report.present_bytes
                    ),
                }),
                Err(error) => {
                    let text = describe(&error);
                    self.warn(format!("the blobs of `{object}` wait for its set: {text}"));
                }
            }
            if self.options.until == Until::Stopped {
                return;
            }
        }
    }

    async fn push_blobs_of(&self, object: &str) -> Result<Option<CopyReport>> {
        let signatures = self.book.signatures_of(object);
        let container = &*self.watched.container;
        let volume = open_volume(container, object, &signatures, &self.trust.policy).await?;
        if self.book.version_of(object) != Some(volume.stream().object().version()) {
            let message = format!("`{object}` was replaced meanwhile");
            return Err(Error::new(ErrorKind::Changed, message));
        }
        let place = self
            .memory
            .place_of(volume.inventory(), volume.inventory_digest())?;
        let _hold = match &place {
            Some((lane, _)) => Some(self.memory.ledger.hold_lane(lane).await?),
            None => None,
        };
        let decision = self.memory.judge(place.as_ref()).await?.decision;
        let is_news = matches!(
            decision,
            Decision::New | Decision::Late { .. } | Decision::OneOff
        );
        if !is_news || !self.may_be_admitted(&volume) {
            return Ok(None);
        }
        let target = &self.options.target;
        let options = &self.options.import.copy;
        let renames = &self.options.tailoring.renames;
        push_early(volume, (target, renames), &self.target.place, options).await
    }

    /// Whether the rules let the volume in, and one of its signers may ship it.
    fn may_be_admitted(&self, volume: &Volume) -> bool {
        let inventory = volume.inventory();
        let is_allowed = inventory.pipeline.is_some() || self.options.one_off == OneOff::Accept;
        let now = jiff::Timestamp::now();
        let rules = self.options.import_at(now).rules;
        let signers: Result<_, BundleError> = volume.admit(&self.trust.policy.of_one_signer());
        is_allowed && rules.check(inventory).is_ok() && signers.is_ok()
    }
}
