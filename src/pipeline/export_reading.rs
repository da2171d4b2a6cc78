//! The contents that an export reads, whole or in the parts that volumes cut them into.

use std::collections::BTreeSet;

use super::export_plan::{ExportOptions, ExportPlan};
use crate::bundle::{PartedStream, Slice};
use crate::content::{PlannedBlob, Prefetch, Result, VerifiedStream};

/// The contents that are read, in plan order.
pub(super) struct Reading {
    /// Positions in the plan.
    pub(super) blobs: BTreeSet<usize>,
    prefetch: Prefetch,
    /// The blob that is cut, from its first part to its last.
    parted: Option<PartedStream>,
}

impl Reading {
    pub(super) fn start(
        export: &ExportPlan,
        options: &ExportOptions,
        blobs: BTreeSet<usize>,
    ) -> Self {
        let planned = blobs.iter().map(|blob| export.plan.blobs[*blob].clone());
        let planned: Vec<PlannedBlob> = planned.collect();
        Self {
            prefetch: Prefetch::start(&export.sources, planned, &options.events),
            blobs,
            parted: None,
        }
    }

    /// The next content.
    pub(super) async fn next(&mut self) -> Result<VerifiedStream> {
        self.prefetch.next().await
    }

    /// The content of which this slice is a part, at the first byte of the part.
    pub(super) async fn part_of(&mut self, slice: &Slice) -> Result<&mut PartedStream> {
        let is_first = slice.part.as_ref().is_some_and(|part| part.number == 1);
        let parted = match self.parted.take() {
            Some(parted) if !is_first => parted,
            _ => PartedStream::new(self.prefetch.next().await?),
        };
        Ok(self.parted.insert(parted))
    }
}
