//! An export's part of the ledger: its runs, and the reservation of a place in a pipeline.
//!
//! **Invariant.** A bundle of a pipeline becomes visible only after the ledger has its sequence and its
//! inventory's digest, so a number never stands for two inventories. Specification: src/history/SCHEMA.md.

use jiff::Timestamp;

use super::export::ExportReport;
use super::export_plan::{ExportOptions, ExportPlan};
use crate::content::{Error, Result, describe};
use crate::history::{
    ArtifactCounts, ExportPosition, ExportedBundle, Ledger, NewRun, RunFailure, RunId, RunKind,
    RunOutcome, RunStatus, Trigger,
};
use crate::oci::Digest;

/// Which ledger remembers an export, and what it is told about it.
pub struct ExportMemory {
    pub ledger: Ledger,
    pub trigger: Trigger,
    /// Login name and user id.
    pub who: String,
    /// The container as messages show it.
    pub container: String,
    pub clock: fn() -> Timestamp,
}

impl ExportMemory {
    /// Records an export that has failed before there was a plan.
    pub async fn record_failure(&self, options: &ExportOptions, error: &Error) -> Result<()> {
        let mut run = self.describe();
        run.pipeline = options.pipeline.as_ref().map(|p| p.name.clone());
        let run = self.ledger.start_run(&run, (self.clock)()).await?;
        self.end_failed(&run, error).await
    }

    /// Records an export that had nothing to do.
    pub(super) async fn record_nothing(&self, options: &ExportOptions) -> Result<()> {
        let mut run = self.describe();
        run.pipeline = options.pipeline.as_ref().map(|p| p.name.clone());
        let run = self.ledger.start_run(&run, (self.clock)()).await?;
        let outcome = RunOutcome::new(RunStatus::Done).because("nothing selected");
        self.ledger.end_run(&run, &outcome, (self.clock)()).await
    }

    pub(super) async fn start(&self, export: &ExportPlan) -> Result<RunId> {
        let position = export.position.as_ref();
        let run = NewRun {
            pipeline: position.map(|position| position.name.clone()),
            bundle: Some(export.name.clone()),
            set: Some(export.set.clone()),
            sequence: position.map(|position| position.sequence),
            ..self.describe()
        };
        self.ledger.start_run(&run, (self.clock)()).await
    }

    fn describe(&self) -> NewRun {
        NewRun {
            kind: RunKind::Export,
            pipeline: None,
            trigger: self.trigger,
            who: self.who.clone(),
            container: Some(self.container.clone()),
            target: None,
            bundle: None,
            set: None,
            inventory: None,
            sequence: None,
        }
    }

    pub(super) async fn end_failed(&self, run: &RunId, error: &Error) -> Result<()> {
        let outcome = RunOutcome::new(RunStatus::Failed).because(describe(error));
        self.ledger.end_run(run, &outcome, (self.clock)()).await
    }

    pub(super) async fn end(
        &self,
        run: &RunId,
        export: &ExportPlan,
        report: &ExportReport,
    ) -> Result<()> {
        let outcome = outcome_of(export, report);
        self.ledger.end_run(run, &outcome, (self.clock)()).await
    }

    /// Records that the bundle is visible.
    pub(super) async fn confirm(&self, position: &ExportPosition) -> Result<()> {
        let (id, sequence) = (&position.pipeline, position.sequence);
        self.ledger
            .confirm_sequence(id, sequence, (self.clock)())
            .await
    }

    /// Makes sure that the ledger has a bundle that was found in the container as published.
    pub(super) async fn adopt(
        &self,
        run: &RunId,
        export: &ExportPlan,
        report: &ExportReport,
    ) -> Result<()> {
        let (Some(position), Some(last)) = (&export.position, report.volumes.last()) else {
            return Ok(());
        };
        let known = self.ledger.find_pipeline(&position.name).await?;
        let newest = known.and_then(|known| known.newest);
        if newest.is_none_or(|newest| newest.sequence < position.sequence) {
            let reservation = Reservation { memory: self, run };
            let inventory = last.inventory_digest.clone();
            reservation.reserve(export, inventory).await?;
        }
        self.confirm(position).await
    }
}

/// The right of a run to its bundle's place in the pipeline, to be had when the bundle is whole.
pub(super) struct Reservation<'a> {
    pub memory: &'a ExportMemory,
    pub run: &'a RunId,
}

impl Reservation<'_> {
    pub(super) async fn reserve(&self, export: &ExportPlan, inventory: Digest) -> Result<()> {
        let Some(position) = &export.position else {
            return Ok(());
        };
        let bundle = ExportedBundle {
            sequence: position.sequence,
            set: export.set.clone(),
            inventory,
            bundle: export.name.clone(),
            is_published: false,
        };
        let now = (self.memory.clock)();
        let ledger = &self.memory.ledger;
        ledger
            .reserve_sequence(position, &bundle, self.run, now)
            .await
    }
}

fn outcome_of(export: &ExportPlan, report: &ExportReport) -> RunOutcome {
    let exported = report.exported.len() as u64;
    let total = (export.plan.artifacts.len() + export.failures.len()) as u64;
    let (delivered, unchanged) = match report.is_unchanged {
        true => (0, exported),
        false => (exported, 0),
    };
    let failure = |(artifact, reason): &(String, String)| RunFailure {
        artifact: artifact.clone(),
        reason: reason.clone(),
    };
    let status = match report.failures.is_empty() {
        true => RunStatus::Done,
        false => RunStatus::PartlyFailed,
    };
    let last = report.volumes.last();
    RunOutcome {
        moved_bytes: report.moved_bytes,
        artifacts: ArtifactCounts {
            total,
            delivered,
            unchanged,
            kept: 0,
            failed: total.saturating_sub(exported),
        },
        failures: report.failures.iter().map(failure).collect(),
        inventory: last.map(|volume| volume.inventory_digest.clone()),
        ..RunOutcome::new(status)
    }
}
