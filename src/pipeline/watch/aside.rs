//! What could not be used, in the ledger: since when, why it was given up, and what brings it back.
//!
//! A reading that fails is noted with its time, so that a later process, such as the next `--once`, knows how long
//! the object was left alone. What is given up is recorded with whose fault it is.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::Watching;
use super::book::Changes;
use super::deliver::LEASE;
use super::event::WatchEvent;
use super::verdict::{Fault, Verdict};
use super::work_key::WorkKey;
use crate::content::{Result, describe};
use crate::history::{Blame, ClaimState};

/// What the ledger knows of the container's objects.
#[derive(Default)]
pub(super) struct Known {
    /// Objects of which a reading has failed.
    failed: BTreeSet<String>,
    /// Objects that an earlier process gave up, and that were not seen to be used since.
    set_aside: HashMap<String, WorkKey>,
}

impl Known {
    pub(super) fn is_set_aside(&self, object: &str) -> bool {
        self.set_aside.contains_key(object)
    }
}

impl Watching<'_> {
    /// Asks the ledger what it knows of this container.
    pub(super) async fn recall(&mut self) -> Result<()> {
        let ledger = &self.memory.ledger;
        let container = self.watched.lasting_name();
        let target = self.options.target.to_string();
        let failed = ledger.list_failed_readings(&container).await?;
        self.known.failed = failed.into_iter().collect();
        for claim in ledger.list_claims().await? {
            if claim.state == ClaimState::SetAside
                && let Some(key) = WorkKey::parse(&claim.object)
                && key.is_of_object()
                && key.container == container
                && key.target == target
            {
                self.known.set_aside.insert(key.subject.clone(), key);
            }
        }
        Ok(())
    }

    /// Judges by whether the object was left alone for the settle time since it failed first, in this process or
    /// another.
    pub(super) async fn judge_in_time(
        &mut self,
        object: &str,
        judge: impl Fn(bool) -> Verdict,
        now: Instant,
    ) -> Verdict {
        let (fresh, settled) = (judge(false), judge(true));
        if !matches!((fresh, settled), (Verdict::Settle, Verdict::SetAside(_))) {
            return judge(self.book.is_settled(object, now));
        }
        let is_settled = self.note_failure(object).await || self.book.is_settled(object, now);
        if is_settled { settled } else { fresh }
    }

    /// Notes that the object failed, and says whether the ledger has known that for the settle time.
    async fn note_failure(&mut self, object: &str) -> bool {
        let Some(version) = self.book.version_of(object) else {
            return false;
        };
        let (container, now) = (self.watched.lasting_name(), Timestamp::now());
        let ledger = &self.memory.ledger;
        let noted = ledger.note_failed_reading(&container, object, version, now);
        match noted.await {
            Ok(since) => {
                self.known.failed.insert(object.to_owned());
                let alone = now.duration_since(since);
                SignedDuration::try_from(self.options.settle_time).is_ok_and(|time| alone >= time)
            }
            Err(error) => {
                self.warn(describe(&error));
                false
            }
        }
    }

    /// Forgets what a listing has shown to be gone or replaced.
    pub(super) async fn forget(&mut self, changes: &Changes) {
        for object in &changes.forgotten {
            self.forget_failure(object).await;
        }
        for key in &changes.withdrawn {
            self.withdraw(key).await;
        }
    }

    /// After the first listing: what earlier processes knew of objects that are gone or replaced.
    pub(super) async fn forget_gone(&mut self) {
        let book = &self.book;
        let is_gone = |object: &&String| book.version_of(object).is_none();
        let gone: Vec<String> = self.known.failed.iter().filter(is_gone).cloned().collect();
        for object in gone {
            self.forget_failure(&object).await;
        }
        let known = std::mem::take(&mut self.known.set_aside);
        for (object, key) in known {
            let version = self.book.version_of(&object);
            match version.is_some_and(|version| version.as_str() == key.identity) {
                true => drop(self.known.set_aside.insert(object, key)),
                false => self.withdraw(&key).await,
            }
        }
    }

    pub(super) async fn forget_failure(&mut self, object: &str) {
        if !self.known.failed.remove(object) {
            return;
        }
        let container = self.watched.lasting_name();
        let ledger = &self.memory.ledger;
        if let Err(error) = ledger.forget_failed_reading(&container, object).await {
            self.warn(describe(&error));
        }
    }

    /// An object that was given up is no work any more: it can be used, or is another one.
    pub(super) async fn withdraw(&mut self, key: &WorkKey) {
        self.known.set_aside.remove(&key.subject);
        if let Err(error) = self.memory.ledger.withdraw(&key.to_string()).await {
            self.warn(describe(&error));
        }
    }

    /// Gives objects up, here and in the ledger, until what is at fault changes or a person brings them back.
    pub(super) async fn give_up(
        &mut self,
        objects: &[String],
        key: &WorkKey,
        name: &str,
        reason: String,
        fault: Fault,
    ) {
        let blame = self.blame(objects, fault);
        let recorded = match self.record_given_up(key, &reason, &blame).await {
            Ok(()) => self.memory.note_refusal(Some(name), &reason).await,
            failed => failed,
        };
        if let Err(error) = recorded {
            let text = describe(&error);
            self.warn(format!("`{name}` is not in the ledger: {text}"));
        }
        self.report.set_aside += 1;
        self.book.set_aside(objects, key, fault);
        self.teller.tell(WatchEvent::SetAside {
            object: name.to_owned(),
            reason,
        });
    }

    /// What the ledger is told of a fault in these objects.
    pub(super) fn blame(&self, objects: &[String], fault: Fault) -> Blame {
        match fault {
            Fault::Rule => Blame::Rule,
            Fault::Trust => Blame::Trust,
            Fault::Content => Blame::Content {
                versions: self.versions_of(objects),
            },
        }
    }

    pub(super) fn versions_of(&self, objects: &[String]) -> Vec<String> {
        let versions = objects
            .iter()
            .filter_map(|object| self.book.version_of(object));
        versions.map(ToString::to_string).collect()
    }

    async fn record_given_up(&self, key: &WorkKey, reason: &str, blame: &Blame) -> Result<()> {
        let (key, now) = (key.to_string(), Timestamp::now());
        let ledger = &self.memory.ledger;
        ledger.offer(&key, now).await?;
        match ledger.claim_object(&key, &self.holder, LEASE, now).await? {
            Some(claim) => ledger.set_aside(&claim, reason, blame).await,
            // It was set aside before, or somebody else is at it.
            None => Ok(()),
        }
    }

    /// Opens again what a person has brought back in the ledger.
    pub(super) async fn revive(&mut self) -> Result<()> {
        for key in self.book.keys_set_aside() {
            let claim = self.memory.ledger.find_claim(&key.to_string()).await?;
            if claim.is_none_or(|claim| claim.state == ClaimState::Waiting) {
                let revived = self.book.revive(&key, Instant::now());
                self.teller.forget(&revived);
            }
        }
        Ok(())
    }
}
