//! An export's part of the ledger: its runs, and the reservation of a place in a pipeline.
//!
//! **Invariant.** A bundle of a pipeline becomes visible only after the ledger has its sequence and its
//! inventory's digest, so a number never stands for two inventories. Specification: src/history/SCHEMA.md.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use super::deliver_outcome::by_repository;
use super::export::ExportReport;
use super::export_plan::{ExportOptions, ExportPlan};
use super::payload::{contents_alone, contents_of};
use crate::content::{Error, Event, Events, Result, describe};
use crate::history::{
    ActiveRun, ArtifactCounts, AuditEntry, AuditKind, ExportPosition, ExportedBundle, Ledger,
    LogEvent, NewRun, Payload, RunFailure, RunId, RunKind, RunLink, RunOutcome, RunStatus, Trigger,
};
use crate::oci::Digest;
use crate::storage::Overwrite;

/// Which ledger remembers an export, and what it is told about it.
pub struct ExportMemory {
    pub ledger: Ledger,
    pub trigger: Trigger,
    /// Login name and user id.
    pub who: String,
    /// Why, in the words of whoever started it.
    pub comment: Option<String>,
    /// The container as messages show it.
    pub container: String,
    /// What the ledger calls the container's uploads by, see `upload_place`.
    pub upload_place: String,
    pub link: RunLink,
    pub clock: fn() -> Timestamp,
}

impl ExportMemory {
    /// Records an export that has failed before there was a plan. A ledger that cannot be written is told and hides
    /// nothing.
    pub async fn record_failure(&self, options: &ExportOptions, error: &Error) {
        let recorded = async {
            let mut run = self.describe();
            run.pipeline = options.pipeline.as_ref().map(|p| p.name.clone());
            let run = ActiveRun::begin(&self.ledger, &run, self.clock).await?;
            run.fail(RunStatus::Failed, error).await
        };
        warn_of(&options.events, recorded.await);
    }

    /// Records an export that had nothing to do.
    pub(super) async fn record_nothing(&self, options: &ExportOptions) -> Result<()> {
        let mut run = self.describe();
        run.pipeline = options.pipeline.as_ref().map(|p| p.name.clone());
        let run = ActiveRun::begin(&self.ledger, &run, self.clock).await?;
        run.end(&RunOutcome::new(RunStatus::Done).because("nothing selected"))
            .await
    }

    pub(super) async fn start(&self, export: &ExportPlan) -> Result<ActiveRun> {
        let position = export.position.as_ref();
        let run = NewRun {
            pipeline: position.map(|position| position.name.clone()),
            bundle: Some(export.name.clone()),
            set: Some(export.set.clone()),
            sequence: position.map(|position| position.sequence),
            ..self.describe()
        };
        ActiveRun::begin(&self.ledger, &run, self.clock).await
    }

    pub(super) fn describe(&self) -> NewRun {
        NewRun {
            kind: RunKind::Export,
            pipeline: None,
            trigger: self.trigger,
            who: self.who.clone(),
            comment: self.comment.clone(),
            container: Some(self.container.clone()),
            target: None,
            bundle: None,
            set: None,
            inventory: None,
            sequence: None,
            link: self.link.clone(),
        }
    }

    pub(super) async fn end(
        &self,
        run: ActiveRun,
        export: &ExportPlan,
        report: &ExportReport,
    ) -> Result<()> {
        tell_artifacts(&run, export, report);
        let outcome = RunOutcome {
            events: self.events_of(export, report).await?,
            ..outcome_of(export, report)
        };
        run.end(&outcome).await
    }

    /// What is kept of the export for good: nothing of a bundle that was there already, unless a killed run has
    /// left it unrecorded.
    async fn events_of(
        &self,
        export: &ExportPlan,
        report: &ExportReport,
    ) -> Result<Vec<AuditEntry>> {
        let Some(last) = report.volumes.last() else {
            return Ok(Vec::new());
        };
        if report.is_unchanged && self.ledger.has_exported(&last.inventory_digest).await? {
            return Ok(Vec::new());
        }
        let exported = report.exported.iter().map(|position| {
            let artifact = &export.plan.artifacts[*position];
            let root = &export.plan.manifests[artifact.root].descriptor;
            AuditEntry {
                source: Some(export.show_artifact(artifact)),
                target: Some(self.container.clone()),
                digest: Some(root.digest.clone()),
                ..AuditEntry::new(AuditKind::Exported)
            }
        });
        Ok(exported.collect())
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
        (export, audience): (&ExportPlan, &[String]),
        report: &ExportReport,
    ) -> Result<()> {
        let (Some(position), Some(last)) = (&export.position, report.volumes.last()) else {
            return Ok(());
        };
        let known = self.ledger.find_pipeline(&position.name).await?;
        let newest = known.and_then(|known| known.newest);
        if newest.is_none_or(|newest| newest.sequence < position.sequence) {
            let reservation = Reservation {
                memory: self,
                run,
                // It is there, and nothing is to be replaced.
                overwrite: Overwrite::Refuse,
                audience,
            };
            let inventory = last.inventory_digest.clone();
            let whole = (inventory, &report.exported[..]);
            reservation.reserve(export, whole).await?;
        }
        self.confirm(position).await
    }
}

/// The right of a run to its bundle's place in the pipeline, to be had when the bundle is whole.
pub(super) struct Reservation<'a> {
    pub memory: &'a ExportMemory,
    pub run: &'a RunId,
    pub overwrite: Overwrite,
    /// The lanes that the bundle is meant for.
    pub audience: &'a [String],
}

impl Reservation<'_> {
    /// `exported` are the positions of the artifacts that are in the bundle.
    pub(super) async fn reserve(
        &self,
        export: &ExportPlan,
        (inventory, exported): (Digest, &[usize]),
    ) -> Result<()> {
        let Some(position) = &export.position else {
            return Ok(());
        };
        let bundle = ExportedBundle {
            sequence: position.sequence,
            set: export.set.clone(),
            inventory,
            bundle: export.name.clone(),
            container: Some(self.memory.upload_place.clone()),
            may_replace: self.overwrite == Overwrite::Replace,
            is_published: false,
        };
        let payload = Payload {
            audience: self.audience.to_vec(),
            contents: match export.repairs {
                Some(_) => contents_alone(&export.plan),
                None => contents_of(&export.plan, exported),
            },
            saved_bytes: export.saved_bytes(),
        };
        let now = (self.memory.clock)();
        let ledger = &self.memory.ledger;
        ledger
            .reserve_sequence(position, (&bundle, &payload), self.run, now)
            .await
    }
}

/// Tells of trouble that comes on top of another error, which is the one that ends the export.
pub(super) fn warn_of(events: &Events, result: Result<()>) {
    if let Err(error) = result {
        events(Event::Warning(describe(&error)));
    }
}

fn outcome_of(export: &ExportPlan, report: &ExportReport) -> RunOutcome {
    let repositories = count_by_repository(export, report);
    let mut artifacts = ArtifactCounts::default();
    for counts in repositories.values() {
        artifacts.total += counts.total;
        artifacts.delivered += counts.delivered;
        artifacts.unchanged += counts.unchanged;
        artifacts.failed += counts.failed;
    }
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
        present_bytes: report.resumed_bytes,
        artifacts,
        repositories: by_repository(repositories),
        failures: report.failures.iter().map(failure).collect(),
        inventory: last.map(|volume| volume.inventory_digest.clone()),
        ..RunOutcome::new(status)
    }
}

/// Artifacts of the plan, and references that never became part of it.
fn count_by_repository(
    export: &ExportPlan,
    report: &ExportReport,
) -> BTreeMap<String, ArtifactCounts> {
    let exported: HashSet<usize> = report.exported.iter().copied().collect();
    let mut repositories: BTreeMap<String, ArtifactCounts> = BTreeMap::new();
    for (position, artifact) in export.plan.artifacts.iter().enumerate() {
        let shown = export.show_artifact(artifact);
        let counts = repositories.entry(repository_of(&shown)).or_default();
        counts.total += 1;
        match (exported.contains(&position), report.is_unchanged) {
            (true, true) => counts.unchanged += 1,
            (true, false) => counts.delivered += 1,
            (false, _) => counts.failed += 1,
        }
    }
    for (shown, _) in &export.failures {
        let counts = repositories.entry(repository_of(shown)).or_default();
        counts.total += 1;
        counts.failed += 1;
    }
    repositories
}

/// `REGISTRY/REPOSITORY` of `REGISTRY/REPOSITORY:TAG` or `REGISTRY/REPOSITORY@DIGEST`.
fn repository_of(shown: &str) -> String {
    let name = shown.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
        _ => name.to_owned(),
    }
}

fn tell_artifacts(run: &ActiveRun, export: &ExportPlan, report: &ExportReport) {
    let event = match report.is_unchanged {
        true => LogEvent::Unchanged,
        false => LogEvent::Delivered,
    };
    for position in &report.exported {
        let artifact = &export.plan.artifacts[*position];
        run.tell(event, export.show_artifact(artifact));
    }
    for (artifact, reason) in &report.failures {
        run.tell(LogEvent::Failed, format!("{artifact}: {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        for (shown, repository) in [
            ("r.example:5000/apps/web:1.4", "r.example:5000/apps/web"),
            ("r.example:5000/apps/web", "r.example:5000/apps/web"),
            ("r.example/web@sha256:abc", "r.example/web"),
            ("oci/helm-chart:0.1.0", "oci/helm-chart"),
        ] {
            assert_eq!(repository_of(shown), repository);
        }
    }
}
