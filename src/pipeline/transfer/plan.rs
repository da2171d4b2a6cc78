//! What a transfer does, decided before it does anything.
//!
//! Pure: from the selected sets of the source and from what the target holds under their names.
//!
//! **Invariants.** Within a bundle volumes travel in order, so that the one with the artifacts comes after the
//! others, and countersignatures after the volumes. What is there with equal content does not travel. What is
//! there with other content is replaced only where that was asked for.

use std::collections::HashMap;

use super::refusal::CannotTransfer;
use super::stored::{IgnoredObject, StoredSet, StoredSignature, StoredVolume};
use crate::content::{Error, ErrorKind, Result, Version};
use crate::oci::Digest;
use crate::storage::Overwrite;

/// What the target holds under the name of an object of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Equal,
    /// How it differs.
    Different(String),
}

/// What is done with one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedAction {
    Copy,
    Replace,
    /// It is there with equal content.
    Keep,
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Volume(Box<StoredVolume>),
    Signature(StoredSignature),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedObject {
    pub piece: Piece,
    pub action: PlannedAction,
}

impl PlannedObject {
    pub fn name(&self) -> &str {
        match &self.piece {
            Piece::Volume(volume) => &volume.object,
            Piece::Signature(signature) => &signature.object,
        }
    }

    pub fn size_bytes(&self) -> u64 {
        match &self.piece {
            Piece::Volume(volume) => volume.size_bytes,
            Piece::Signature(signature) => signature.size_bytes,
        }
    }

    pub(super) fn version(&self) -> &Version {
        match &self.piece {
            Piece::Volume(volume) => &volume.version,
            Piece::Signature(signature) => &signature.version,
        }
    }

    pub fn is_to_copy(&self) -> bool {
        self.action != PlannedAction::Keep
    }
}

/// One bundle, and what is done with its objects, in this order.
#[derive(Debug)]
pub struct PlannedBundle {
    pub name: String,
    pub pipeline: Option<String>,
    pub sequence: Option<u64>,
    /// Of the volume that lists the artifacts, where the source has it.
    pub inventory: Option<Digest>,
    pub objects: Vec<PlannedObject>,
    /// Volumes that neither side will have; the source's own gaps where the target was not asked.
    pub missing_volumes: Vec<u32>,
    /// Why nothing of it travels.
    pub refusal: Option<CannotTransfer>,
}

impl PlannedBundle {
    pub fn bytes_to_copy(&self) -> u64 {
        let copied = self.objects.iter().filter(|object| object.is_to_copy());
        copied.map(PlannedObject::size_bytes).sum()
    }

    /// The refusal as the error of this bundle.
    pub(super) fn error(&self) -> Option<Error> {
        let cause = self.refusal.clone()?;
        let kind = match &cause {
            CannotTransfer::OtherContent { .. } => ErrorKind::AlreadyExists,
            CannotTransfer::TooLarge { .. } | CannotTransfer::NoRoom { .. } => ErrorKind::NoSpace,
            _ => ErrorKind::Unverified,
        };
        let message = format!("cannot transfer the bundle `{}`", self.name);
        Some(Error::new(kind, message).with_cause(cause))
    }
}

/// An object of the source that looks like a bundle and cannot be used.
#[derive(Debug)]
pub struct TransferFailure {
    pub name: String,
    pub error: Error,
}

/// The whole transfer.
#[derive(Debug, Default)]
pub struct TransferPlan {
    pub bundles: Vec<PlannedBundle>,
    /// What is no bundle, and stays.
    pub ignored: Vec<IgnoredObject>,
    /// What is a bundle and is refused.
    pub refused: Vec<TransferFailure>,
    /// What ends before its end, and may still be arriving.
    pub arriving: Vec<String>,
}

impl TransferPlan {
    pub fn bytes_to_copy(&self) -> u64 {
        let accepted = self.bundles.iter().filter(|b| b.refusal.is_none());
        accepted.map(PlannedBundle::bytes_to_copy).sum()
    }

    /// What is gone through when everything that is copied is read back.
    pub(super) fn bytes_to_read_back(&self) -> u64 {
        let volumes = self.objects_to_copy().map(|object| match &object.piece {
            Piece::Volume(volume) => volume.stream_bytes,
            // It is compared, and small.
            Piece::Signature(_) => 0,
        });
        volumes.sum()
    }

    /// Everything that stands against it.
    pub fn refusals(self) -> Vec<Error> {
        let bundles = self.bundles.iter().filter_map(PlannedBundle::error);
        let refused = self.refused.into_iter().map(|failure| failure.error);
        bundles.chain(refused).collect()
    }

    pub fn objects_to_copy(&self) -> impl Iterator<Item = &PlannedObject> {
        let accepted = self.bundles.iter().filter(|b| b.refusal.is_none());
        let objects = accepted.flat_map(|bundle| &bundle.objects);
        objects.filter(|object| object.is_to_copy())
    }
}

/// Plans one set. `present` holds the target's objects that have the name of one of the set's.
pub(super) fn plan_bundle(
    set: StoredSet,
    present: &HashMap<String, Presence>,
    overwrite: Overwrite,
    size_max_bytes: Option<u64>,
) -> PlannedBundle {
    let first = set.first();
    let mut bundle = PlannedBundle {
        name: first.bundle.clone(),
        pipeline: first.pipeline.clone(),
        sequence: first.sequence,
        inventory: set.inventory().cloned(),
        objects: Vec::new(),
        missing_volumes: set.missing(&set.numbers()),
        refusal: set.check().err(),
    };
    let volumes = set.volumes.into_iter().map(|v| Piece::Volume(Box::new(v)));
    let signatures = set.signatures.into_iter().map(Piece::Signature);
    for piece in volumes.chain(signatures) {
        let mut object = PlannedObject {
            piece,
            action: PlannedAction::Copy,
        };
        let refusal = match present.get(object.name()) {
            None => None,
            Some(Presence::Equal) => {
                object.action = PlannedAction::Keep;
                None
            }
            Some(Presence::Different(_)) if overwrite == Overwrite::Replace => {
                object.action = PlannedAction::Replace;
                None
            }
            Some(Presence::Different(difference)) => Some(CannotTransfer::OtherContent {
                object: object.name().to_owned(),
                difference: difference.clone(),
            }),
        };
        let refusal = refusal.or_else(|| exceeds(&object, size_max_bytes));
        bundle.refusal = bundle.refusal.or(refusal);
        bundle.objects.push(object);
    }
    bundle
}

fn exceeds(object: &PlannedObject, size_max_bytes: Option<u64>) -> Option<CannotTransfer> {
    let limit =
        size_max_bytes.filter(|limit| object.is_to_copy() && object.size_bytes() > *limit)?;
    Some(CannotTransfer::TooLarge {
        object: object.name().to_owned(),
        size: object.size_bytes(),
        limit,
    })
}

/// Everything must fit before anything is moved. `reclaimed_bytes` is what replacing left pieces gives back.
pub(super) fn check_room(
    plan: &TransferPlan,
    free_bytes: Option<u64>,
    reclaimed_bytes: u64,
) -> Result<()> {
    let needed = plan.bytes_to_copy();
    match free_bytes.map(|free| free.saturating_add(reclaimed_bytes)) {
        Some(free) if free < needed => Err(Error::new(
            ErrorKind::NoSpace,
            "the target has too little room for the transfer",
        )
        .with_cause(CannotTransfer::NoRoom { needed, free })),
        _ => Ok(()),
    }
}
