//! One complete set: opened anew, admitted, claimed, imported, recorded, and removed where that was asked for.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::book::CompleteSet;
use super::claiming::Claiming;
use super::event::WatchEvent;
use super::verdict::{Fault, Verdict, judge_delivery, may_be_damage};
use super::{OneOff, Watching};
use crate::bundle::{Bundle, BundleError, NotTrusted};
use crate::content::{Error, ErrorKind, Result, count, describe};
use crate::history::{Claimed, Ledger};
use crate::pipeline::import_plan::{ImportPlan, plan_import};
use crate::pipeline::open_bundles::{OpenedBundle, open_volume};

/// How long a claim lasts without a sign of life. A watch that was killed is followed after this time at most.
pub(super) const LEASE: SignedDuration = SignedDuration::from_secs(30);
const RENEWAL: Duration = Duration::from_secs(10);
/// When a bundle that another watch has claimed is asked for again.
const CLAIMED_ELSEWHERE: Duration = Duration::from_secs(5);
/// Why an import ends early with its watch.
const STOPPED: &str = "the watch was stopped";

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
    Refused(String, Fault),
    WaitingForSignatures(String),
    ClaimedElsewhere,
    Stopped,
}

impl Watching<'_> {
    /// Delivers the set, from other copies of its volumes where the first ones are damaged.
    pub(super) async fn deliver(&mut self, mut set: CompleteSet, stop: &CancellationToken) {
        loop {
            let name = name_of(&set);
            self.read_trust();
            let renewed = tokio::select! {
                renewed = self.target.renew() => renewed,
                () = stop.cancelled() => return,
            };
            if let Err(error) = renewed {
                return self.end_try(&set, name, Err(error)).await;
            }
            let tried = self.try_set(&set, &name, stop).await;
            if let Err(error) = &tried
                && may_be_damage(error)
                && let Some(better) = self.find_better_copies(&set, stop).await
            {
                set = better;
                continue;
            }
            return self.end_try(&set, name, tried).await;
        }
    }

    async fn end_try(&mut self, set: &CompleteSet, name: String, tried: Result<Tried>) {
        let objects = self.book.objects_of(&set.set);
        match tried {
            Ok(Tried::Delivered { partly, summary }) => {
                self.count(partly);
                let bundle = name;
                self.teller.tell(match partly {
                    true => WatchEvent::PartlyImported { bundle, summary },
                    false => WatchEvent::Imported { bundle, summary },
                });
                self.end_set(&self.key_of(set), &objects, !partly).await;
            }
            Ok(Tried::Skipped { partly, reason }) => {
                // Where only a copy is new, the line is about the copy.
                let bundle = match objects.contains(&name) {
                    true => name,
                    false => objects.last().cloned().unwrap_or(name),
                };
                self.teller.tell(WatchEvent::Skipped { bundle, reason });
                self.end_set(&self.key_of(set), &objects, !partly).await;
            }
            Ok(Tried::Refused(reason, fault)) => {
                let key = self.key_of(set);
                self.give_up(&objects, &key, &name, reason, fault).await;
            }
            Ok(Tried::WaitingForSignatures(reason)) => {
                for object in objects {
                    self.judged(&object, Verdict::Wait, reason.clone(), Instant::now());
                }
            }
            Ok(Tried::ClaimedElsewhere) => {
                let reason = "another watch has claimed it".to_owned();
                let object = name;
                self.teller.tell(WatchEvent::Postponed { object, reason });
                self.book
                    .postpone(&set.set, Instant::now() + CLAIMED_ELSEWHERE);
            }
            Ok(Tried::Stopped) => {}
            Err(error) if self.has_gone(&objects, error.kind()).await => {}
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
        if error.kind() == ErrorKind::Denied {
            // It may have been either side.
            self.watched.doubt();
            self.target.doubt();
        }
        let now = Instant::now();
        let reason = describe(error);
        let judge = |is_settled| judge_delivery(error, is_settled);
        let mut verdicts = Vec::new();
        for object in objects {
            verdicts.push(self.judge_in_time(object, judge, now).await);
        }
        // The volume that changed last decides for all of them.
        if let Some(Verdict::SetAside(fault)) = verdicts.first().copied()
            && verdicts.iter().all(|verdict| *verdict == verdicts[0])
        {
            let (name, key) = (name_of(set), self.key_of(set));
            self.give_up(objects, &key, &name, reason, fault).await;
            return;
        }
        for (object, verdict) in objects.iter().zip(verdicts) {
            let verdict = match verdict {
                Verdict::SetAside(_) => Verdict::Settle,
                verdict => verdict,
            };
            self.judged(object, verdict, reason.clone(), now);
        }
    }

    async fn try_set(
        &mut self,
        set: &CompleteSet,
        name: &str,
        stop: &CancellationToken,
    ) -> Result<Tried> {
        let opened = tokio::select! {
            opened = self.open_set(set) => opened,
            () = stop.cancelled() => return Ok(Tried::Stopped),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(BundleError::NotTrusted(reason @ NotTrusted::BelowThreshold { .. })) => {
                return Ok(Tried::WaitingForSignatures(reason.to_string()));
            }
            Err(error) => return Err(error.into()),
        };
        let inventory = opened.bundle.inventory();
        if inventory.pipeline.is_none() && self.options.one_off == OneOff::Refuse {
            let reason = "it belongs to no pipeline, and this watch does not take such bundles";
            return Ok(Tried::Refused(reason.to_owned(), Fault::Rule));
        }
        match self.claim(set).await? {
            Claiming::Done { partly } => Ok(Tried::Skipped {
                partly,
                reason: match partly {
                    true => "it was imported before, in part",
                    false => "it was imported before",
                }
                .to_owned(),
            }),
            Claiming::SetAside(reason, fault) => Ok(Tried::Refused(reason, fault)),
            Claiming::Elsewhere => Ok(Tried::ClaimedElsewhere),
            Claiming::Ours(claim) => {
                self.teller.tell(WatchEvent::Started {
                    bundle: name.to_owned(),
                });
                let objects = self.book.objects_of(&set.set);
                self.import(opened, claim, &objects, stop).await
            }
        }
    }

    /// Opens the very versions that were listed.
    async fn open_set(&self, set: &CompleteSet) -> Result<OpenedBundle, BundleError> {
        let policy = &self.trust.policy;
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

    /// Imports under the claim, and gives it back when it is not to be or could not be.
    async fn import(
        &mut self,
        opened: OpenedBundle,
        claim: Claimed,
        objects: &[String],
        stop: &CancellationToken,
    ) -> Result<Tried> {
        let interrupted = async {
            let mut renewed = claim.clone();
            tokio::select! {
                lost = renew_for_ever(&self.memory.ledger, &mut renewed) => lost,
                () = stop.cancelled() => Error::new(ErrorKind::Failed, STOPPED),
            }
        };
        let imported = self.plan_and_deliver(opened, &claim, interrupted).await;
        if imported.is_err() && stop.is_cancelled() {
            let ledger = &self.memory.ledger;
            ledger.postpone(&claim, Timestamp::now(), STOPPED).await?;
            return Ok(Tried::Stopped);
        }
        match imported {
            Ok((delivered, warnings)) => {
                for text in warnings {
                    self.warn(text);
                }
                Ok(delivered)
            }
            Err(error) => {
                self.give_back(&claim, objects, &error).await?;
                Err(error)
            }
        }
    }

    /// What came of it, and what a person should know besides.
    async fn plan_and_deliver(
        &self,
        opened: OpenedBundle,
        claim: &Claimed,
        interrupted: impl Future<Output = Error> + Send,
    ) -> Result<(Tried, Vec<String>)> {
        let mut interrupted = std::pin::pin!(interrupted);
        let options = self.options.import_at(Timestamp::now());
        let target = &self.options.target;
        let tailoring = self.options.tailoring_at(Timestamp::now());
        let plans = tokio::select! {
            plans = plan_import(vec![opened], target, &options.rules, &tailoring) => plans?,
            why = &mut interrupted => return Err(why),
        };
        let plan: &ImportPlan = plans
            .first()
            .ok_or_else(|| Error::new(ErrorKind::Failed, "the bundle has no plan"))?;
        let delivered = self
            .memory
            .deliver_until(plan, &self.target.place, &options, Some(claim), interrupted)
            .await?;
        let name = &plan.bundle.inventory().name;
        let mut warnings = plan.warnings.clone();
        if delivered.was_skipped() {
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
            summary: summarise(plan, report),
        };
        Ok((tried, warnings))
    }

    /// What failed for good is set aside in the ledger too, so that no other watch tries it again.
    async fn give_back(&self, claim: &Claimed, objects: &[String], error: &Error) -> Result<()> {
        let reason = describe(error);
        let ledger = &self.memory.ledger;
        // Whether damaged content is damaged for good is decided by time, and so not here.
        match judge_delivery(error, false) {
            Verdict::SetAside(fault) => {
                let blame = self.blame(objects, fault);
                ledger.set_aside(claim, &reason, &blame).await
            }
            _ => ledger.postpone(claim, Timestamp::now(), &reason).await,
        }
    }
}

/// The object that carries the artifacts stands for the bundle.
fn name_of(set: &CompleteSet) -> String {
    set.objects.last().cloned().unwrap_or_default()
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

fn summarise(plan: &ImportPlan, report: &crate::pipeline::ImportReport) -> String {
    let copy = &report.copy;
    let failed = copy.failed();
    let mut text = format!(
        "{}, {} bytes moved, {} bytes there already, {} moved",
        count(report.artifacts.len(), "artifact"),
        copy.pushed_bytes,
        copy.present_bytes,
        count(copy.tags_moved, "tag"),
    );
    if !plan.left.is_empty() {
        text.push_str(&format!(", {} not selected", plan.left.len()));
    }
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    text
}
