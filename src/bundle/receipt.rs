//! The receipt: what an importer says, signed, about a bundle that it has taken.
//!
//! The types here *are* the document: field order is the order of the JSON, and a text that this module would not
//! write is not read. What a receipt changes is decided elsewhere.
//!
//! **Invariant.** Nothing of a document is parsed before its signatures were decided upon.
//! Specification: RECEIPTS.md.
#![doc = include_str!("RECEIPTS.md")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::inventory::is_pipeline_name;
use super::key::{InvalidKey, KeyId, SigningKey};
use super::limits::{SIGNATURE_SIZE_MAX_BYTES, SIGNATURES_MAX};
use super::trust::{NotTrusted, Signature, TrustedKeys};
use crate::oci::{Digest, Repository};

pub const RECEIPT_MEDIA_TYPE: &str = "application/vnd.airlift.receipt.v1+json";
/// The end of a receipt's file name.
pub const RECEIPT_SUFFIX: &str = ".receipt";
/// The bytes of a receipt's file.
pub const RECEIPT_SIZE_MAX_BYTES: u64 = 64 << 20;
/// Room for all signatures of one, with their lines.
const SIGNATURES_SIZE_MAX_BYTES: u64 = SIGNATURES_MAX as u64 * 2 * SIGNATURE_SIZE_MAX_BYTES;
/// The digests that one receipt tells.
const RECEIPT_DIGESTS_MAX: usize = 800_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    pub media_type: String,
    pub lane: String,
    pub pipeline: AnsweredPipeline,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    pub created: Timestamp,
    pub complete: bool,
    pub delivered: Vec<DeliveredIn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnsweredPipeline {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What is at the target of one repository of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliveredIn {
    pub repository: Repository,
    pub manifests: Vec<Digest>,
    pub blobs: Vec<Digest>,
}

/// Why bytes are not a receipt of this version.
#[derive(Debug, thiserror::Error)]
pub enum InvalidReceipt {
    #[error("it is larger than {RECEIPT_SIZE_MAX_BYTES} bytes")]
    TooLarge,
    #[error("it is not a line of JSON with lines of signatures below it")]
    NotAReceipt,
    #[error("it has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    #[error("its format is `{0}`, and this program reads `{RECEIPT_MEDIA_TYPE}`")]
    UnknownVersion(String),
    #[error("it is not valid")]
    Json(#[source] serde_json::Error),
    #[error("it is not spelled as the format demands")]
    NotCanonical,
    #[error("it contradicts itself: {0}")]
    Inconsistent(&'static str),
}

/// A receipt's file, of which nothing was believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReceipt {
    document: Vec<u8>,
    signatures: Vec<Signature>,
}

impl Receipt {
    /// The document; one that no reader would take is not written.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidReceipt> {
        self.check()?;
        let document = serde_json::to_vec(self).map_err(InvalidReceipt::Json)?;
        match document.len() as u64 + SIGNATURES_SIZE_MAX_BYTES > RECEIPT_SIZE_MAX_BYTES {
            true => Err(InvalidReceipt::TooLarge),
            false => Ok(document),
        }
    }

    /// Parses bytes whose signatures have been decided upon.
    fn parse(bytes: &[u8]) -> Result<Self, InvalidReceipt> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            media_type: String,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(InvalidReceipt::Json)?;
        if version.media_type != RECEIPT_MEDIA_TYPE {
            return Err(InvalidReceipt::UnknownVersion(version.media_type));
        }
        let receipt: Self = serde_json::from_slice(bytes).map_err(InvalidReceipt::Json)?;
        let spelled = serde_json::to_vec(&receipt).map_err(InvalidReceipt::Json)?;
        if spelled != bytes {
            return Err(InvalidReceipt::NotCanonical);
        }
        receipt.check()?;
        Ok(receipt)
    }

    fn check(&self) -> Result<(), InvalidReceipt> {
        let is_id = |id: &String| {
            id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let digests = self.delivered.iter();
        let count: usize = digests.map(|it| it.manifests.len() + it.blobs.len()).sum();
        let answers = self.sequence.is_some();
        let checks = [
            (is_pipeline_name(&self.lane), "the lane's name"),
            (is_pipeline_name(&self.pipeline.name), "the pipeline's name"),
            (
                self.pipeline.id.as_ref().is_none_or(is_id),
                "the pipeline's id",
            ),
            (
                answers == self.inventory.is_some() && (!answers || self.pipeline.id.is_some()),
                "an answer to no bundle",
            ),
            (self.sequence != Some(0), "the sequence"),
            (!self.complete || answers, "complete without a bundle"),
            (
                !self.complete || self.delivered.is_empty(),
                "a list of what is complete",
            ),
            (
                self.created.subsec_nanosecond() % 1_000_000 == 0,
                "a time finer than milliseconds",
            ),
            (
                is_ascending(self.delivered.iter().map(|it| &it.repository)),
                "the order of the repositories",
            ),
            (
                self.delivered
                    .iter()
                    .all(|it| is_ascending(it.manifests.iter()) && is_ascending(it.blobs.iter())),
                "the order of the digests",
            ),
            (count <= RECEIPT_DIGESTS_MAX, "more digests than the limit"),
        ];
        match checks.iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(InvalidReceipt::Inconsistent(what)),
            None => Ok(()),
        }
    }
}

fn is_ascending<'a, T: Ord + 'a>(mut items: impl Iterator<Item = &'a T>) -> bool {
    let Some(mut last) = items.next() else {
        return true;
    };
    items.all(|item| std::mem::replace(&mut last, item) < item)
}

impl SignedReceipt {
    /// Signs a document.
    pub fn sign(document: Vec<u8>, key: &SigningKey) -> Result<Self, InvalidKey> {
        let signature = Signature {
            key_id: key.public().id().clone(),
            bytes: key.sign(&document)?,
        };
        Ok(Self {
            document,
            signatures: vec![signature],
        })
    }

    /// The file.
    pub fn to_file(&self) -> Vec<u8> {
        let mut file = self.document.clone();
        file.push(b'\n');
        for Signature { key_id, bytes } in &self.signatures {
            file.extend(format!("{key_id} {}\n", STANDARD.encode(bytes)).into_bytes());
        }
        file
    }

    /// Takes a file apart.
    pub fn read(file: &[u8]) -> Result<Self, InvalidReceipt> {
        if file.len() as u64 > RECEIPT_SIZE_MAX_BYTES {
            return Err(InvalidReceipt::TooLarge);
        }
        let file = file.strip_suffix(b"\n");
        let mut lines = file
            .ok_or(InvalidReceipt::NotAReceipt)?
            .split(|b| *b == b'\n');
        let document = lines.next().unwrap_or_default().to_vec();
        let lines: Vec<&[u8]> = lines.take(SIGNATURES_MAX + 1).collect();
        if lines.len() > SIGNATURES_MAX {
            return Err(InvalidReceipt::TooManySignatures);
        }
        let signatures = lines.into_iter().map(read_signature);
        let signatures = signatures.collect::<Option<Vec<_>>>();
        let signatures = signatures.filter(|signatures| !signatures.is_empty());
        Ok(Self {
            document,
            signatures: signatures.ok_or(InvalidReceipt::NotAReceipt)?,
        })
    }

    /// By which the lane's next receipt names this one.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.document)
    }

    /// The receipt, if a key has signed it that may answer for its lane; with that key.
    pub fn verify(&self, keys: &TrustedKeys) -> Result<(Receipt, KeyId), NotAccepted> {
        keys.authenticate(&self.document, &self.signatures)?;
        let receipt = Receipt::parse(&self.document)?;
        let key = keys.find_answerer(&self.document, &self.signatures, &receipt.lane)?;
        Ok((receipt, key))
    }

    /// The receipt as it stands there, for people who only look.
    pub fn read_unverified(&self) -> Result<Receipt, InvalidReceipt> {
        Receipt::parse(&self.document)
    }

    /// The ids of the keys that the signatures name.
    pub fn named_keys(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.iter().map(|signature| &signature.key_id)
    }
}

fn read_signature(line: &[u8]) -> Option<Signature> {
    let line = std::str::from_utf8(line).ok()?;
    let (key_id, encoded) = line.split_once(' ')?;
    if encoded.len() as u64 > SIGNATURE_SIZE_MAX_BYTES / 3 * 4 + 4 {
        return None;
    }
    let bytes = STANDARD.decode(encoded).ok()?;
    Some(Signature {
        key_id: key_id.parse().ok()?,
        bytes,
    })
}

/// Why a receipt does not count.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    #[error(transparent)]
    Untrusted(#[from] NotTrusted),
    #[error(transparent)]
    Invalid(#[from] InvalidReceipt),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::key::{KeyAlgorithm, generate_key};

    fn receipt() -> Receipt {
        Receipt {
            media_type: RECEIPT_MEDIA_TYPE.to_owned(),
            lane: "north".to_owned(),
            pipeline: AnsweredPipeline {
                name: "plant".to_owned(),
                id: Some("00112233445566778899aabbccddeeff".to_owned()),
            },
            sequence: Some(3),
            inventory: Some(Digest::sha256(b"inventory")),
            previous: None,
            created: "2027-01-02T03:04:05.678Z".parse().unwrap(),
            complete: false,
            delivered: vec![DeliveredIn {
                repository: "apps/web".parse().unwrap(),
                manifests: vec![Digest::sha256(b"manifest")],
                blobs: Vec::new(),
            }],
        }
    }

    fn key() -> SigningKey {
        let (pem, _) = generate_key(KeyAlgorithm::EcdsaP256, None).unwrap();
        SigningKey::parse(&pem, None).unwrap()
    }

    fn trusting(key: &SigningKey, lane: &str) -> TrustedKeys {
        let mut keys = TrustedKeys::default();
        keys.add(key.public().clone(), vec![lane.to_owned()]);
        keys
    }

    fn signed(receipt: &Receipt, key: &SigningKey) -> SignedReceipt {
        SignedReceipt::sign(receipt.encode().unwrap(), key).unwrap()
    }

    #[test]
    fn a_receipt_comes_back_from_its_file() {
        let key = key();
        let file = signed(&receipt(), &key).to_file();
        let read = SignedReceipt::read(&file).unwrap();
        let (found, signer) = read.verify(&trusting(&key, "north")).unwrap();
        assert_eq!((found, &signer), (receipt(), key.public().id()));
        assert_eq!(read.to_file(), file);
    }

    #[test]
    fn only_a_key_of_the_lane_answers_for_it() {
        let (key, other) = (key(), key());
        let file = signed(&receipt(), &key);
        let refused = |keys: &TrustedKeys| match file.verify(keys).unwrap_err() {
            NotAccepted::Untrusted(error) => error,
            NotAccepted::Invalid(error) => panic!("{error}"),
        };
        assert!(matches!(
            refused(&trusting(&other, "north")),
            NotTrusted::UnknownKeys(_)
        ));
        assert!(matches!(
            refused(&trusting(&key, "south")),
            NotTrusted::NotForLane { .. }
        ));
        let mut anywhere = TrustedKeys::default();
        anywhere.add(key.public().clone(), Vec::new());
        assert!(matches!(refused(&anywhere), NotTrusted::NotForLane { .. }));
        let mut revoked = trusting(&key, "north");
        revoked.revoke(key.public().id().clone());
        assert!(matches!(refused(&revoked), NotTrusted::Revoked(_)));
    }

    #[test]
    fn a_changed_receipt_is_refused_before_it_is_parsed() {
        let key = key();
        let mut file = signed(&receipt(), &key).to_file();
        file[0] = b'[';
        let read = SignedReceipt::read(&file).unwrap();
        let refused = read.verify(&trusting(&key, "north"));
        assert!(matches!(
            refused,
            Err(NotAccepted::Untrusted(NotTrusted::BadSignature(_)))
        ));
    }

    #[test]
    fn what_a_writer_would_not_write_is_refused() {
        let good = String::from_utf8(receipt().encode().unwrap()).unwrap();
        let inventory = good.replace("receipt.v1", "inventory.v1");
        for (text, why) in [
            (good.replacen(',', ", ", 1), "spelled"),
            (good.replacen("\"lane\"", "\"who\":1,\"lane\"", 1), "valid"),
            (
                good.replacen("\"lane\"", "\"lane\":\"a\",\"lane\"", 1),
                "valid",
            ),
            (good.replace("\"north\"", "\"../north\""), "lane's name"),
            (
                good.replace("\"complete\":false", "\"complete\":true"),
                "complete",
            ),
            (good.replace(".678Z", ".6789Z"), "finer"),
            (inventory, "format"),
        ] {
            let error = Receipt::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_file_has_to_be_signed_and_whole() {
        let file = signed(&receipt(), &key()).to_file();
        let end = file.iter().position(|b| *b == b'\n').unwrap();
        for damaged in [&file[..=end], &file[..file.len() - 1], b"", b"\n\n"] {
            assert!(SignedReceipt::read(damaged).is_err());
        }
        let many = [&file[..=end], &file[end + 1..].repeat(17)].concat();
        assert!(matches!(
            SignedReceipt::read(&many),
            Err(InvalidReceipt::TooManySignatures)
        ));
    }
}
