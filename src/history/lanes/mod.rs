//! What the lanes of an exported pipeline have: what was sent to them, what they have confirmed, what they miss.
//!
//! `payload` is what a bundle brings, kept from its export; `receipts` takes in what the far side has answered,
//! `missing` what it reports missing; `known` puts the two together for the next export; `overview` is for people. The other
//! side of the loop, answers that an importer owes, is in `answers`.
//!
//! A lane is known here by its name alone: the exporter knows no targets. Receipts are documents of another room,
//! which has verified them; here stand their facts.
//!
//! **Invariants.** A receipt tells of content of the bundle that it answers and of nothing else. Whatever comes late,
//! twice or never: what is said to be known errs towards carrying once more. Specification: SCHEMA.md, "Lanes";
//! src/bundle/RECEIPTS.md.

mod answers;
mod known;
mod missing;
mod overview;
mod payload;
mod receipts;
mod sent;

pub(super) use answers::record_answer;
pub use answers::{Answer, CompleteAnswer, UnsentAnswer};
pub use known::{Basis, Known, Why};
pub use overview::LaneState;
pub(super) use payload::record_payload;
pub use payload::{ContentKind, Payload, PayloadContent};
pub use receipts::{Confirmation, ConfirmedPart, ReceiptBasis, Recorded};
