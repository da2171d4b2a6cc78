//! One volume whose signatures were decided upon and whose inventory is sound.
//!
//! Opening follows FORMAT.md, "Reading", steps 1 to 5; each step takes what the one before has proven.

use std::sync::Arc;

use bytes::Bytes;

use super::error::{BundleError, Part};
use super::expected;
use super::inventory::{Inventory, Row};
use super::key::KeyId;
use super::reader::{Tail, TarStream};
use super::stream_plan::{self, PlannedEntry};
use super::trust::{FoundSignatures, Signature, SignaturePolicy};
use crate::content::RangedRead;
use crate::oci::Digest;

/// A volume that may be read.
#[derive(Clone)]
pub struct Volume {
    stream: TarStream,
    tail: Tail,
    inventory: Arc<Inventory>,
    inventory_digest: Digest,
    signatures: Vec<Signature>,
}

impl Volume {
    /// Opens the volume in `object`, of which `countersignatures` lie beside it.
    pub async fn open(
        object: Arc<dyn RangedRead>,
        countersignatures: Vec<Signature>,
        policy: &SignaturePolicy,
    ) -> Result<Self, BundleError> {
        let stream = TarStream::open(object).await?;
        let tail = Tail::read(&stream).await?;
        let found = FoundSignatures {
            inside: &tail.signatures,
            beside: &countersignatures,
        };
        policy.authenticate(&tail.inventory, found)?;
        let inventory = Inventory::parse(&tail.inventory)?;
        if inventory.profile.is_framed() != stream.profile().is_framed() {
            return Err(BundleError::Damaged(Part::SeekTable));
        }
        let volume = Self {
            inventory_digest: Digest::sha256(&tail.inventory),
            inventory: Arc::new(inventory),
            stream,
            signatures: [&*tail.signatures, &*countersignatures].concat(),
            tail,
        };
        expected::check_places(&volume).await?;
        Ok(volume)
    }

    pub fn name(&self) -> &str {
        self.stream.object().name()
    }

    pub fn size_bytes(&self) -> u64 {
        self.stream.object().size_bytes()
    }

    pub fn stream(&self) -> &TarStream {
        &self.stream
    }

    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    pub fn inventory_bytes(&self) -> &Bytes {
        &self.tail.inventory
    }

    /// What `airlift sign --expect` and the volumes' list name this inventory by.
    pub fn inventory_digest(&self) -> &Digest {
        &self.inventory_digest
    }

    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The trusted keys that admit this volume, by the whole policy.
    pub fn admit(&self, policy: &SignaturePolicy) -> Result<Vec<KeyId>, BundleError> {
        let (inside, beside) = self.signatures.split_at(self.tail.signatures.len());
        let found = FoundSignatures { inside, beside };
        Ok(policy.admit(&self.tail.inventory, found, &self.inventory)?)
    }

    /// The entry in which a row's bytes stand.
    pub fn entry(&self, row: &Row) -> PlannedEntry {
        PlannedEntry {
            name: stream_plan::entry_name(&row.digest, row.part.as_ref().map(|part| part.number)),
            offset: row.offset,
            encoding: row.encoding,
            stored: row.stored(),
            is_void: false,
        }
    }
}
