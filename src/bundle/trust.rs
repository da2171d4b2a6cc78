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

/// A key, and the pipelines that it may ship; an empty list means all. Of keys that are trusted for receipts it is
/// the lanes that they may answer for, and an empty list means none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrustedKey {
    pub key: PublicKey,
    pub bounds: Vec<String>,
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
    #[error("the key {key} may not answer for the lane `{lane}`")]
    NotForLane { key: KeyId, lane: String },
    #[error(
        "waiting for signatures: {found} of {threshold} trusted keys have signed it{}",
        show_bad(bad)
    )]
    BelowThreshold {
        found: usize,
        threshold: usize,
        /// Keys whose countersignatures are not theirs, or not over these bytes.
        bad: Vec<KeyId>,
    },
}

/// A signature as found: the key id that its file is named for, and its raw bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub key_id: KeyId,
    pub bytes: Vec<u8>,
}

/// The signatures of one volume. What is inside was written with it, so a bad one means that it was damaged; beside
/// it anybody may have put a file, which must not stand in the way of others.
#[derive(Clone, Copy, Debug)]
pub struct FoundSignatures<'a> {
    pub inside: &'a [Signature],
    pub beside: &'a [Signature],
}

impl<'a> FoundSignatures<'a> {
    fn all(self) -> impl Iterator<Item = &'a Signature> {
        self.inside.iter().chain(self.beside)
    }
}

/// Whose signatures hold, and of whom there is one beside the volume that does not.
#[derive(Default)]
struct Signers<'a> {
    good: Vec<&'a TrustedKey>,
    bad: Vec<KeyId>,
}

impl TrustedKeys {
    /// Trusts the key for the pipelines, beside those that it has; an empty list means all. For receipts it is lanes.
    pub fn add(&mut self, key: PublicKey, bounds: Vec<String>) {
        let known = self.keys.iter_mut().find(|trusted| trusted.key == key);
        match known {
            Some(known) if known.bounds.is_empty() || bounds.is_empty() => {
                known.bounds.clear();
            }
            Some(known) => known.bounds.extend(bounds),
            None => self.keys.push(TrustedKey { key, bounds }),
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
        signatures: FoundSignatures<'_>,
    ) -> Result<Signers<'a>, NotTrusted> {
        let mut signers = Signers::default();
        for (position, signature) in signatures.all().enumerate() {
            let named = self
                .keys
                .iter()
                .find(|trusted| *trusted.key.id() == signature.key_id);
            let Some(trusted) = named else { continue };
            let is_inside = position < signatures.inside.len();
            match trusted.key.verifies(message, &signature.bytes) {
                false if is_inside => {
                    return Err(NotTrusted::BadSignature(signature.key_id.clone()));
                }
                false => signers.bad.push(signature.key_id.clone()),
                true if self.revoked.contains(trusted.key.id()) => {}
                true if signers.good.iter().any(|known| known.key == trusted.key) => {}
                true => signers.good.push(trusted),
            }
        }
        Ok(signers)
    }

    /// Whether a trusted key has signed a receipt, before any of it is parsed.
    pub(super) fn authenticate(
        &self,
        document: &[u8],
        inside: &[Signature],
    ) -> Result<(), NotTrusted> {
        let policy = SignaturePolicy::Require {
            keys: self.clone(),
            threshold: 1,
        };
        let beside = &[];
        policy.authenticate(document, FoundSignatures { inside, beside })
    }

    /// The signer of a receipt that may answer for its lane.
    pub(super) fn find_answerer(
        &self,
        document: &[u8],
        inside: &[Signature],
        lane: &str,
    ) -> Result<KeyId, NotTrusted> {
        let beside = &[];
        let signers = self.signers(document, FoundSignatures { inside, beside })?;
        let may_answer = |trusted: &&&TrustedKey| trusted.bounds.iter().any(|it| it == lane);
        match (signers.good.iter().find(may_answer), signers.good.first()) {
            (Some(trusted), _) => Ok(trusted.key.id().clone()),
            (None, Some(other)) => Err(NotTrusted::NotForLane {
                key: other.key.id().clone(),
                lane: lane.to_owned(),
            }),
            (None, None) => Err(NotTrusted::UnknownKeys(join_ids(inside.iter()))),
        }
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
    pub fn authenticate(
        &self,
        message: &[u8],
        signatures: FoundSignatures<'_>,
    ) -> Result<(), NotTrusted> {
        let Self::Require { keys, threshold } = self else {
            return Ok(());
        };
        if signatures.all().next().is_none() {
            return Err(NotTrusted::Unsigned);
        }
        let Signers { good, bad } = keys.signers(message, signatures)?;
        if !good.is_empty() {
            return Ok(());
        }
        let revoked = signatures.all().find(|s| keys.revoked.contains(&s.key_id));
        Err(match revoked {
            Some(signature) => NotTrusted::Revoked(signature.key_id.clone()),
            None if bad.is_empty() => NotTrusted::UnknownKeys(join_ids(signatures.all())),
            None => NotTrusted::BelowThreshold {
                found: 0,
                threshold: *threshold,
                bad,
            },
        })
    }

    /// Whether enough of the signers may ship this inventory. Says the keys that count.
    pub fn admit(
        &self,
        message: &[u8],
        signatures: FoundSignatures<'_>,
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
            trusted.bounds.is_empty()
                || pipeline.is_some_and(|name| trusted.bounds.iter().any(|bound| bound == name))
        };
        let Signers { good, bad } = keys.signers(message, signatures)?;
        let (allowed, bound): (Vec<_>, Vec<_>) = good.into_iter().partition(|key| may_ship(key));
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
                bad,
            });
        }
        Ok(allowed
            .iter()
            .map(|trusted| trusted.key.id().clone())
            .collect())
    }
}

fn join_ids<'a>(signatures: impl Iterator<Item = &'a Signature>) -> String {
    let ids: Vec<String> = signatures.map(|s| s.key_id.to_string()).collect();
    ids.join(", ")
}

fn show_bad(bad: &[KeyId]) -> String {
    let ids: Vec<String> = bad.iter().map(ToString::to_string).collect();
    match ids.is_empty() {
        true => String::new(),
        false => format!(
            "; what lies beside it in the name of {} is not by that key over these bytes",
            ids.join(", ")
        ),
    }
}
