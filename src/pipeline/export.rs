//! Writes a planned bundle into a container, volume by volume, and publishes it at the end.
//!
//! **Invariants.** No volume is visible before the last byte of the last one is written; then they are
//! published in order, so the one that carries the artifacts comes last. An equal, complete bundle that is
//! there already ends the export, before any content is moved. What an interrupted run has brought to the store
//! is gone on with, where a ledger remembers it.

use super::export_memory::Reservation;
use super::export_plan::{ExportOptions, ExportPlan};
use super::export_room::{check_names_are_free, check_room, find_unchanged};
use super::export_uploads::Uploads;
use super::export_writing::Writing;
use crate::bundle::SigningKey;
use crate::content::{Event, Result};
use crate::oci::Digest;
use crate::storage::{Overwrite, StorageContainer};

/// One volume that was written, or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedVolume {
    pub object: String,
    pub size_bytes: u64,
    pub inventory_digest: Digest,
}

/// What an export did.
#[derive(Clone, Debug, Default)]
pub struct ExportReport {
    pub name: String,
    pub set: String,
    pub volumes: Vec<ExportedVolume>,
    /// An equal bundle was there already, and nothing was moved.
    pub is_unchanged: bool,
    /// Positions in the plan of the artifacts that are in the bundle.
    pub exported: Vec<usize>,
    /// What is not in it, and why.
    pub failures: Vec<(String, String)>,
    /// Bytes of blobs and manifests that went from the source into the bundle.
    pub moved_bytes: u64,
    /// Bytes of blobs that an interrupted run had brought there.
    pub resumed_bytes: u64,
}

/// Writes the bundle and signs it with `keys`.
pub async fn run_export(
    export: &ExportPlan,
    options: &ExportOptions,
    container: &dyn StorageContainer,
    keys: &[SigningKey],
) -> Result<ExportReport> {
    run_reserved(export, options, container, (keys, None)).await
}

/// The same for a bundle whose place in its pipeline is reserved when it is whole, and before any of it is
/// visible.
pub(super) async fn run_reserved(
    export: &ExportPlan,
    options: &ExportOptions,
    container: &dyn StorageContainer,
    (keys, reservation): (&[SigningKey], Option<&Reservation<'_>>),
) -> Result<ExportReport> {
    (options.events)(Event::Planned {
        contents: export.plan.blobs.len() + export.plan.manifests.len(),
        bytes: export.plan.size_bytes(),
    });
    let uploads = match reservation {
        Some(Reservation { memory, .. }) => {
            Some(Uploads::open(memory, container, export, &options.events).await?)
        }
        None => None,
    };
    if let Some(report) = find_unchanged(export, container, keys).await? {
        if let Some(uploads) = &uploads {
            uploads.clear().await?;
        }
        return Ok(report);
    }
    if options.overwrite == Overwrite::Refuse {
        check_names_are_free(export, container).await?;
    }
    check_room(export, container).await?;
    loop {
        let mut writing = Writing::new(export, options, container, (keys, uploads.as_ref()));
        let ready = match writing.write_all().await {
            Ok(()) => writing.seal(reservation).await,
            Err(error) => Err(error),
        };
        let Err(error) = ready else {
            return writing.publish().await;
        };
        let must_begin_anew = writing.must_begin_anew(&error);
        writing.give_up(&error).await?;
        match &uploads {
            Some(uploads) if must_begin_anew => uploads.abandon_all().await?,
            _ => return Err(error),
        }
    }
}
