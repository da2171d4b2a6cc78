//! Makes a bundle thinner than its plan: leaves out what the target has, and takes layers apart.
//!
//! What is known of the target is the ledger's; what comes of it is decided in `export_carriage` and `export_dense`.
//! An export that asks for neither is not touched.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::export_dense::densify;
use super::export_memory::ExportMemory;
use super::export_plan::{ExportOptions, ExportPlan};
use super::export_sizes::learn_sizes;
use crate::content::Result;
use crate::dense::gzip::Corrector;
use crate::history::{Basis, ContentKind, ExportPosition, Known};
use crate::oci::Digest;

/// What bundles leave out, and how they carry the rest.
#[derive(Clone, Debug, Default)]
pub struct Thinning {
    pub assumes: Assumes,
    pub dense: Option<Dense>,
}

impl Thinning {
    /// Whether a bundle may carry less than its plan.
    pub(super) fn leaves_out(&self) -> bool {
        self.dense.is_some() || self.assumes != Assumes::Nothing
    }
}

/// What is assumed to be at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Assumes {
    /// A bundle has all that its artifacts need.
    #[default]
    Nothing,
    /// What every lane of the audience is known to have.
    Known(Basis),
}

/// How layers are taken apart.
#[derive(Clone, Debug)]
pub struct Dense {
    /// The level of zstd.
    pub level: i32,
    /// The directory for decompressed layers.
    pub spool: PathBuf,
    /// What works out how layers of some compressors are made again.
    pub corrector: Corrector,
    pub references: References,
}

/// What recipes may copy from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum References {
    /// Layers of the same bundle: it can be delivered by itself.
    Bundle,
    /// Also layers that the target is assumed to have.
    Target,
}

/// What the audience is known to have.
pub(super) type KnownContents = BTreeMap<Digest, Known>;

impl ExportPlan {
    /// Decides what of the plan is carried, and how.
    pub(super) async fn thin(
        &mut self,
        options: &ExportOptions,
        memory: Option<&ExportMemory>,
        position: Option<&ExportPosition>,
    ) -> Result<()> {
        if self.repairs.is_some() {
            return Ok(());
        }
        let thinning = &options.thinning;
        let known = match (thinning.assumes, memory, position) {
            (Assumes::Known(basis), Some(memory), Some(position)) => {
                let lanes = &options.audience;
                let ledger = &memory.ledger;
                ledger.list_known(&position.pipeline, lanes, basis).await?
            }
            _ => KnownContents::new(),
        };
        let is_blob = |content: &Known| content.kind == ContentKind::Blob;
        let (mut known, manifests): (KnownContents, KnownContents) =
            known.into_iter().partition(|(_, it)| is_blob(it));
        if known.is_empty() && thinning.dense.is_none() {
            return Ok(());
        }
        self.assume(&known);
        if let Some(dense) = &thinning.dense {
            if dense.references == References::Target {
                learn_sizes(self, &mut known, &manifests).await?;
            }
            densify(self, (dense, &known), &options.events).await?;
        }
        self.cut(options)
    }
}
