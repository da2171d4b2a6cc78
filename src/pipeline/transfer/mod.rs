//! Transfer: bundles go from one storage container to another, whole, in order, and once.
//!
//! It carries objects as they are and makes nothing of what is in them: inventories are read to know what
//! belongs together, and no content is looked at unless the target is read back. `stored`, `selection` and
//! `plan` decide and are pure; `survey` and `compare` look; `stream`, `run` and `watch` act, and
//! `memory` records.
//!
//! **Invariants.** A bundle's objects travel together, the one with the artifacts after the others. An object
//! is copied from one version and is never seen half. What was not copied whole is not removed at the source.

mod compare;
mod memory;
mod options;
mod plan;
mod refusal;
mod run;
mod selection;
mod stored;
mod stream;
mod survey;
#[cfg(test)]
mod tests;
mod watch;

pub use memory::TransferMemory;
pub use options::{
    ObjectOutcome, ReadBackPolicy, SourcePolicy, TransferOptions, TransferReport, TransferredBundle,
};
pub use plan::{PlannedAction, PlannedBundle, PlannedObject, TransferFailure, TransferPlan};
pub use refusal::CannotTransfer;
pub use run::{plan_transfer, run_transfer};
pub use selection::{Demand, Extent, Selection};
pub use stored::IgnoredObject;
pub use survey::ContainerSurvey;
pub use watch::watch_source;
