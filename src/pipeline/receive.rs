//! Brings receipts home: reads them where they lie, verifies them, and has the ledger record what they say.
//!
//! Whatever is wrong with one of them is told of that one, and the others are taken in.
//! Specification: src/bundle/RECEIPTS.md, "Reading".

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use jiff::{SignedDuration, Timestamp};

use super::open_bundles::BundlePlace;
use crate::bundle::{
    InvalidReceipt, KeyId, RECEIPT_SIZE_MAX_BYTES, RECEIPT_SUFFIX, Receipt, SignedReceipt,
    TrustedKeys,
};
use crate::content::{Error, ErrorKind, Result};
use crate::history::{
    Confirmation, ConfirmedPart, ContentKind, Ledger, PayloadContent, PipelineId, ReceiptBasis,
    Recorded,
};
use crate::oci::Digest;

/// How far a receipt may be in the future: clocks differ.
const FUTURE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// A receipt's file as it was found.
pub struct FoundReceipt {
    /// Where it is, for people.
    pub shown: String,
    pub receipt: Result<SignedReceipt, Error>,
}

/// A receipt that counts, and who has signed it.
#[derive(Debug)]
pub struct VerifiedReceipt {
    pub receipt: Receipt,
    pub digest: Digest,
    pub signer: KeyId,
}

/// Reads the receipts at these places: a file by its name, or all of a container.
pub async fn find_receipts(places: &[BundlePlace]) -> Result<Vec<FoundReceipt>> {
    let mut found = Vec::new();
    for place in places {
        for name in list_names(place).await? {
            found.push(FoundReceipt {
                shown: place.container.shown(&name),
                receipt: read(place, &name).await,
            });
        }
    }
    Ok(found)
}

async fn list_names(place: &BundlePlace) -> Result<Vec<String>> {
    if let Some(object) = &place.object {
        return Ok(vec![object.clone()]);
    }
    let objects: Vec<_> = place.container.list("").try_collect().await?;
    let names = objects.into_iter().map(|object| object.name);
    Ok(names
        .filter(|name| name.ends_with(RECEIPT_SUFFIX))
        .collect())
}

async fn read(place: &BundlePlace, object: &str) -> Result<SignedReceipt> {
    let shown = place.container.shown(object);
    let object = place.container.open(object).await?;
    let size_bytes = object.size_bytes();
    let invalid = |cause: InvalidReceipt| {
        Error::unverified(format!("`{shown}` is not a receipt")).with_cause(cause)
    };
    if size_bytes > RECEIPT_SIZE_MAX_BYTES {
        return Err(invalid(InvalidReceipt::TooLarge));
    }
    let bytes = object
        .read(0, usize::try_from(size_bytes).unwrap_or(usize::MAX))
        .await?;
    SignedReceipt::read(&bytes).map_err(invalid)
}

impl FoundReceipt {
    /// The receipt, where a key has signed it that may answer for its lane.
    pub fn verify(self, keys: &TrustedKeys, now: Timestamp) -> Result<(String, VerifiedReceipt)> {
        let Self { shown, receipt } = self;
        let signed = receipt?;
        let digest = signed.digest();
        let refused = || format!("the receipt `{shown}` does not count");
        let (receipt, signer) = signed
            .verify(keys)
            .map_err(|cause| Error::unverified(refused()).with_cause(cause))?;
        if receipt.created.duration_since(now) > FUTURE_MAX {
            return Err(Error::unverified(format!(
                "{}: it says that it was made on {}, which is in the future",
                refused(),
                receipt.created
            )));
        }
        let verified = VerifiedReceipt {
            receipt,
            digest,
            signer,
        };
        Ok((shown, verified))
    }
}

/// Records a verified receipt; `who` has brought it. Of several the oldest comes first, so that all of them count.
pub async fn record_receipt(
    ledger: &Ledger,
    (shown, verified): (&str, &VerifiedReceipt),
    who: &str,
    now: Timestamp,
) -> Result<Recorded> {
    let receipt = &verified.receipt;
    let pipeline = find_pipeline(ledger, receipt).await?;
    let confirmation = Confirmation {
        pipeline,
        pipeline_name: receipt.pipeline.name.clone(),
        lane: receipt.lane.clone(),
        basis: match receipt.sequence {
            Some(_) => ReceiptBasis::Receipt,
            None => ReceiptBasis::Made,
        },
        sequence: receipt.sequence.unwrap_or(0),
        inventory: receipt.inventory.clone(),
        part: part_of(receipt),
        created: receipt.created,
        digest: Some(verified.digest.clone()),
        previous: receipt.previous.clone(),
        source: shown.to_owned(),
        who: who.to_owned(),
    };
    let recorded = ledger.record_confirmation(&confirmation, now).await;
    recorded.map_err(|error| error.within(format!("the receipt `{shown}` does not count")))
}

/// The pipeline that is exported here under the name, if it is the one that the receipt means.
async fn find_pipeline(ledger: &Ledger, receipt: &Receipt) -> Result<PipelineId> {
    let named = &receipt.pipeline;
    let unknown = || {
        Error::new(
            ErrorKind::Refused,
            format!(
                "no pipeline `{}` that it could mean is exported with the state directory `{}`",
                named.name,
                ledger.shown()
            ),
        )
    };
    let known = ledger.find_pipeline(&named.name).await?;
    let known = known.ok_or_else(unknown)?;
    match &named.id {
        Some(id) if id != known.id.as_str() => Err(unknown()),
        _ => Ok(known.id),
    }
}

fn part_of(receipt: &Receipt) -> ConfirmedPart {
    if receipt.complete {
        return ConfirmedPart::All;
    }
    if receipt.sequence.is_some() {
        let delivered = receipt.delivered.iter().map(|it| {
            let digests = it.manifests.iter().chain(&it.blobs).cloned();
            (it.repository.to_string(), digests.collect())
        });
        return ConfirmedPart::Only(delivered.collect());
    }
    let mut contents: BTreeMap<&Digest, PayloadContent> = BTreeMap::new();
    for delivered in &receipt.delivered {
        let manifests = delivered.manifests.iter();
        let manifests = manifests.map(|digest| (digest, ContentKind::Manifest));
        let blobs = delivered.blobs.iter();
        let blobs = blobs.map(|digest| (digest, ContentKind::Blob));
        for (digest, kind) in manifests.chain(blobs) {
            let content = contents.entry(digest).or_insert_with(|| PayloadContent {
                digest: digest.clone(),
                // A receipt tells none; whoever uses it has the size from its own source.
                size_bytes: 0,
                kind,
                repositories: BTreeSet::new(),
            });
            let repository = delivered.repository.to_string();
            content.repositories.insert(repository);
        }
    }
    ConfirmedPart::Found(contents.into_values().collect())
}
