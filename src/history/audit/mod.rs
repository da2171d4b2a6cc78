//! The audit log: what happened to which artifact, append-only, each record chained to the one before by its hash.
//!
//! Runs may be forgotten, these records never are. `record` is one of them and its hash, `chain` finds what was
//! changed, both without I/O; `rows` writes them in the transaction that ends a run, `head` keeps the newest number
//! outside of the table, and `timeline` joins them to the history of an artifact.
//! Specification: SCHEMA.md, "The audit log".

mod chain;
mod head;
mod record;
mod rows;
#[cfg(test)]
mod tests;
mod timeline;
mod verified;

pub use chain::{ChainBreak, ChainCheck, CheckedChain};
pub use head::{AuditHead, InvalidHead};
pub use record::{
    AuditEntry, AuditKind, AuditRecord, CarriedBundle, PastEvent, RefusedArtifact, reference_at,
};
pub(super) use rows::{Author, append, append_as, entries_of};
pub use rows::{Refusal, TagMove};
pub use timeline::{HistoryOf, TimelineEvent};
pub(super) use verified::tampered;
pub use verified::{InvalidExport, check_export};
