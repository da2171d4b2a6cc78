//! One record of the audit log, the bytes that its hash is over, and what a run hands over to be recorded.
//!
//! **Invariant.** The canonical bytes are the compact JSON of the record without its `hash`, in the order of the
//! fields here; texts have no control characters, so that every JSON writer spells them the same.
//! Specification: SCHEMA.md, "The audit log".

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::content::escape_control;
use crate::history::run::words;
use crate::oci::{Digest, Tag};

words! {
    /// What happened.
    AuditKind {
        Exported = "exported",
        Transferred = "transferred",
        Imported = "imported",
        Promoted = "promoted",
        RolledBack = "rolled back",
        /// A lane has told what of a bundle it has.
        Confirmed = "confirmed",
        /// A bundle was not admitted.
        Refused = "refused",
    }
}

impl Serialize for AuditKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for AuditKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("it has no kind that is known"))
    }
}

/// A record as it is kept, exported and verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditRecord {
    /// From 1, without a gap.
    pub number: u64,
    pub time: Timestamp,
    pub kind: AuditKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    pub who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    pub trigger: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<RefusedArtifact>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past: Vec<PastEvent>,
    /// The hash of the record before; the first has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// SHA-256 of the canonical bytes; `None` while they are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Digest>,
}

/// An artifact of a bundle that was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusedArtifact {
    /// What it would have been at the target.
    pub target: String,
    pub digest: Digest,
}

/// What a bundle tells of an artifact before it came here. It is worth what the bundle's signature is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PastEvent {
    pub kind: AuditKind,
    pub time: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Digest>,
}

impl AuditRecord {
    /// The bytes that the hash is over.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let unhashed = Self {
            hash: None,
            ..self.clone()
        };
        // Texts, numbers and lists cannot fail to be JSON.
        serde_json::to_vec(&unhashed).unwrap_or_default()
    }

    /// What `hash` has to be.
    pub fn compute_hash(&self) -> Digest {
        Digest::sha256(&self.canonical_bytes())
    }

    pub(super) fn seal(mut self) -> Self {
        self.hash = Some(self.compute_hash());
        self
    }
}

/// One event that a run hands over to be recorded with its end. Who, why and when come from the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub kind: AuditKind,
    /// `REGISTRY/REPOSITORY:TAG`, or where a bundle came from.
    pub source: Option<String>,
    /// The same at the other end: see [`reference_at`].
    pub target: Option<String>,
    pub digest: Option<Digest>,
    /// What the target's tag stood for before; the same digest where it stood for that already.
    pub replaced: Option<Digest>,
    pub rollback_tag: Option<Tag>,
    /// `None` takes what the run says of bundle, inventory and sequence.
    pub bundle: Option<CarriedBundle>,
    pub reason: Option<String>,
    pub artifacts: Vec<RefusedArtifact>,
    pub past: Vec<PastEvent>,
}

/// A bundle among several of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedBundle {
    pub name: String,
    pub inventory: Digest,
    pub sequence: Option<u64>,
}

impl AuditEntry {
    pub fn new(kind: AuditKind) -> Self {
        Self {
            kind,
            source: None,
            target: None,
            digest: None,
            replaced: None,
            rollback_tag: None,
            bundle: None,
            reason: None,
            artifacts: Vec::new(),
            past: Vec::new(),
        }
    }

    /// A bundle that was carried from the run's container to its target; `inventory` is that of its last volume.
    pub fn transferred(bundle: CarriedBundle) -> Self {
        Self {
            bundle: Some(bundle),
            ..Self::new(AuditKind::Transferred)
        }
    }
}

impl PastEvent {
    /// With texts that cannot deceive a terminal or the next reader.
    pub(super) fn escaped(&self) -> Self {
        let escape = |text: &Option<String>| text.as_deref().map(escape_control);
        Self {
            kind: self.kind,
            time: self.time,
            who: escape(&self.who),
            comment: escape(&self.comment),
            pipeline: escape(&self.pipeline),
            source: escape(&self.source),
            target: escape(&self.target),
            bundle: escape(&self.bundle),
            inventory: self.inventory.clone(),
        }
    }
}

/// The full reference of `name`, `REPOSITORY:TAG` or `REPOSITORY@DIGEST`, at a target `REGISTRY[/PREFIX]` or
/// `oci:PATH`. The name holds the prefix already.
pub fn reference_at(target: &str, name: &str) -> String {
    if target.starts_with("oci:") {
        return format!("{target}:{name}");
    }
    let host = target.split('/').next().unwrap_or_default();
    format!("{host}/{name}")
}
