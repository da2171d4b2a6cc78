//! Writes a planned bundle into a container, volume by volume, and publishes it at the end.
//!
//! **Invariants.** No volume is visible before the last byte of the last one is written; then they are
//! published in order, so the one that carries the artifacts comes last. An equal, complete bundle that is
//! there already ends the export, before any content is moved. What an interrupted run has brought to the store
//! is gone on with, where a ledger remembers it.

use super::export_memory::{Reservation, warn_of};
use super::export_plan::{ExportOptions, ExportPlan};
use super::export_room::{Room, check_names_are_free, check_room, names_standing};
use super::export_uploads::Uploads;
use super::export_writing::Writing;
use crate::bundle::SigningKey;
use crate::content::{ErrorKind, Event, Result};
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
        contents: export.carried_count(),
        bytes: export.carried_bytes(),
    });
    let uploads = match reservation {
        Some(Reservation { memory, .. }) => {
            Some(Uploads::open(memory, container, export, &options.events).await?)
        }
        None => None,
    };
    let room = Room {
        export,
        names: names_standing(export, options, container).await?,
        options,
        container,
        keys,
        uploads: uploads.as_ref().map(Uploads::memory),
    };
    if let Some(report) = find_standing(&room).await? {
        return settle(report, uploads.as_ref()).await;
    }
    let written = write(&room, uploads.as_ref(), reservation).await;
    let Err(error) = written else {
        return written;
    };
    // Another export may have been faster with the same. What the ledger has reserved is another inventory.
    let may_be_equal = reservation.is_none() || export.position.is_none();
    if error.kind() == ErrorKind::AlreadyExists
        && may_be_equal
        && let Ok(Some(report)) = room.find_unchanged().await
    {
        return settle(report, uploads.as_ref()).await;
    }
    Err(error)
}

/// The bundle is there, and what was brought to the store for it has no use any more.
async fn settle(report: ExportReport, uploads: Option<&Uploads<'_>>) -> Result<ExportReport> {
    if let Some(uploads) = uploads {
        uploads.clear().await?;
    }
    Ok(report)
}

/// What stands there already. Where it may be replaced, a part that cannot be made whole does not count.
async fn find_standing(room: &Room<'_>) -> Result<Option<ExportReport>> {
    match room.find_unchanged().await {
        Err(error)
            if error.kind() == ErrorKind::AlreadyExists
                && room.options.overwrite == Overwrite::Replace =>
        {
            Ok(None)
        }
        found => found,
    }
}

/// Writes it, and once more where what was resumed turns out to be of no use.
async fn write(
    room: &Room<'_>,
    uploads: Option<&Uploads<'_>>,
    reservation: Option<&Reservation<'_>>,
) -> Result<ExportReport> {
    let (export, options, container) = (room.export, room.options, room.container);
    if options.overwrite == Overwrite::Refuse {
        check_names_are_free(export, container).await?;
    }
    check_room(export, container).await?;
    loop {
        let writing = Writing::new(export, options, container, (room.keys, uploads));
        let given_up = match writing.run(reservation).await {
            Ok(report) => return Ok(report),
            Err(given_up) => given_up,
        };
        let Some(uploads) = uploads.filter(|_| given_up.must_begin_anew) else {
            return Err(given_up.error);
        };
        if let Err(error) = uploads.abandon_all().await {
            warn_of(&options.events, Err(error));
            return Err(given_up.error);
        }
    }
}
