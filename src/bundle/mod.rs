//! The bundle: our signed `.tar.zst`, written in one pass and readable at any place.
//!
//! FORMAT.md beside this file specifies the bytes; this module writes and reads them, and decides on
//! signatures. It knows no registry and no storage: it reads a `RangedRead` and writes an `ObjectWriter`.
//!
//! **Invariants.** Nothing of a volume is parsed before its signatures were decided upon, apart from the
//! end entry and the seek table. What a writer writes, `verify` can compute from the inventory.

mod bundle_source;
mod early_volume;
mod encoder;
mod end_entry;
mod error;
mod expected;
mod finished_entry;
mod frame;
mod inventory;
mod key;
mod layout_files;
mod limits;
mod name_index;
mod past;
mod reader;
mod receipt;
mod receipt_code;
mod seek_table;
mod stream_plan;
mod tar_entry;
mod trust;
mod trust_files;
mod verify;
mod version_2;
mod volume;
mod volume_plan;
mod writer;

pub use bundle_source::{Bundle, IncompleteSet};
pub use early_volume::EarlyVolume;
pub use error::{BundleError, Part as DamagedPart};
pub use finished_entry::FinishedEntry;
pub use frame::compressor_version;
pub use inventory::{
    Absent, Artifact, DescriptorRow, Encoding, Inventory, MEDIA_TYPE, Part, Pipeline, Profile,
    ReferrerRow, Row, Void, is_bundle_name, is_pipeline_name, writer_version,
};
pub use key::{InvalidKey, KeyAlgorithm, KeyId, PublicKey, SigningKey, generate_key};
pub use limits::{NAME_LENGTH_MAX, SIGNATURE_SIZE_MAX_BYTES, SIGNATURES_MAX, VOLUMES_MAX};
pub use past::{InvalidPast, Past, ToldEvent, ToldKind};
pub use receipt::{
    AnsweredPipeline, DeliveredIn, InvalidReceipt, NotAccepted, RECEIPT_MEDIA_TYPE,
    RECEIPT_SIZE_MAX_BYTES, RECEIPT_SUFFIX, Receipt, SignedReceipt,
};
pub use receipt_code::{InvalidCode, ReceiptCode};
pub use trust::{NotTrusted, Signature, SignaturePolicy, TrustedKeys};
pub use trust_files::InvalidTrust;
pub use verify::{Fault, Verification, verify_volume};
pub use version_2::{
    AssumedRow, MEDIA_TYPE_2, RECIPE_MEDIA_TYPE, RECIPE_SIZE_MAX_BYTES, RebuiltRow, Repairs,
    SEGMENT_MEDIA_TYPE,
};
pub use volume::Volume;
pub use volume_plan::{CannotSplit, Load, Slice, SlicePart, plan_volumes, room_in_last};
pub use writer::{PartedStream, VolumeWriter};
