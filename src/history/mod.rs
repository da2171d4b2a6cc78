//! The ledger: what was run, what was accepted, who works on what, and which uploads are under way.
//!
//! It is not a log of messages and not a cache: rules are decided by what it remembers. The rules themselves
//! are in `sequence`, without I/O. Statements are portable SQL; what is `SQLite`'s alone is in `dialect`.
//!
//! **Invariants.** Every change is one transaction. A claim whose fence is not the newest changes nothing.
//! Specification: crates.md, section 8; design.md, "Sequence".
#![doc = include_str!("SCHEMA.md")]

mod accepted;
mod active;
mod audit;
mod claim_rules;
mod claims;
mod dialect;
mod directory;
mod ended;
mod exported;
mod facts;
mod find;
mod id;
mod interruption;
mod journal;
mod lanes;
mod ledger;
mod readings;
mod removals;
mod run;
mod run_bundles;
mod run_log;
mod runs;
mod scheduled;
mod sequence;
mod uploads;

#[cfg(test)]
mod tests;

pub use accepted::{Delivery, DeliveryRecord};
pub use active::{ActiveRun, RunCancelled, WRITE_INTERVAL};
pub use audit::{
    AuditEntry, AuditHead, AuditKind, AuditRecord, CarriedBundle, ChainBreak, ChainCheck,
    CheckedChain, HistoryOf, InvalidExport, InvalidHead, PastEvent, Refusal, RefusedArtifact,
    TagMove, TimelineEvent, check_export, reference_at,
};
pub use claims::{Blame, Claim, ClaimState, Claimed, Offered};
pub use directory::Hold;
pub use exported::{ExportPosition, ExportedBundle, ExportedPipeline};
pub use facts::ManifestFacts;
pub use find::{FoundRuns, RunFilter};
pub use id::{PipelineId, RunId};
pub use interruption::Interruption;
pub use journal::{LOG_LINES_MAX, LogEvent, LogLine};
pub use lanes::{
    Answer, Basis, CompleteAnswer, Confirmation, ConfirmedPart, ContentKind, Known, LaneState,
    Payload, PayloadContent, ReceiptBasis, Recorded, UnsentAnswer, Why,
};
pub use ledger::{Ledger, NewerLedger};
pub use run::{
    ArtifactCounts, NewRun, RepositoryCounts, Run, RunFailure, RunKind, RunLink, RunOutcome,
    RunPhase, RunProgress, RunStatus, Trigger,
};
pub use run_bundles::RunBundle;
pub use scheduled::{DueProgress, DueRecord, RunHold};
pub use sequence::{Decision, Judgement, Lane, Link, judge, may_move_tag};
pub use uploads::{CompleteUpload, NewUpload, Upload, UploadEntry, UploadKey, UploadPart};
