//! One volume of an export, while it is filled and until it is published, and what the ledger is told of it.
//!
//! **Invariant.** What was begun at a store and is not finished is in the ledger, or it is removed.

use super::export_uploads::UploadRecord;
use crate::bundle::VolumeWriter;
use crate::content::{ObjectWriter, Result};
use crate::oci::Digest;

/// A volume that is complete or being written, and that nobody can see yet.
pub(super) struct Volume<'a> {
    pub object: Box<dyn ObjectWriter>,
    pub record: Option<UploadRecord<'a>>,
    /// `None` until it is complete.
    pub inventory: Option<Digest>,
}

impl Volume<'_> {
    /// Leaves to a later run what it can go on with, and removes the rest. Only where the source has failed the
    /// store may still take something.
    pub(super) async fn give_up(mut self, is_useless: bool, has_source_failed: bool) -> Result<()> {
        if let Some(record) = &mut self.record
            && !is_useless
        {
            if has_source_failed {
                // Where the store fails as well, it is only less that can be gone on with.
                let _ = self.object.settle().await;
            }
            record.record(self.object.uploaded()).await?;
        }
        match self.record {
            Some(record) if record.has_progress() && !is_useless => Ok(()),
            record => {
                self.object.abort().await;
                match record {
                    Some(record) => record.forget().await,
                    None => Ok(()),
                }
            }
        }
    }
}

/// A volume that is being filled.
pub(super) struct Filling<'a> {
    pub writer: VolumeWriter,
    pub record: Option<UploadRecord<'a>>,
    /// How many of its slices an interrupted run has written.
    pub resumed: usize,
    /// Its inventory, where nothing is left to be written.
    pub complete: Option<Digest>,
}

impl<'a> Filling<'a> {
    /// Remembers the entry that was just finished, and what has arrived at the store.
    pub(super) async fn record(&mut self) -> Result<()> {
        let finished = self.writer.take_finished();
        let Some(record) = &mut self.record else {
            return Ok(());
        };
        if let Some(entry) = finished {
            record.push(&entry)?;
        }
        record.record(self.writer.uploaded()).await
    }

    /// As it stands now.
    pub(super) fn into_volume(self) -> Volume<'a> {
        Volume {
            object: self.writer.into_object(),
            record: self.record,
            inventory: self.complete,
        }
    }
}
