//! Whose signatures count: trusted keys, what each may ship, and how many it takes.
//!
//! Pure; `trust_files` reads the keys.
//!
//! **Invariants.** A revoked key never counts. A threshold counts distinct keys, whatever the files are
//! called. Nothing is trusted because a bundle says so.
//! Specification: FORMAT.md, "Signatures".

use std::collections::BTreeSet;

use super::inventory::Inventory;
use super::key::{KeyId, PublicKey};

/// What the importer demands of signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignaturePolicy {
    /// At least `threshold` distinct trusted keys, each allowed to ship the bundle's pipeline.
    Require { keys: TrustedKeys, threshold: usize },
    /// Anybody may have made the bundle. Digests still hold it together.
    AcceptUnsigned,
}

/// A key, and the pipelines that it may ship; an empty list means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrustedKey {
    pub key: PublicKey,
    pub pipelines: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    keys: Vec<TrustedKey>,
    revoked: BTreeSet<KeyId>,
}

/// Why a set of signatures is not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTrusted {
    #[error("it is not signed")]
    Unsigned,
    #[error("no trusted key has signed it (it names the keys {0})")]
    UnknownKeys(String),
    #[error("the signature that names the trusted key {0} is not by that key over these bytes")]
    BadSignature(KeyId),
    #[error("the key {0} is revoked")]
    Revoked(KeyId),
    #[error("the key {key} may not ship {what}")]
    NotForPipeline { key: KeyId, what: String },
    #[error("waiting for signatures: {found} of {threshold} trusted keys have signed it")]
    BelowThreshold { found: usize, threshold: usize },
}

/// A signature as found: the key id that its file is named for, and its raw bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub key_id: KeyId,
    pub bytes: Vec<u8>,
}

impl TrustedKeys {
    /// Trusts the key for the pipelines, beside those that it has; an empty list means all.
    pub fn add(&mut self, key: PublicKey, pipelines: Vec<String>) {
        let known = self.keys.iter_mut().find(|trusted| trusted.key == key);
        match known {
            Some(known) if known.pipelines.is_empty() || pipelines.is_empty() => {
                known.pipelines.clear();
            }
            Some(known) => known.pipelines.extend(pipelines),
            None => self.keys.push(TrustedKey { key, pipelines }),
        }
    }

    pub fn revoke(&mut self, key_id: KeyId) {
        self.revoked.insert(key_id);
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The distinct trusted keys whose signatures over `message` hold.
    fn signers<'a>(
        &'a self,
        message: &[u8],
        signatures: &[Signature],
    ) -> Result<Vec<&'a TrustedKey>, NotTrusted> {
        let mut signers: Vec<&TrustedKey> = Vec::new();
        for signature in signatures {
            let named = self
                .keys
                .iter()
                .find(|trusted| *trusted.key.id() == signature.key_id);
            let Some(trusted) = named else { continue };
            if !trusted.key.verifies(message, &signature.bytes) {
                return Err(NotTrusted::BadSignature(signature.key_id.clone()));
            }
            if self.revoked.contains(trusted.key.id()) {
                continue;
            }
            if signers.iter().all(|known| known.key != trusted.key) {
                signers.push(trusted);
            }
        }
        Ok(signers)
    }
}

impl SignaturePolicy {
    /// The same keys, of which one is enough: for what nobody can use before the threshold is reached.
    pub fn of_one_signer(&self) -> Self {
        match self {
            Self::AcceptUnsigned => Self::AcceptUnsigned,
            Self::Require { keys, .. } => Self::Require {
                keys: keys.clone(),
                threshold: 1,
            },
        }
    }

    /// Step 4 of reading a volume: decides on raw bytes, before any of them is parsed. One trusted
    /// signature lets the volume be looked at; pipeline and threshold follow in [`Self::admit`].
    pub fn authenticate(&self, message: &[u8], signatures: &[Signature]) -> Result<(), NotTrusted> {
        let Self::Require { keys, .. } = self else {
            return Ok(());
        };
        if signatures.is_empty() {
            return Err(NotTrusted::Unsigned);
        }
        if !keys.signers(message, signatures)?.is_empty() {
            return Ok(());
        }
        let revoked = signatures.iter().find(|s| keys.revoked.contains(&s.key_id));
        Err(match revoked {
            Some(signature) => NotTrusted::Revoked(signature.key_id.clone()),
            None => NotTrusted::UnknownKeys(join_ids(signatures)),
        })
    }

    /// Whether enough of the signers may ship this inventory. Says the keys that count.
    pub fn admit(
        &self,
        message: &[u8],
        signatures: &[Signature],
        inventory: &Inventory,
    ) -> Result<Vec<KeyId>, NotTrusted> {
        let Self::Require { keys, threshold } = self else {
            return Ok(Vec::new());
        };
        self.authenticate(message, signatures)?;
        let pipeline = inventory
            .pipeline
            .as_ref()
            .map(|pipeline| pipeline.name.as_str());
        let may_ship = |trusted: &TrustedKey| {
            trusted.pipelines.is_empty()
                || pipeline.is_some_and(|name| trusted.pipelines.iter().any(|p| p == name))
        };
        let signers = keys.signers(message, signatures)?;
        let (allowed, bound): (Vec<_>, Vec<_>) = signers.into_iter().partition(|key| may_ship(key));
        if let (true, Some(key)) = (allowed.is_empty(), bound.first()) {
            return Err(NotTrusted::NotForPipeline {
                key: key.key.id().clone(),
                what: pipeline.map_or("bundles without a pipeline".to_owned(), |name| {
                    format!("the pipeline `{name}`")
                }),
            });
        }
        if allowed.len() < *threshold {
            return Err(NotTrusted::BelowThreshold {
                found: allowed.len(),
                threshold: *threshold,
            });
        }
        Ok(allowed
            .iter()
            .map(|trusted| trusted.key.id().clone())
            .collect())
    }
}

fn join_ids(signatures: &[Signature]) -> String {
    let ids: Vec<String> = signatures.iter().map(|s| s.key_id.to_string()).collect();
    ids.join(", ")
}
