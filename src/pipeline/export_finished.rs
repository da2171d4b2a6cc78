//! The record of a bundle that a later run has made whole: its export, which the run that was ended could not record.
//!
//! What was exported is read from the bundle's own inventory, for what is to be exported now may be something else.
//!
//! **Invariant.** An export is recorded once, and before the ledger calls the bundle published: whoever is killed in
//! between does it again. Specification: src/history/SCHEMA.md, "Crash story".

use std::collections::BTreeMap;

use super::deliver_events::source_of;
use super::deliver_outcome::by_repository;
use super::export_memory::ExportMemory;
use crate::bundle::{Inventory, Volume};
use crate::content::Result;
use crate::history::{
    ActiveRun, ArtifactCounts, AuditEntry, AuditKind, LogEvent, NewRun, RunOutcome, RunStatus,
};

impl ExportMemory {
    /// Records the export of the bundle with this last volume, as a run of its own.
    pub(super) async fn record_finished(&self, last: &Volume) -> Result<()> {
        let digest = last.inventory_digest();
        if self.ledger.has_exported(digest).await? {
            return Ok(());
        }
        let inventory = last.inventory();
        let run = NewRun {
            pipeline: inventory.pipeline.as_ref().map(|it| it.name.clone()),
            bundle: Some(inventory.name.clone()),
            set: Some(inventory.set.clone()),
            inventory: Some(digest.clone()),
            sequence: inventory.sequence,
            ..self.describe()
        };
        let run = ActiveRun::begin(&self.ledger, &run, self.clock).await?;
        for artifact in &inventory.artifacts {
            run.tell(
                LogEvent::Delivered,
                source_of(inventory, artifact, &artifact.root.digest),
            );
        }
        let outcome = RunOutcome {
            inventory: Some(digest.clone()),
            events: self.exports_of(inventory),
            ..outcome_of(inventory)
        };
        run.end(&outcome).await
    }

    fn exports_of(&self, inventory: &Inventory) -> Vec<AuditEntry> {
        let exported = inventory.artifacts.iter().map(|artifact| AuditEntry {
            source: Some(source_of(inventory, artifact, &artifact.root.digest)),
            target: Some(self.container.clone()),
            digest: Some(artifact.root.digest.clone()),
            ..AuditEntry::new(AuditKind::Exported)
        });
        exported.collect()
    }
}

fn outcome_of(inventory: &Inventory) -> RunOutcome {
    let mut repositories: BTreeMap<String, ArtifactCounts> = BTreeMap::new();
    let mut artifacts = ArtifactCounts::default();
    for artifact in &inventory.artifacts {
        let repository = inventory.repository(artifact.repository);
        let name = format!("{}/{repository}", artifact.source);
        for counts in [repositories.entry(name).or_default(), &mut artifacts] {
            counts.total += 1;
            counts.delivered += 1;
        }
    }
    RunOutcome {
        artifacts,
        repositories: by_repository(repositories),
        ..RunOutcome::new(RunStatus::Done)
            .because("what an earlier run had left of it was published")
    }
}
