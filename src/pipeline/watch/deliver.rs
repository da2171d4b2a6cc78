//! One complete set: opened anew, admitted, claimed, imported, recorded, and removed where that was asked for.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::book::{Book, CompleteSet};
use super::event::WatchEvent;
use super::verdict::{Verdict, judge_delivery};
use super::work_key::WorkKey;
use super::{OneOff, Watching};
use crate::bundle::{Bundle, BundleError, NotTrusted};
use crate::content::{Error, ErrorKind, Result, describe};
use crate::history::{ClaimState, Claimed, Decision, Ledger, Offered, RunStatus};
use crate::pipeline::import::{ImportPlan, plan_import};
use crate::pipeline::open_bundles::{OpenedBundle, open_volume};

/// How long a claim lasts without a sign of life. A watch that was killed is followed after this time at most.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
const RENEWAL: Duration = Duration::from_secs(10);
/// When a bundle that another watch has claimed is asked for again.
const CLAIMED_ELSEWHERE: Duration = Duration::from_secs(5);

/// What came of trying a set.
enum Tried {
    Delivered {
        partly: bool,
        summary: String,
    },
    /// It was done before, here or elsewhere: all of it, or what could be.
    Skipped {
        partly: bool,
        reason: String,
    },
    Refused(String),
    WaitingForSignatures(String),
    ClaimedElsewhere,
    Stopped,
}

impl Watching<'_> {
    pub(super) async fn deliver(&mut self, set: &CompleteSet, stop: &CancellationToken) {
        let name = name_of(set);
        let tried = self.try_set(set, &name, stop).await;
        let objects = self.book.objects_of(&set.set);
        match tried {
            Ok(Tried::Delivered { partly, summary }) => {
                let event = match partly {
                    true => WatchEvent::PartlyImported {
                        bundle: name,
                        summary,
                    },
                    false => WatchEvent::Imported {
                        bundle: name,
                        summary,
                    },
                };
                self.count(partly);
                self.teller.tell(event);
                self.end_set(&self.key_of(&set.bundle, &set.inventory), &objects, !partly)
                    .await;
            }
            Ok(Tried::Skipped { partly, reason }) => {
                // Where only a copy is new, the line is about the copy.
                let bundle = match objects.contains(&name) {
                    true => name,
                    false => objects.last().cloned().unwrap_or(name),
                };
                self.teller.tell(WatchEvent::Skipped { bundle, reason });
                self.end_set(&self.key_of(&set.bundle, &set.inventory), &objects, !partly)
                    .await;
            }
            Ok(Tried::Refused(reason)) => {
                self.give_up(
                    &objects,
                    &self.key_of(&set.bundle, &set.inventory),
                    &name,
                    reason,
                )
                .await;
            }
            Ok(Tried::WaitingForSignatures(reason)) => {
                for object in objects {
                    self.judged(&object, Verdict::Wait, reason.clone(), Instant::now());
                }
            }
            Ok(Tried::ClaimedElsewhere) => {
                let reason = "another watch has claimed it".to_owned();
                self.teller.tell(WatchEvent::Postponed {
                    object: name,
                    reason,
                });
                self.book
                    .postpone(&set.set, Instant::now() + CLAIMED_ELSEWHERE);
            }
            Ok(Tried::Stopped) => {}
            Err(error) => self.failed(set, &objects, &error).await,
        }
    }

    fn count(&mut self, partly: bool) {
        match partly {
            true => self.report.partly_imported += 1,
            false => self.report.imported += 1,
        }
    }

    async fn failed(&mut self, set: &CompleteSet, objects: &[String], error: &Error) {
        let now = Instant::now();
        let reason = describe(error);
        let judge =
            |book: &Book, object: &String| judge_delivery(error, book.is_settled(object, now));
        // The volume that changed last decides for all of them.
        if objects
            .iter()
            .all(|object| judge(&self.book, object) == Verdict::SetAside)
        {
            let name = name_of(set);
            self.give_up(
                objects,
                &self.key_of(&set.bundle, &set.inventory),
                &name,
                reason,
            )
            .await;
            return;
        }
        for object in objects {
            let verdict = match judge(&self.book, object) {
                Verdict::SetAside => Verdict::Settle,
                verdict => verdict,
            };
            self.judged(object, verdict, reason.clone(), now);
        }
    }

    pub(super) fn key_of(&self, bundle: &str, inventory: &str) -> WorkKey {
        WorkKey {
            subject: bundle.to_owned(),
            identity: inventory.to_owned(),
            container: self.watched.lasting_name(),
            target: self.options.target.to_string(),
        }
    }

    /// Gives objects up, here and in the ledger, until a person brings them back.
    pub(super) async fn give_up(
        &mut self,
        objects: &[String],
        key: &WorkKey,
        name: &str,
        reason: String,
    ) {
        if let Err(error) = self.record_given_up(key, &reason).await {
            let text = format!("`{name}` is not in the ledger: {}", describe(&error));
            self.teller.tell(WatchEvent::Warning { text });
        }
        self.report.set_aside += 1;
        self.book.set_aside(objects, key);
        self.teller.tell(WatchEvent::SetAside {
            object: name.to_owned(),
            reason,
        });
    }

    async fn record_given_up(&self, key: &WorkKey, reason: &str) -> Result<()> {
        let (key, now) = (key.to_string(), Timestamp::now());
        let ledger = &self.memory.ledger;
        ledger.offer(&key, now).await?;
        match ledger.claim_object(&key, &self.holder, LEASE, now).await? {
            Some(claim) => ledger.set_aside(&claim, reason).await,
            // It was set aside before, or somebody else is at it.
            None => Ok(()),
        }
    }

    /// Opens again what a person has brought back in the ledger.
    pub(super) async fn revive(&mut self) -> Result<()> {
        for key in self.book.keys_set_aside() {
            let claim = self.memory.ledger.find_claim(&key.to_string()).await?;
            if claim.is_none_or(|claim| claim.state == ClaimState::Waiting) {
                self.book.revive(&key, Instant::now());
            }
        }
        Ok(())
    }

    async fn try_set(
        &mut self,
        set: &CompleteSet,
        name: &str,
        stop: &CancellationToken,
    ) -> Result<Tried> {
        let opened = match self.open_set(set).await {
            Ok(opened) => opened,
            Err(BundleError::NotTrusted(reason @ NotTrusted::BelowThreshold { .. })) => {
                return Ok(Tried::WaitingForSignatures(reason.to_string()));
            }
            Err(error) => return Err(error.into()),
        };
        let inventory = opened.bundle.inventory();
        if inventory.pipeline.is_none() && self.options.one_off == OneOff::Refuse {
            let reason = "it belongs to no pipeline, and this watch does not take such bundles";
            return Ok(Tried::Refused(reason.to_owned()));
        }
        let key = self.key_of(&set.bundle, &set.inventory).to_string();
        match self.claim(&key).await? {
            Claiming::Done { partly } => Ok(Tried::Skipped {
                partly,
                reason: match partly {
                    true => "it was imported before, in part",
                    false => "it was imported before",
                }
                .to_owned(),
            }),
            Claiming::SetAside(reason) => Ok(Tried::Refused(reason)),
            Claiming::Elsewhere => Ok(Tried::ClaimedElsewhere),
            Claiming::Ours(claim) => {
                self.teller.tell(WatchEvent::Started {
                    bundle: name.to_owned(),
                });
                self.import(opened, claim, stop).await
            }
        }
    }

    /// Opens the very versions that were listed.
    async fn open_set(&self, set: &CompleteSet) -> Result<OpenedBundle, BundleError> {
        let policy = &self.options.policy;
        let mut volumes = Vec::new();
        for object in &set.objects {
            let signatures = self.book.signatures_of(object);
            let container = &*self.watched.container;
            let volume = open_volume(container, object, &signatures, policy).await?;
            if self.book.version_of(object) != Some(volume.stream().object().version()) {
                let message = format!("`{}` was replaced meanwhile", volume.name());
                return Err(Error::new(ErrorKind::Changed, message).into());
            }
            volumes.push(volume);
        }
        let bundle = Bundle::assemble(volumes)?;
        let signers = bundle.last().admit(policy)?;
        Ok(OpenedBundle { bundle, signers })
    }

    async fn claim(&self, key: &str) -> Result<Claiming> {
        let now = Timestamp::now();
        let ledger = &self.memory.ledger;
        match ledger.offer(key, now).await? {
            Offered::Known(ClaimState::Done) => {
                let partly = self.was_done_in_part(key).await?;
                return Ok(Claiming::Done { partly });
            }
            Offered::Known(ClaimState::SetAside) => {
                let claim = ledger.find_claim(key).await?;
                let reason = claim.and_then(|claim| claim.reason).unwrap_or_default();
                return Ok(Claiming::SetAside(reason));
            }
            _ => {}
        }
        let claimed = ledger.claim_object(key, &self.holder, LEASE, now).await?;
        Ok(claimed.map_or(Claiming::Elsewhere, Claiming::Ours))
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

    /// Imports under the claim, and gives it back when it is not to be or could not be.
    async fn import(
        &mut self,
        opened: OpenedBundle,
        claim: Claimed,
        stop: &CancellationToken,
    ) -> Result<Tried> {
        let imported = {
            let mut renewed = claim.clone();
            tokio::select! {
                imported = self.plan_and_deliver(opened, &claim) => imported,
                lost = renew_for_ever(&self.memory.ledger, &mut renewed) => Err(lost),
                () = stop.cancelled() => {
                    let reason = "the watch was stopped";
                    self.memory.ledger.postpone(&claim, Timestamp::now(), reason).await?;
                    return Ok(Tried::Stopped);
                }
            }
        };
        match imported {
            Ok((delivered, warnings)) => {
                for text in warnings {
                    self.teller.tell(WatchEvent::Warning { text });
                }
                Ok(delivered)
            }
            Err(error) => {
                self.give_back(&claim, &error).await?;
                Err(error)
            }
        }
    }

    /// What came of it, and what a person should know besides.
    async fn plan_and_deliver(
        &self,
        opened: OpenedBundle,
        claim: &Claimed,
    ) -> Result<(Tried, Vec<String>)> {
        let options = self.options.import_at(Timestamp::now());
        let target = &self.options.target;
        let platform_index = self.options.platform_index;
        let plans = plan_import(vec![opened], target, &options.rules, platform_index).await?;
        let plan: &ImportPlan = plans
            .first()
            .ok_or_else(|| Error::new(ErrorKind::Failed, "the bundle has no plan"))?;
        let delivered = self
            .memory
            .deliver(plan, self.place, &options, Some(claim))
            .await?;
        let name = &plan.bundle.inventory().name;
        let mut warnings = plan.warnings.clone();
        if delivered.decision == Decision::Replay {
            return Ok((
                Tried::Skipped {
                    partly: false,
                    reason: "its sequence was delivered before".to_owned(),
                },
                warnings,
            ));
        }
        warnings.extend(delivered.notes(name));
        let report = &delivered.report;
        let tried = Tried::Delivered {
            partly: report.copy.failed() > 0,
            summary: summarise(report),
        };
        Ok((tried, warnings))
    }

    /// What failed for good is set aside in the ledger too, so that no other watch tries it again.
    async fn give_back(&self, claim: &Claimed, error: &Error) -> Result<()> {
        let reason = describe(error);
        // Whether damaged content is damaged for good is decided by time, and so not here.
        let is_final = judge_delivery(error, false) == Verdict::SetAside;
        match is_final {
            true => self.memory.ledger.set_aside(claim, &reason).await,
            false => {
                self.memory
                    .ledger
                    .postpone(claim, Timestamp::now(), &reason)
                    .await
            }
        }
    }
}

/// The object that carries the artifacts stands for the bundle.
fn name_of(set: &CompleteSet) -> String {
    set.objects.last().cloned().unwrap_or_default()
}

enum Claiming {
    Ours(Claimed),
    Done { partly: bool },
    SetAside(String),
    Elsewhere,
}

/// Ends only when the claim is lost.
async fn renew_for_ever(ledger: &Ledger, claim: &mut Claimed) -> Error {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if let Err(error) = ledger.renew(claim, LEASE, Timestamp::now()).await {
            return error;
        }
    }
}

fn summarise(report: &crate::pipeline::ImportReport) -> String {
    let copy = &report.copy;
    let failed = copy.failed();
    let mut text = format!(
        "{}, {} bytes moved, {} bytes there already, {} moved",
        count(report.artifacts.len(), "artifact"),
        copy.pushed_bytes,
        copy.present_bytes,
        count(copy.tags_moved, "tag"),
    );
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    text
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
