//! A promotion's part of the ledger: its run, and an entry of the audit log for each artifact that is at the target.
//!
//! **Invariant.** A run that has begun is recorded to its end, whatever that is, with the tags that it has moved; so is
//! one that was not allowed.
//! Specification: src/history/SCHEMA.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::broken_off::DoneSoFar;
use super::deliver_outcome::{outcome_of_copy, tell_artifacts};
use super::import::ImportedArtifact;
use super::overwrite::TagPast;
use super::place::Place;
use super::promote::{PromotionOptions, PromotionPlan, PromotionReport, run_promotion};
use crate::content::{ArtifactOutcome, Error, Result};
use crate::history::{
    ActiveRun, ArtifactCounts, AuditEntry, AuditKind, Ledger, LogEvent, NewRun, RepositoryCounts,
    RunFailure, RunId, RunKind, RunLink, RunOutcome, RunPhase, RunStatus, Trigger, reference_at,
};

/// Which ledger remembers a promotion, and what it is told about it.
pub struct PromotionMemory {
    pub ledger: Ledger,
    pub run: NewRun,
    pub clock: fn() -> Timestamp,
}

/// The record of a promotion along an edge, before anything is known of its content.
pub fn describe_promotion(
    (source, target): (String, String),
    pipeline: Option<String>,
    (trigger, who, comment): (Trigger, String, Option<String>),
) -> NewRun {
    NewRun {
        kind: RunKind::Promotion,
        pipeline,
        trigger,
        who,
        comment,
        container: Some(source),
        target: Some(target),
        bundle: None,
        set: None,
        inventory: None,
        sequence: None,
        link: RunLink::default(),
    }
}

impl PromotionMemory {
    /// Records a promotion that has failed before there was a plan.
    pub async fn record_failure(&self, error: &Error) -> Result<()> {
        let run = ActiveRun::begin(&self.ledger, &self.run, self.clock).await?;
        run.fail(RunStatus::Failed, error).await
    }

    /// Records a promotion that had nothing to do.
    pub async fn record_nothing(&self) -> Result<()> {
        let run = ActiveRun::begin(&self.ledger, &self.run, self.clock).await?;
        run.end(&RunOutcome::new(RunStatus::Done).because("nothing selected"))
            .await
    }

    /// Promotes, and records the run.
    pub async fn promote(
        &self,
        plan: &PromotionPlan,
        target: &Place,
        options: PromotionOptions,
    ) -> Result<(PromotionReport, RunId)> {
        let run = ActiveRun::begin(&self.ledger, &self.run, self.clock).await?;
        let id = run.id().clone();
        let target_name = self.run.target.clone().unwrap_or_default();
        let past = TagPast {
            ledger: self.ledger.clone(),
            target: target_name.clone(),
        };
        let done = Arc::<DoneSoFar>::default();
        let options = PromotionOptions {
            events: done.events(&run.events(&options.events, RunPhase::Moving)),
            read_back: options
                .read_back
                .as_ref()
                .map(|events| run.events(&Arc::clone(events), RunPhase::ReadingBack)),
            ..options
        };
        let promoted = tokio::select! {
            promoted = run_promotion(plan, target, &options, Some((id.clone(), past))) => promoted,
            why = run.cancelled() => Err(why),
        };
        let report = match promoted {
            Ok(report) => report,
            Err(error) => {
                let failure = run.failure(RunStatus::Failed, &error);
                let outcome = match done.tell(&plan.plan, plan.artifact_names()) {
                    Some(done) => RunOutcome {
                        events: events_of(plan, &done.artifacts, &target_name),
                        ..done.add_to(failure, (&plan.plan, &plan.names), &run)
                    },
                    None => failure,
                };
                run.end(&outcome).await?;
                return Err(error);
            }
        };
        tell_artifacts(&run, &report.artifacts);
        for (reference, reason) in &plan.failures {
            run.tell(LogEvent::Failed, format!("{reference}: {reason}"));
        }
        let outcome = RunOutcome {
            events: events_of(plan, &report.artifacts, &target_name),
            ..outcome_of(plan, &report)
        };
        run.end(&outcome).await?;
        Ok((report, id))
    }
}

/// The figures of the copy, and of what never came so far.
fn outcome_of(plan: &PromotionPlan, report: &PromotionReport) -> RunOutcome {
    let mut outcome = outcome_of_copy((&plan.plan, &plan.names), &report.artifacts, &report.copy);
    if plan.failures.is_empty() {
        return outcome;
    }
    let mut unread: BTreeMap<&str, ArtifactCounts> = BTreeMap::new();
    for (reference, reason) in &plan.failures {
        let counts = unread.entry(reference).or_default();
        for counts in [counts, &mut outcome.artifacts] {
            counts.total += 1;
            counts.failed += 1;
        }
        outcome.failures.push(RunFailure {
            artifact: reference.clone(),
            reason: reason.clone(),
        });
    }
    let unread = unread
        .into_iter()
        .map(|(repository, artifacts)| RepositoryCounts {
            repository: repository.to_owned(),
            artifacts,
        });
    outcome.repositories.extend(unread);
    RunOutcome {
        status: RunStatus::PartlyFailed,
        ..outcome
    }
}

fn events_of(
    plan: &PromotionPlan,
    artifacts: &[ImportedArtifact],
    target: &str,
) -> Vec<AuditEntry> {
    let planned = plan.plan.artifacts.iter().zip(plan.source_references());
    let events = planned
        .zip(artifacts)
        .filter_map(|((planned, source), done)| {
            let (replaced, reason) = match &done.outcome {
                ArtifactOutcome::Delivered => (done.replaced.clone(), None),
                ArtifactOutcome::Unchanged => (Some(done.digest.clone()), None),
                ArtifactOutcome::Held(reason) => (None, Some(reason.clone())),
                ArtifactOutcome::Kept | ArtifactOutcome::Failed(_) => return None,
            };
            // Where the name stays with what it stood for, the content is there under its digest.
            let name = match &done.outcome {
                ArtifactOutcome::Held(_) => {
                    format!("{}@{}", plan.names[planned.repository], done.digest)
                }
                _ => done.name.clone(),
            };
            Some(AuditEntry {
                source: Some(source),
                target: Some(reference_at(target, &name)),
                digest: Some(done.digest.clone()),
                replaced,
                rollback_tag: done.rollback_tag.clone(),
                reason,
                ..AuditEntry::new(AuditKind::Promoted)
            })
        });
    events.collect()
}
