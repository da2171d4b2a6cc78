//! Moving content: the contract between places that hold artifacts, and the one copy between them.
//!
//! Everything that can hold artifacts is a [`Source`], a [`Target`] or both: a registry, an OCI image layout
//! directory, a bundle, memory. This module owns that contract, the only door through which bytes pass
//! ([`VerifiedStream`]), the walk that turns references into a complete [`Plan`], and the copy that
//! carries a plan out in two phases.
//!
//! It knows no network, no archive format and no command line. It imports `oci` only.
//!
//! **Invariants.**
//! - Unverified bytes cannot be had outside this module: a source hands over a [`RawStream`], whose bytes
//!   only [`VerifiedStream`] can reach.
//! - Manifest bytes are never re-encoded.
//! - Only a definitive *not found* means absent. Every other failure is an error.

mod assemble;
mod check;
mod concurrent;
mod copy;
mod copy_options;
mod cosign;
mod count;
mod error;
mod event;
mod file_sink;
mod memory;
mod object;
mod plan;
mod prefetch;
mod provision;
mod publish;
mod rooted;
mod source;
mod stream;
mod target;
mod walk;

pub use assemble::assemble;
pub use check::ReadBack;
pub use concurrent::for_each;
pub use copy::{Copy, MountSources, SparseIndexRefused, describe};
pub use copy_options::{
    ArtifactOutcome, CopyOptions, CopyReport, Existing, HeldTags, OnError, OverwriteRules,
    Overwriting, PresentBlobs, Replaced, TagOverwrite,
};
pub use cosign::AttachedTag;
pub use count::count;
pub use error::{Error, ErrorKind, Result, escape_control};
pub use event::{Event, Events, ignore_events};
pub use file_sink::FileSink;
pub use memory::Memory;
pub use object::{MemoryObject, ObjectWriter, RangedRead, Uploaded, UploadedPart, Version};
pub use plan::{
    AbsentReason, FoundArtifact, Node, Place, Plan, PlannedArtifact, PlannedBlob, PlannedManifest,
    PlannedReferrer,
};
pub use prefetch::Prefetch;
pub use provision::{MissingProvision, Presence, Provision, ProvisionKind, list_missing};
pub use rooted::RootedDirectory;
pub use source::{
    Document, MANIFEST_SIZE_MAX_BYTES, RawDocument, Referrer, Source, fetch_document,
};
pub use stream::{ByteStream, Content, RawStream, VerifiedStream};
pub use target::{BlobOutcome, Target};
pub use walk::{ReferrerPolicy, Root, Walk, WalkOptions};

#[cfg(test)]
mod tests;
