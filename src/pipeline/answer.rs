//! What an import answers to a bundle: the receipt of what it has delivered, and its way to where it is fetched.
//!
//! The answer is recorded with the delivery and sent afterwards; what a run could not send is sent by the next. It
//! tells of digests that the bundle lists itself, by names of the source: nothing else of the far side.
//! Specification: src/bundle/RECEIPTS.md.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::containers::connect_container;
use super::deliver::Remembrance;
use super::import::ImportReport;
use super::import_plan::ImportPlan;
use super::payload::contents_of;
use crate::bundle::{
    AnsweredPipeline, DeliveredIn, RECEIPT_MEDIA_TYPE, RECEIPT_SUFFIX, Receipt, SignedReceipt,
    SigningKey,
};
use crate::content::{ArtifactOutcome, Error, ErrorKind, Event, Events, Result, describe};
use crate::history::{Answer, ContentKind, Lane, Link, PayloadContent, UnsentAnswer};
use crate::oci::{Digest, Repository};
use crate::storage::{ContainerReference, Missing, Overwrite, Purpose, write_small};

/// Where receipts are put within the state directory.
const RECEIPTS_DIRECTORY: &str = "receipts";

/// Who signs receipts, and where they go.
#[derive(Clone)]
pub struct Receipts {
    key: Arc<SigningKey>,
    containers: Vec<ContainerReference>,
}

impl Receipts {
    /// Receipts are put into the state directory, and into another container where one is named.
    pub fn new(key: SigningKey, state: &Path, container: Option<ContainerReference>) -> Self {
        let own: PathBuf = state.join(RECEIPTS_DIRECTORY);
        let own = ContainerReference::from(own.as_path());
        Self {
            key: Arc::new(key),
            containers: std::iter::once(own).chain(container).collect(),
        }
    }

    async fn send(&self, unsent: &UnsentAnswer) -> Result<()> {
        let signed = SignedReceipt::sign(unsent.document.clone(), &self.key).map_err(|cause| {
            Error::new(ErrorKind::Failed, "cannot sign the receipt").with_cause(cause)
        })?;
        let (lane, pipeline) = (&unsent.lane.name, &unsent.pipeline);
        let name = name_receipt((lane, pipeline), Some(unsent.sequence), &signed.digest());
        for reference in &self.containers {
            let container = connect_container(
                reference,
                Missing::Create,
                Purpose::Export,
                Timestamp::now(),
            )
            .await?;
            let file = signed.to_file().into();
            let written = write_small(&*container, &name, file, Overwrite::Refuse).await;
            match written {
                // A run that was killed after it has put it there. Its name holds its digest.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                written => written.map_err(|error| {
                    error.within(format!("cannot put a receipt into `{reference}`"))
                })?,
            }
        }
        Ok(())
    }
}

/// What a receipt's file is called.
pub fn name_receipt(
    (lane, pipeline): (&str, &str),
    sequence: Option<u64>,
    digest: &Digest,
) -> String {
    let number = sequence.map_or("made".to_owned(), |sequence| sequence.to_string());
    let short = &digest.hex()[..8];
    format!("receipt-{lane}-{pipeline}-{number}-{short}{RECEIPT_SUFFIX}")
}

impl Remembrance {
    /// What is to be answered to a delivery; the lane is held. A receipt that cannot be made is told, and fails nothing.
    pub(super) async fn answer(
        &self,
        (import, report): (&ImportPlan, &ImportReport),
        (lane, link): (&Lane, &Link),
        events: &Events,
    ) -> Result<Option<Answer>> {
        let inventory = import.bundle.inventory();
        let Some(pipeline) = &inventory.pipeline else {
            return Ok(None);
        };
        let before = self.ledger.find_newest_answer(lane).await?;
        let created = next_time((self.clock)(), before);
        let (is_complete, contents) = find_delivered(import, report);
        let receipt = Receipt {
            media_type: RECEIPT_MEDIA_TYPE.to_owned(),
            lane: lane.name.clone(),
            pipeline: AnsweredPipeline {
                name: pipeline.name.clone(),
                id: Some(pipeline.id.clone()),
            },
            sequence: Some(link.sequence),
            inventory: Some(link.inventory.clone()),
            previous: self.ledger.find_newest_receipt(lane).await?,
            created,
            complete: is_complete,
            delivered: match is_complete {
                true => Vec::new(),
                false => list_delivered(&contents),
            },
        };
        let is_sent = self.receipts.is_some();
        let document = is_sent.then(|| encode(&receipt, events)).flatten();
        Ok(Some(Answer {
            pipeline: pipeline.name.clone(),
            created,
            is_complete,
            document,
        }))
    }

    /// Signs and sends what was recorded and not sent. What cannot be sent now stays to be sent.
    pub async fn send_receipts(&self) -> Result<()> {
        let (Some(receipts), Some(lane)) = (&self.receipts, &self.lane) else {
            return Ok(());
        };
        let unsent = self.ledger.list_unsent_answers(lane, &self.target).await?;
        for answer in unsent {
            let UnsentAnswer {
                sequence, pipeline, ..
            } = &answer;
            receipts.send(&answer).await.map_err(|error| {
                error.within(format!(
                    "the receipt for sequence {sequence} of `{pipeline}` is not sent yet"
                ))
            })?;
            self.ledger.note_sent_answer(&answer).await?;
        }
        Ok(())
    }

    /// A delivery does not fail for its receipt: the next run sends it.
    pub(super) async fn send_receipts_or_tell(&self, events: &Events) {
        if let Err(error) = self.send_receipts().await {
            events(Event::Warning(describe(&error)));
        }
    }
}

fn encode(receipt: &Receipt, events: &Events) -> Option<(Vec<u8>, Digest)> {
    match receipt.encode() {
        Ok(document) => {
            let digest = Digest::sha256(&document);
            Some((document, digest))
        }
        Err(error) => {
            let pipeline = &receipt.pipeline.name;
            events(Event::Warning(format!(
                "there is no receipt for this bundle of `{pipeline}`: {error}"
            )));
            None
        }
    }
}

/// To the millisecond, and later than the one before, whatever the clock says.
pub(super) fn next_time(now: Timestamp, before: Option<Timestamp>) -> Timestamp {
    let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    let next = before.and_then(|before| before.checked_add(SignedDuration::from_millis(1)).ok());
    next.map_or(now, |next| next.max(now))
}

/// Whether all of the bundle is at the target, and what of it is. Contents that the import has made itself are none of
/// the bundle's.
fn find_delivered(import: &ImportPlan, report: &ImportReport) -> (bool, Vec<PayloadContent>) {
    let is_there = |outcome: &ArtifactOutcome| {
        matches!(
            outcome,
            ArtifactOutcome::Delivered | ArtifactOutcome::Unchanged | ArtifactOutcome::Held(_)
        )
    };
    let artifacts = report.artifacts.iter().enumerate();
    let there = artifacts.filter(|(_, artifact)| is_there(&artifact.outcome));
    let there: Vec<usize> = there.map(|(position, _)| position).collect();
    let is_whole = there.len() == import.bundle.inventory().artifacts.len();
    let contents = contents_of(&import.plan, &there);
    let count = contents.len();
    let bundle = &import.bundle;
    let is_listed = |content: &PayloadContent| {
        let digest = &content.digest;
        bundle.carries(digest)
            || bundle.find_assumed(digest).is_some()
            || bundle.find_rebuilt(digest).is_some()
    };
    let listed: Vec<PayloadContent> = contents.into_iter().filter(is_listed).collect();
    (is_whole && listed.len() == count, listed)
}

/// By repositories of the source, in the order of the document.
pub(super) fn list_delivered(contents: &[PayloadContent]) -> Vec<DeliveredIn> {
    let mut repositories: BTreeMap<Repository, DeliveredIn> = BTreeMap::new();
    for content in contents {
        let names = content.repositories.iter();
        for repository in names.filter_map(|name| name.parse::<Repository>().ok()) {
            let entry = repositories.entry(repository.clone());
            let delivered = entry.or_insert_with(|| DeliveredIn {
                repository,
                manifests: Vec::new(),
                blobs: Vec::new(),
            });
            match content.kind {
                ContentKind::Manifest => delivered.manifests.push(content.digest.clone()),
                ContentKind::Blob => delivered.blobs.push(content.digest.clone()),
            }
        }
    }
    for delivered in repositories.values_mut() {
        delivered.manifests.sort();
        delivered.blobs.sort();
    }
    repositories.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_are_dated_forwards_even_when_the_clock_is_set_back() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2027-01-01T00:00:00.123456Z");
        assert_eq!(next_time(now, None), at("2027-01-01T00:00:00.123Z"));
        let before = at("2027-01-01T00:00:00.123Z");
        assert_eq!(next_time(now, Some(before)), at("2027-01-01T00:00:00.124Z"));
        let later = at("2027-06-01T00:00:00Z");
        assert_eq!(next_time(now, Some(later)), at("2027-06-01T00:00:00.001Z"));
        assert_eq!(next_time(later, Some(before)), later);
    }
}
