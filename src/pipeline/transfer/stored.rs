//! Bundles as they lie in a container: volumes and countersignatures, put together into sets.
//!
//! Pure. What is known of a volume is what its inventory says and a digest of its tail; nothing here reads.
//!
//! **Invariants.** Volumes belong to one set only if they say so, and the last one, where it is there, names
//! the inventories of the others. A countersignature belongs to the volume whose name it begins with.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::refusal::CannotTransfer;
use crate::content::Version;
use crate::oci::Digest;

/// One version of an object that is a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredVolume {
    pub object: String,
    pub size_bytes: u64,
    pub version: Version,
    /// What the inventories of a set have in common.
    pub set_key: String,
    pub bundle: String,
    pub pipeline: Option<String>,
    pub sequence: Option<u64>,
    pub created: Timestamp,
    pub volume: u32,
    pub volumes: u32,
    pub inventory_digest: Digest,
    /// Inventories of the volumes before this one; only the last volume names them.
    pub volume_inventories: Vec<Digest>,
    /// Of the inventory and the signatures within the volume.
    pub tail_digest: Digest,
    /// What reading it back goes through: the tar stream, not compressed.
    pub stream_bytes: u64,
    /// Why the trusted keys do not admit it.
    pub refusal: Option<String>,
}

impl StoredVolume {
    /// Whether the two are the same bytes, as far as sizes and tails can tell.
    pub fn equals(&self, other: &Self) -> bool {
        (self.size_bytes, &self.tail_digest) == (other.size_bytes, &other.tail_digest)
    }
}

/// One version of a countersignature beside a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSignature {
    pub object: String,
    pub size_bytes: u64,
    pub version: Version,
    /// The object of the volume that it signs.
    pub of: String,
}

/// Volumes of one bundle, in order, and their countersignatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSet {
    pub volumes: Vec<StoredVolume>,
    pub signatures: Vec<StoredSignature>,
}

impl StoredSet {
    pub fn first(&self) -> &StoredVolume {
        // A set is made from a volume.
        &self.volumes[0]
    }

    /// The digest of the bundle's inventory, where the volume that lists its artifacts is here.
    pub(super) fn inventory(&self) -> Option<&Digest> {
        let last = self.volumes.iter().find(|v| v.volume == v.volumes)?;
        Some(&last.inventory_digest)
    }

    /// What orders bundles: sequence of a pipeline, then age, then name. One-offs stand before pipelines.
    pub(super) fn order(&self) -> (Option<u64>, Timestamp, &str) {
        let first = self.first();
        (first.sequence, first.created, &first.bundle)
    }

    /// Volume numbers that are not among `present`.
    pub fn missing(&self, present: &[u32]) -> Vec<u32> {
        let wanted = 1..=self.first().volumes;
        wanted.filter(|number| !present.contains(number)).collect()
    }

    pub fn numbers(&self) -> Vec<u32> {
        self.volumes.iter().map(|volume| volume.volume).collect()
    }

    /// Whether the volumes that are here are of one export, and admitted.
    pub(super) fn check(&self) -> Result<(), CannotTransfer> {
        for pair in self.volumes.windows(2) {
            if pair[0].volume == pair[1].volume {
                return Err(CannotTransfer::Foreign {
                    object: pair[1].object.clone(),
                });
            }
        }
        if let Some(last) = self.volumes.last().filter(|v| v.volume == v.volumes) {
            let is_named = |volume: &&StoredVolume| {
                let named = last.volume_inventories.get(volume.volume as usize - 1);
                volume.volume == last.volume || named == Some(&volume.inventory_digest)
            };
            if let Some(foreign) = self.volumes.iter().find(|volume| !is_named(volume)) {
                return Err(CannotTransfer::Foreign {
                    object: foreign.object.clone(),
                });
            }
        }
        match self.volumes.iter().find_map(|v| v.refusal.clone()) {
            Some(reason) => Err(CannotTransfer::NotAdmitted { reason }),
            None => Ok(()),
        }
    }
}

/// Why an object is not carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredObject {
    pub name: String,
    pub reason: &'static str,
}

/// Puts volumes and countersignatures into sets, in the order in which they travel. The same volume under two
/// names travels once.
pub(super) fn group(
    volumes: Vec<StoredVolume>,
    signatures: Vec<StoredSignature>,
) -> (Vec<StoredSet>, Vec<IgnoredObject>) {
    let mut ignored = Vec::new();
    let mut by_key: BTreeMap<String, Vec<StoredVolume>> = BTreeMap::new();
    for volume in volumes {
        by_key
            .entry(volume.set_key.clone())
            .or_default()
            .push(volume);
    }
    let mut sets: Vec<StoredSet> = Vec::new();
    for mut volumes in by_key.into_values() {
        volumes.sort_by(|a, b| (a.volume, &a.object).cmp(&(b.volume, &b.object)));
        volumes.dedup_by(|later, kept| {
            let is_twice = later.volume == kept.volume && later.equals(kept);
            if is_twice {
                ignored.push(IgnoredObject {
                    name: later.object.clone(),
                    reason: "the same volume is here under another name",
                });
            }
            is_twice
        });
        sets.push(StoredSet {
            volumes,
            signatures: Vec::new(),
        });
    }
    for signature in signatures {
        let owner = sets
            .iter_mut()
            .find(|set| set.volumes.iter().any(|v| v.object == signature.of));
        match owner {
            Some(set) => set.signatures.push(signature),
            None => ignored.push(IgnoredObject {
                name: signature.object,
                reason: "a countersignature without its bundle",
            }),
        }
    }
    sets.sort_by(|a, b| a.order().cmp(&b.order()));
    (sets, ignored)
}
