//! The right to work on a bundle, as the ledger gives it.

use jiff::Timestamp;

use super::Watching;
use super::book::CompleteSet;
use super::deliver::LEASE;
use super::verdict::Fault;
use super::work_key::WorkKey;
use crate::content::Result;
use crate::history::{Blame, Claim, ClaimState, Claimed, Offered, RunStatus};
use crate::pipeline::import::Replays;
use crate::pipeline::import_rule::digest_rule;

/// What the ledger says about a bundle that is to be delivered.
pub(super) enum Claiming {
    Ours(Claimed),
    Done {
        partly: bool,
    },
    /// It was given up, and nothing has changed since.
    SetAside(String, Fault),
    Elsewhere,
}

impl Watching<'_> {
    pub(super) fn key_of(&self, set: &CompleteSet) -> WorkKey {
        self.key_of_bundle(&set.bundle, &set.inventory)
    }

    pub(super) fn key_of_bundle(&self, bundle: &str, inventory: &str) -> WorkKey {
        WorkKey {
            subject: bundle.to_owned(),
            identity: inventory.to_owned(),
            container: self.watched.lasting_name(),
            target: self.options.target.to_string(),
        }
    }

    /// Claims a bundle that was opened and admitted.
    pub(super) async fn claim(&self, set: &CompleteSet) -> Result<Claiming> {
        let now = Timestamp::now();
        let key = self.key_of(set).to_string();
        let ledger = &self.memory.ledger;
        let offered = ledger.offer(&key, now).await?;
        let import = &self.options.import;
        let policies = (import.copy.existing, import.tags.moves_back);
        let rule = digest_rule(&self.options.tailoring, policies);
        // Another rule may take what the one before has left: where that is to come, it comes once.
        let is_due_again = offered == Offered::Known(ClaimState::Done)
            && import.replays == Replays::Deliver
            && ledger.reopen_done(&key, &rule, now).await?;
        if offered == Offered::Known(ClaimState::Done) && !is_due_again {
            let partly = self.was_done_in_part(&key).await?;
            return Ok(Claiming::Done { partly });
        }
        if offered == Offered::Known(ClaimState::SetAside)
            && let Some(claim) = ledger.find_claim(&key).await?
        {
            if let Some(fault) = self.is_still_at_fault(set, &claim) {
                let reason = claim.reason.unwrap_or_default();
                return Ok(Claiming::SetAside(reason, fault));
            }
            ledger.retry(&key, now).await?;
        }
        let claimed = ledger.claim_object(&key, &self.holder, LEASE, now).await?;
        let Some(claim) = claimed else {
            return Ok(Claiming::Elsewhere);
        };
        ledger.note_rule(&claim, &rule).await?;
        Ok(Claiming::Ours(claim))
    }

    /// What stands against a bundle that was given up; `None` where that has changed.
    fn is_still_at_fault(&self, set: &CompleteSet, claim: &Claim) -> Option<Fault> {
        match &claim.blame {
            None | Some(Blame::Rule) => Some(Fault::Rule),
            // It was admitted just now.
            Some(Blame::Trust) => None,
            Some(Blame::Content { versions }) => {
                let present = self.versions_of(&self.book.objects_of(&set.set));
                let is_known = present.iter().all(|version| versions.contains(version));
                is_known.then_some(Fault::Content)
            }
        }
    }

    async fn was_done_in_part(&self, key: &str) -> Result<bool> {
        let ledger = &self.memory.ledger;
        let claim = ledger.find_claim(key).await?;
        let Some(run) = claim.and_then(|claim| claim.run) else {
            return Ok(false);
        };
        let run = ledger.find_run(&run).await?;
        Ok(run.is_some_and(|run| run.outcome.status == RunStatus::PartlyFailed))
    }
}
