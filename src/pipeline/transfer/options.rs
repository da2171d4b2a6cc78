//! What a transfer is told, and what it tells afterwards.

use std::sync::Arc;

use super::plan::TransferFailure;
use super::selection::{Demand, Selection};
use super::stored::IgnoredObject;
use crate::bundle::SignaturePolicy;
use crate::content::{Events, OnError};
use crate::oci::Digest;
use crate::storage::{Overwrite, StorageContainer};

/// Whether the target is read again and every byte of it proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadBackPolicy {
    #[default]
    Skip,
    Verify,
}

/// What becomes of a bundle at the source when all of it is at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourcePolicy {
    #[default]
    Keep,
    Delete,
}

#[derive(Clone)]
pub struct TransferOptions {
    pub source: Arc<dyn StorageContainer>,
    pub target: Arc<dyn StorageContainer>,
    pub selection: Selection,
    pub demand: Demand,
    /// Whose signatures a bundle must have to travel.
    pub policy: SignaturePolicy,
    pub overwrite: Overwrite,
    pub read_back: ReadBackPolicy,
    pub source_policy: SourcePolicy,
    pub on_error: OnError,
    pub events: Events,
}

/// What became of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectOutcome {
    /// Its bytes went through this process.
    Streamed,
    /// The services copied it between them, and no byte went through this process.
    CopiedByService,
    /// It was there with equal content.
    Kept,
}

/// What became of one bundle.
#[derive(Debug)]
pub struct TransferredBundle {
    pub name: String,
    pub pipeline: Option<String>,
    pub sequence: Option<u64>,
    /// The digest of its inventory, where the source has the volume that lists the artifacts.
    pub inventory: Option<Digest>,
    /// Names and sizes in bytes, in the order in which they arrived.
    pub objects: Vec<(String, u64, ObjectOutcome)>,
    /// Volumes that the target does not have.
    pub missing_volumes: Vec<u32>,
    pub is_removed_at_source: bool,
}

/// What a transfer did. Sizes are bytes.
#[derive(Debug, Default)]
pub struct TransferReport {
    pub bundles: Vec<TransferredBundle>,
    pub failures: Vec<TransferFailure>,
    pub ignored: Vec<IgnoredObject>,
    pub arriving: Vec<String>,
    /// Bytes that went through this process, whatever became of them.
    pub streamed_bytes: u64,
    /// Bytes that an interrupted run had brought, that are proven and did not pass again.
    pub resumed_bytes: u64,
    /// Objects of the target that were read back and are right.
    pub verified_objects: usize,
    /// Everything is on the device of the target, which can be taken away.
    pub is_safe_to_remove: bool,
}

impl TransferReport {
    /// Objects and bytes with this outcome.
    pub fn total(&self, outcome: ObjectOutcome) -> (usize, u64) {
        let objects = self.bundles.iter().flat_map(|bundle| &bundle.objects);
        let counted = objects.filter(|(_, _, found)| *found == outcome);
        counted.fold((0, 0), |(count, bytes), (_, size, _)| {
            (count + 1, bytes + size)
        })
    }

    /// Whether anything was copied or removed.
    pub fn has_moved(&self) -> bool {
        let is_new = |bundle: &TransferredBundle| {
            let was_moved =
                |(_, _, outcome): &(String, u64, ObjectOutcome)| *outcome != ObjectOutcome::Kept;
            bundle.is_removed_at_source || bundle.objects.iter().any(was_moved)
        };
        self.bundles.iter().any(is_new)
    }
}
