//! An import that remembers: the rules of sequences before it, one record of everything after it.
//!
//! `import` moves content and knows no ledger; here stands what the ledger has to say about it. The rules
//! themselves are pure, in `history`. By hand and by a watch it is the same.
//!
//! **Invariants.** Deliveries of one lane exclude each other. What is recorded as accepted is at the target.
//! Specification: design.md, "Sequence"; src/history/SCHEMA.md.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::admission::CannotAdmit;
use super::answer::Receipts;
use super::assumed::AssumedWithin;
use super::broken_off::DoneSoFar;
use super::deliver_events::{events_of, refused_artifacts};
use super::deliver_outcome::{outcome_of, repositories_of, tags_of, tell_artifacts};
use super::delivered::{Delivered, notes_on};
use super::import::{ImportOptions, ImportReport, Replays, run_import};
use super::import_plan::ImportPlan;
use super::overwrite::TagPast;
use super::place::Place;
use crate::bundle::Inventory;
use crate::content::{Error, Events, HeldTags, Result};
use crate::history::{
    ActiveRun, AuditEntry, Claimed, Decision, Delivery, DeliveryRecord, Judgement, Lane, Ledger,
    Link, LogEvent, NewRun, Refusal, RunKind, RunLink, RunOutcome, RunPhase, RunStatus, Trigger,
    judge,
};
use crate::oci::{Digest, Repository, Tag};

/// Which ledger remembers an import, and what it is told about it.
pub struct Remembrance {
    pub ledger: Ledger,
    pub kind: RunKind,
    pub trigger: Trigger,
    /// Login name and user id.
    pub who: String,
    /// Why, in the words of whoever started it.
    pub comment: Option<String>,
    /// The importer's lane name, where it has one.
    pub lane: Option<String>,
    /// The target, paths absolute: the same target is to be called the same.
    pub target: String,
    /// Where the bundle came from, for people.
    pub container: Option<String>,
    pub link: RunLink,
    /// Who signs receipts of what is delivered, and where they go; without it nobody is answered.
    pub receipts: Option<Receipts>,
    pub clock: fn() -> Timestamp,
}

impl Remembrance {
    /// The same memory that also answers the bundles, where somebody signs for it.
    pub fn answering(self, receipts: Option<Receipts>) -> Self {
        Self { receipts, ..self }
    }

    /// The same memory for runs of another kind.
    pub fn called(self, kind: RunKind, trigger: Trigger) -> Self {
        Self {
            kind,
            trigger,
            ..self
        }
    }

    /// The bundle's lane here and its place in the pipeline; `None` where it belongs to none.
    pub fn place_of(&self, inventory: &Inventory, digest: &Digest) -> Result<Option<(Lane, Link)>> {
        let (Some(pipeline), Some(sequence)) = (&inventory.pipeline, inventory.sequence) else {
            return Ok(None);
        };
        let id = pipeline.id.parse().map_err(|cause| {
            Error::unverified("the inventory names its pipeline wrongly").with_cause(cause)
        })?;
        let lane = Lane {
            pipeline: id,
            name: self.lane.clone().unwrap_or_default(),
            target: self.target.clone(),
        };
        let link = Link {
            sequence,
            inventory: digest.clone(),
            previous: inventory.previous.clone(),
        };
        Ok(Some((lane, link)))
    }

    /// What the ledger says about a bundle, now.
    pub async fn judge(&self, place: Option<&(Lane, Link)>) -> Result<Judgement> {
        match place {
            None => Ok(judge(&[], None)),
            Some((lane, link)) => {
                let accepted = self.ledger.list_accepted(lane).await?;
                Ok(judge(&accepted, Some(link)))
            }
        }
    }

    /// What would be told of a bundle, or why it would be refused; nothing is recorded.
    pub async fn preview(&self, import: &ImportPlan, replays: Replays) -> Result<Vec<String>> {
        let inventory = import.bundle.inventory();
        let place = self.place_of(inventory, import.bundle.last().inventory_digest())?;
        let Judgement { decision, missing } = self.judge(place.as_ref()).await?;
        match CannotAdmit::from_decision(inventory, &decision) {
            Some(refusal) => Err(refuse(inventory, refusal)),
            None => Ok(notes_on(&decision, &missing, &inventory.name, replays)),
        }
    }

    /// Where a delivery of this bundle would look for what it does not carry.
    pub async fn assumed_within(
        &self,
        import: &ImportPlan,
        mut within: AssumedWithin,
    ) -> Result<AssumedWithin> {
        let inventory = import.bundle.inventory();
        let place = self.place_of(inventory, import.bundle.last().inventory_digest())?;
        if let Some((lane, _)) = place {
            within.filled = self.find_filled(&lane).await?;
        }
        Ok(within)
    }

    /// Delivers a bundle by the rules and records the run. With a claim its end is part of the record.
    pub async fn deliver(
        &self,
        import: &ImportPlan,
        target: &Place,
        options: &ImportOptions,
        claim: Option<&Claimed>,
    ) -> Result<Delivered> {
        let never = std::future::pending();
        self.deliver_until(import, target, options, claim, never)
            .await
    }

    /// The same until `interrupted` says why not any longer: then the run has ended so, and nothing is under way.
    /// What is recorded is recorded whole; nothing interrupts that.
    pub(super) async fn deliver_until(
        &self,
        import: &ImportPlan,
        target: &Place,
        options: &ImportOptions,
        claim: Option<&Claimed>,
        interrupted: impl Future<Output = Error> + Send,
    ) -> Result<Delivered> {
        let mut interrupted = std::pin::pin!(interrupted);
        self.send_receipts_or_tell(&options.copy.events).await;
        let inventory = import.bundle.inventory();
        let place = self.place_of(inventory, import.bundle.last().inventory_digest())?;
        let _hold = match &place {
            None => None,
            Some((lane, _)) => tokio::select! {
                hold = self.ledger.hold_lane(lane) => Some(hold?),
                why = &mut interrupted => return Err(why),
            },
        };
        let Judgement { decision, missing } = self.judge(place.as_ref()).await?;
        if let Some(claim) = claim {
            self.ledger.note_decision(claim, &decision).await?;
        }
        let run = ActiveRun::begin(&self.ledger, &self.describe(import), self.clock).await?;
        if let Some(refusal) = CannotAdmit::from_decision(inventory, &decision) {
            let error = refuse(inventory, refusal);
            let artifacts = refused_artifacts(import, &self.target);
            run.refuse(&error, artifacts).await?;
            return Err(error);
        }
        let notes = notes_on(&decision, &missing, &inventory.name, options.replays);
        for warning in import.warnings.iter().chain(&notes) {
            run.tell(LogEvent::Warning, warning);
        }
        let done = Arc::<DoneSoFar>::default();
        let told = (&run, &done);
        let imported = tokio::select! {
            imported = self.import(import, target, options, (place.as_ref(), &decision), told) => {
                imported.map_err(|error| (RunStatus::Failed, error))
            }
            why = &mut interrupted => Err((RunStatus::Interrupted, why)),
            why = run.cancelled() => Err((RunStatus::Cancelled, why)),
        };
        let report = match imported {
            Ok(report) => report,
            Err((status, error)) => {
                let failure = run.failure(status, &error);
                self.record_broken_off((run, failure), (import, place), &done)
                    .await?;
                return Err(error);
            }
        };
        let id = run.id().clone();
        let is_skipped = decision == Decision::Replay && options.replays == Replays::Skip;
        let place = place.filter(|_| !is_skipped);
        let events = match is_skipped {
            true => Vec::new(),
            false => events_of(import, &report, &self.target),
        };
        let end = Ending {
            run,
            place,
            claim,
            notes,
            events,
            told: &options.copy.events,
        };
        self.record(end, import, &report).await?;
        self.send_receipts_or_tell(&options.copy.events).await;
        Ok(Delivered {
            decision,
            missing,
            report,
            run: id,
            replays: options.replays,
        })
    }

    /// Records a bundle that was refused before it came to a delivery, once; `bundle` is what is known of its name.
    pub async fn note_refusal(&self, bundle: Option<&str>, reason: &str) -> Result<()> {
        let refusal = Refusal {
            trigger: self.trigger,
            who: self.who.clone(),
            comment: self.comment.clone(),
            source: self.container.clone(),
            target: Some(self.target.clone()),
            bundle: bundle.map(str::to_owned),
            reason: reason.to_owned(),
        };
        self.ledger.record_refusal(&refusal, (self.clock)()).await
    }

    async fn import(
        &self,
        import: &ImportPlan,
        target: &Place,
        options: &ImportOptions,
        (place, decision): (Option<&(Lane, Link)>, &Decision),
        (run, done): (&ActiveRun, &Arc<DoneSoFar>),
    ) -> Result<ImportReport> {
        if *decision == Decision::Replay && options.replays == Replays::Skip {
            return Ok(ImportReport::unchanged(import));
        }
        let mut options = options.clone();
        let past = TagPast {
            ledger: self.ledger.clone(),
            target: self.target.clone(),
        };
        options.missing = Some(self.ledger.state_path().join("missing"));
        options.recorded = Some((run.id().clone(), past));
        options.copy.events = done.events(&run.events(&options.copy.events, RunPhase::Moving));
        options.read_back = options
            .read_back
            .map(|events| run.events(&events, RunPhase::ReadingBack));
        if let Some((lane, link)) = place {
            options.copy.held = self.find_held(lane, link).await?.into();
            options.assumed_within.filled = self.find_filled(lane).await?;
        }
        run_import(import, target, &options).await
    }

    /// Repositories of the target that the lane has filled.
    async fn find_filled(&self, lane: &Lane) -> Result<BTreeSet<Repository>> {
        let names = self.ledger.list_filled(lane).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Tags that a newer bundle of the pipeline has set or removed.
    async fn find_held(&self, lane: &Lane, link: &Link) -> Result<HeldTags> {
        let newer = self.ledger.list_newer_tags(lane, link.sequence).await?;
        let held = newer.into_iter().filter_map(|(reference, sequence)| {
            let (repository, tag) = reference.rsplit_once(':')?;
            let name: (Repository, Tag) = (repository.parse().ok()?, tag.parse().ok()?);
            Some((
                name,
                format!("a newer bundle has set it, sequence {sequence}"),
            ))
        });
        Ok(held.collect())
    }

    async fn record(
        &self,
        end: Ending<'_>,
        import: &ImportPlan,
        report: &ImportReport,
    ) -> Result<()> {
        let mut outcome = RunOutcome {
            events: end.events,
            ..outcome_of(import, report)
        };
        if !end.notes.is_empty() {
            outcome = outcome.because(end.notes.join("; "));
        }
        let mut run = end.run;
        tell_artifacts(&run, &report.artifacts);
        run.close().await;
        let delivery = match end.place {
            None => None,
            Some((lane, link)) => Some(Delivery {
                answer: self
                    .answer((import, report), (&lane, &link), end.told)
                    .await?,
                lane,
                link,
                tags: tags_of(import, report),
                repositories: import.names.iter().map(ToString::to_string).collect(),
                is_complete: outcome.status == RunStatus::Done,
            }),
        };
        let recorded = self.ledger.record_delivery(DeliveryRecord {
            run: run.id(),
            outcome: &outcome,
            delivery: delivery.as_ref(),
            claim: end.claim,
            now: (self.clock)(),
        });
        if let Err(error) = recorded.await {
            run.fail(RunStatus::Failed, &error).await?;
            return Err(error);
        }
        Ok(())
    }

    /// Records a run that broke off: what it had set until then is set, and its bundle is not accepted.
    async fn record_broken_off(
        &self,
        (mut run, failure): (ActiveRun, RunOutcome),
        (import, place): (&ImportPlan, Option<(Lane, Link)>),
        done: &DoneSoFar,
    ) -> Result<()> {
        let Some(done) = done.tell(&import.plan, import.artifact_names()) else {
            return run.end(&failure).await;
        };
        let outcome = done.add_to(failure, (&import.plan, &import.names), &run);
        let report = ImportReport {
            copy: done.report,
            artifacts: done.artifacts,
            read_back: None,
        };
        let outcome = RunOutcome {
            events: events_of(import, &report, &self.target),
            ..outcome
        };
        let mut tags: BTreeSet<String> = tags_of(import, &report).into_iter().collect();
        tags.extend(done.tags);
        let delivery = place.map(|(lane, link)| Delivery {
            lane,
            link,
            tags: tags.into_iter().collect(),
            repositories: repositories_of(import, &report),
            is_complete: false,
            answer: None,
        });
        run.close().await;
        let record = DeliveryRecord {
            run: run.id(),
            outcome: &outcome,
            delivery: delivery.as_ref(),
            // The work is not done.
            claim: None,
            now: (self.clock)(),
        };
        self.ledger.record_delivery(record).await
    }

    fn describe(&self, import: &ImportPlan) -> NewRun {
        let inventory = import.bundle.inventory();
        NewRun {
            kind: self.kind,
            pipeline: inventory.pipeline.as_ref().map(|p| p.name.clone()),
            trigger: self.trigger,
            who: self.who.clone(),
            comment: self.comment.clone(),
            container: self.container.clone(),
            target: Some(self.target.clone()),
            bundle: Some(inventory.name.clone()),
            set: Some(inventory.set.clone()),
            inventory: Some(import.bundle.last().inventory_digest().clone()),
            sequence: inventory.sequence,
            link: self.link.clone(),
        }
    }
}

struct Ending<'a> {
    run: ActiveRun,
    place: Option<(Lane, Link)>,
    claim: Option<&'a Claimed>,
    /// What a person should know of a delivery that went well.
    notes: Vec<String>,
    /// What is kept of it for good.
    events: Vec<AuditEntry>,
    /// Who is told of trouble that fails nothing.
    told: &'a Events,
}

fn refuse(inventory: &Inventory, refusal: CannotAdmit) -> Error {
    Error::unverified(format!("cannot import `{}`", inventory.name)).with_cause(refusal)
}
