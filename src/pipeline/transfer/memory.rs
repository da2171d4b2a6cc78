//! A transfer's part of the ledger: a run with its objects as artifacts, and the bundles that it has carried.
//!
//! It decides nothing about what travels. Every transfer by hand is recorded, whatever comes of it; of a watch's rounds
//! only those that have moved something, since most of them find nothing to do.

use jiff::Timestamp;

use super::options::{ObjectOutcome, SourcePolicy, TransferOptions, TransferReport};
use super::plan::TransferPlan;
use super::run::{plan_transfer, run_transfer};
use super::survey::ContainerSurvey;
use crate::content::{Error, OnError, Result, describe};
use crate::history::{
    ActiveRun, AuditEntry, CarriedBundle, Ledger, LogEvent, NewRun, RunBundle, RunCancelled,
    RunFailure, RunKind, RunLink, RunOutcome, RunPhase, RunStatus, Trigger,
};

/// Which ledger remembers a transfer, and what it is told about it.
pub struct TransferMemory {
    pub ledger: Ledger,
    pub trigger: Trigger,
    /// Login name and user id.
    pub who: String,
    /// Why, in the words of whoever started it.
    pub comment: Option<String>,
    /// The two containers as messages show them, paths absolute.
    pub source: String,
    pub target: String,
    pub link: RunLink,
    pub clock: fn() -> Timestamp,
}

impl TransferMemory {
    /// Looks, plans and carries out, as one run.
    pub async fn transfer(
        &self,
        options: &TransferOptions,
        source: &mut ContainerSurvey,
        target: &mut ContainerSurvey,
    ) -> Result<TransferReport> {
        let run = self.begin(options).await?;
        let options = recorded(options, &run);
        let carried = async {
            let plan = plan_transfer(&options, source, target).await?;
            run_transfer(&options, plan).await
        };
        let carried = tokio::select! {
            carried = carried => carried,
            error = run.cancelled() => Err(error),
        };
        match carried {
            Ok(report) => end(run, &options, &report).await.map(|()| report),
            Err(error) => fail(run, error).await,
        }
    }

    /// Carries out what a round of a watch has planned.
    pub(super) async fn run_round(
        &self,
        options: &TransferOptions,
        plan: TransferPlan,
    ) -> Result<TransferReport> {
        if !has_work(&plan, options.source_policy) {
            return run_transfer(options, plan).await;
        }
        let run = self.begin(options).await?;
        let options = recorded(options, &run);
        let carried = tokio::select! {
            carried = run_transfer(&options, plan) => carried,
            error = run.cancelled() => Err(error),
        };
        match carried {
            Ok(report) if report.has_moved() => end(run, &options, &report).await.map(|()| report),
            Err(error) if RunCancelled::is_cause_of(&error) => fail(run, error).await,
            nothing => run.withdraw().await.and(nothing),
        }
    }

    async fn begin(&self, options: &TransferOptions) -> Result<ActiveRun> {
        let run = NewRun {
            kind: RunKind::Transfer,
            pipeline: options.selection.pipeline.clone(),
            trigger: self.trigger,
            who: self.who.clone(),
            comment: self.comment.clone(),
            container: Some(self.source.clone()),
            target: Some(self.target.clone()),
            bundle: None,
            set: None,
            inventory: None,
            sequence: None,
            link: self.link.clone(),
        };
        ActiveRun::begin(&self.ledger, &run, self.clock).await
    }
}

/// The same options, with a run that hears what moves.
fn recorded(options: &TransferOptions, run: &ActiveRun) -> TransferOptions {
    TransferOptions {
        events: run.events(&options.events, RunPhase::Moving),
        ..options.clone()
    }
}

fn has_work(plan: &TransferPlan, source_policy: SourcePolicy) -> bool {
    let may_remove = source_policy == SourcePolicy::Delete && !plan.bundles.is_empty();
    may_remove || plan.objects_to_copy().next().is_some()
}

async fn fail<T>(run: ActiveRun, error: Error) -> Result<T> {
    run.fail(RunStatus::Failed, &error).await?;
    Err(error)
}

async fn end(run: ActiveRun, options: &TransferOptions, report: &TransferReport) -> Result<()> {
    let objects = report.bundles.iter().flat_map(|bundle| &bundle.objects);
    for (name, _, outcome) in objects {
        match outcome {
            ObjectOutcome::Kept => run.tell(LogEvent::Unchanged, name),
            _ => run.tell(LogEvent::Delivered, name),
        }
    }
    let outcome = outcome_of(report, options.on_error);
    for RunFailure { artifact, reason } in &outcome.failures {
        run.tell(LogEvent::Failed, format!("{artifact}: {reason}"));
    }
    run.end(&outcome).await
}

fn outcome_of(report: &TransferReport, on_error: OnError) -> RunOutcome {
    let mut failures: Vec<RunFailure> = Vec::new();
    for failure in &report.failures {
        failures.push(RunFailure {
            artifact: failure.name.clone(),
            reason: describe(&failure.error),
        });
    }
    for object in &report.arriving {
        failures.push(RunFailure {
            artifact: object.clone(),
            reason: "it ends before its end, and may still be arriving".to_owned(),
        });
    }
    let status = match (failures.first(), on_error) {
        (None, _) => RunStatus::Done,
        (Some(_), OnError::Stop) if !report.failures.is_empty() => RunStatus::Failed,
        (Some(_), _) => RunStatus::PartlyFailed,
    };
    let mut outcome = RunOutcome::new(status);
    if status == RunStatus::Failed {
        outcome.reason = failures.first().map(|first| first.reason.clone());
    }
    count_objects(&mut outcome, report);
    outcome.artifacts.failed = failures.len() as u64;
    outcome.artifacts.total += outcome.artifacts.failed;
    outcome.bundles = bundles_of(report);
    if let [one] = outcome.bundles.as_slice() {
        outcome.inventory.clone_from(&one.inventory);
        outcome.sequence = one.sequence;
    }
    outcome.events = events_of(report);
    outcome.failures = failures;
    outcome
}

/// What is kept for good: bundles of which something was moved, and everything is there now.
fn events_of(report: &TransferReport) -> Vec<AuditEntry> {
    let has_failed = |name: &str| report.failures.iter().any(|failure| failure.name == name);
    let carried = report.bundles.iter().filter(|bundle| {
        let mut outcomes = bundle.objects.iter().map(|(_, _, outcome)| outcome);
        !has_failed(&bundle.name) && outcomes.any(|outcome| *outcome != ObjectOutcome::Kept)
    });
    let event = |bundle: &super::options::TransferredBundle| {
        Some(AuditEntry::transferred(CarriedBundle {
            name: bundle.name.clone(),
            inventory: bundle.inventory.clone()?,
            sequence: bundle.sequence,
        }))
    };
    carried.filter_map(event).collect()
}

fn count_objects(outcome: &mut RunOutcome, report: &TransferReport) {
    let (streamed, streamed_bytes) = report.total(ObjectOutcome::Streamed);
    let (by_service, service_bytes) = report.total(ObjectOutcome::CopiedByService);
    let (kept, kept_bytes) = report.total(ObjectOutcome::Kept);
    let counts = &mut outcome.artifacts;
    counts.delivered = (streamed + by_service) as u64;
    counts.unchanged = kept as u64;
    counts.total = counts.delivered + counts.unchanged;
    let resumed_bytes = report.resumed_bytes;
    outcome.moved_bytes = (streamed_bytes + service_bytes).saturating_sub(resumed_bytes);
    outcome.present_bytes = kept_bytes + resumed_bytes;
}

/// Those of which everything that the source has is at the target.
fn bundles_of(report: &TransferReport) -> Vec<RunBundle> {
    let has_failed = |name: &str| report.failures.iter().any(|failure| failure.name == name);
    let carried = report.bundles.iter().filter(|it| !has_failed(&it.name));
    let bundle = |it: &super::options::TransferredBundle| RunBundle {
        name: it.name.clone(),
        pipeline: it.pipeline.clone(),
        sequence: it.sequence,
        inventory: it.inventory.clone(),
    };
    carried.map(bundle).collect()
}
