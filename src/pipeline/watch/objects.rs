//! One object: opened when it is new or due, and judged when it cannot be used.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::Watching;
use super::book::VolumePlace;
use super::event::WatchEvent;
use super::verdict::{Verdict, judge_volume};
use super::work_key::WorkKey;
use crate::bundle::{BundleError, Volume};
use crate::content::{ErrorKind, describe};
use crate::pipeline::open_bundles::{key_of_set, open_volume};

impl Watching<'_> {
    /// Opens what is new. A set whose volumes are all here is delivered afterwards.
    pub(super) async fn open_new(&mut self, stop: &CancellationToken) {
        for object in self.book.to_open(Instant::now()) {
            let signatures = self.book.signatures_of(&object);
            let container = &*self.watched.container;
            let opened = tokio::select! {
                opened = open_volume(container, &object, &signatures, &self.trust.policy) => opened,
                () = stop.cancelled() => return,
            };
            match opened {
                Ok(volume) => self.opened(&object, &volume).await,
                Err(error) => self.judge_object(&object, &error).await,
            }
        }
        self.judge_incomplete().await;
    }

    async fn opened(&mut self, object: &str, volume: &Volume) {
        if self.book.has_failed(object) || self.known.is_set_aside(object) {
            // It could not be used before, and may be in the ledger as such.
            let key = self.key_of_object(object);
            self.withdraw(&key).await;
        }
        self.book.opened(object, place_of(volume));
    }

    pub(super) fn key_of_object(&self, object: &str) -> WorkKey {
        let version = self.book.version_of(object).map(ToString::to_string);
        WorkKey {
            subject: object.to_owned(),
            identity: version.unwrap_or_default(),
            container: self.watched.lasting_name(),
            target: self.options.target.to_string(),
        }
    }

    async fn judge_object(&mut self, object: &str, error: &BundleError) {
        if let BundleError::Content(error) = error {
            if self.has_gone(&[object.to_owned()], error.kind()).await {
                return;
            }
            if error.kind() == ErrorKind::Denied {
                self.watched.doubt();
            }
        }
        let now = Instant::now();
        let judge = |is_settled| judge_volume(error, is_settled);
        let verdict = self.judge_in_time(object, judge, now).await;
        let reason = describe(error);
        if let Verdict::SetAside(fault) = verdict {
            let (key, objects) = (self.key_of_object(object), [object.to_owned()]);
            self.give_up(&objects, &key, object, reason, fault).await;
        } else {
            self.judged(object, verdict, reason, now);
        }
    }

    pub(super) fn judged(&mut self, object: &str, verdict: Verdict, reason: String, now: Instant) {
        self.book.judged(object, verdict, now);
        self.report.postponed += usize::from(verdict == Verdict::Retry);
        let object = object.to_owned();
        self.teller.tell(match verdict {
            Verdict::Settle | Verdict::Wait => WatchEvent::Waiting { object, reason },
            Verdict::Retry => WatchEvent::Postponed { object, reason },
            Verdict::SetAside(_) => WatchEvent::SetAside { object, reason },
        });
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
