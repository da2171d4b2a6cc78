//! What a bundle tells of its artifacts' past, out of the exporter's ledger.
//!
//! **Invariant.** It changes neither the plan's digest nor a name: an equal plan is the same bundle, whatever has
//! happened meanwhile. Specification: FORMAT.md, "Past".

use super::export_memory::ExportMemory;
use super::export_plan::{ExportOptions, ExportPlan};
use crate::bundle::{Inventory, Past, ToldEvent, ToldKind, room_in_last};
use crate::content::Result;
use crate::history::{AuditKind, PastEvent, TimelineEvent};
use crate::oci::Digest;

impl ExportMemory {
    /// `None` where the ledger knows nothing of the artifacts and nobody has said why they are exported.
    pub(super) async fn past_of(
        &self,
        export: &ExportPlan,
        options: &ExportOptions,
    ) -> Result<Option<Past>> {
        let mut events = Vec::new();
        for artifact in &export.plan.artifacts {
            let root = &export.plan.manifests[artifact.root].descriptor.digest;
            if events.iter().all(|event: &ToldEvent| event.digest != *root) {
                let known = self.ledger.find_past(root).await?;
                events.extend(known.iter().filter_map(|event| told(root, event)));
            }
        }
        let past = Past {
            who: Some(self.who.clone()),
            comment: self.comment.clone(),
            events,
        };
        let room = match options.volume_size {
            None => u64::MAX,
            Some(size) => room_in_last(&export.load(options), size, &export.volumes),
        };
        Ok(past.fit(room.saturating_sub(FIELD_BYTES)))
    }
}

/// `,"past":` in the inventory.
const FIELD_BYTES: u64 = 8;

/// Exports from here are not told: what is told of them is that the bundle is here.
fn told(digest: &Digest, event: &TimelineEvent) -> Option<ToldEvent> {
    let kind = match event.kind {
        AuditKind::Exported if event.number.is_some() => return None,
        AuditKind::Exported => ToldKind::Exported,
        AuditKind::Imported => ToldKind::Imported,
        AuditKind::Promoted => ToldKind::Promoted,
        AuditKind::RolledBack => ToldKind::RolledBack,
        AuditKind::Transferred | AuditKind::Refused | AuditKind::Confirmed => return None,
    };
    Some(ToldEvent {
        digest: digest.clone(),
        kind,
        time: event.time,
        who: event.who.clone(),
        comment: event.comment.clone(),
        pipeline: event.pipeline.clone(),
        source: event.source.clone(),
        target: event.target.clone(),
        bundle: event.bundle.clone(),
        inventory: event.inventory.clone(),
    })
}

/// What the inventory tells of an artifact, and its export, for the ledger of the importer.
pub(super) fn past_events(
    inventory: &Inventory,
    inventory_digest: &Digest,
    root: &Digest,
    source: &str,
) -> Vec<PastEvent> {
    let past = inventory.past.as_ref();
    let told = past.into_iter().flat_map(|past| &past.events);
    let mut events: Vec<PastEvent> = told
        .filter(|event| event.digest == *root)
        .map(past_event)
        .collect();
    events.push(PastEvent {
        kind: AuditKind::Exported,
        time: inventory.created,
        who: past.and_then(|past| past.who.clone()),
        comment: past.and_then(|past| past.comment.clone()),
        pipeline: inventory.pipeline.as_ref().map(|it| it.name.clone()),
        source: Some(source.to_owned()),
        target: None,
        bundle: Some(inventory.name.clone()),
        inventory: Some(inventory_digest.clone()),
    });
    events
}

fn past_event(event: &ToldEvent) -> PastEvent {
    PastEvent {
        kind: match event.kind {
            ToldKind::Exported => AuditKind::Exported,
            ToldKind::Imported => AuditKind::Imported,
            ToldKind::Promoted => AuditKind::Promoted,
            ToldKind::RolledBack => AuditKind::RolledBack,
        },
        time: event.time,
        who: event.who.clone(),
        comment: event.comment.clone(),
        pipeline: event.pipeline.clone(),
        source: event.source.clone(),
        target: event.target.clone(),
        bundle: event.bundle.clone(),
        inventory: event.inventory.clone(),
    }
}
