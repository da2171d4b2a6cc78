//! Takes in what a lane has answered: receipts, codes that a person typed, registries that were looked at, and reports
//! of what is missing.
//!
//! **Invariants.** Receipts go forwards by the time at which they were made: one that was made before the newest of
//! its lane changes nothing, so that an old one brought again does not bring back what was found missing since.
//! A bundle that comes late has a newer receipt, whatever its number. What was reported missing is confirmed only by
//! a bundle that was made after the report.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::payload::PayloadContent;
use crate::content::{Error, ErrorKind, Result};
use crate::history::audit::{AuditEntry, AuditHead, AuditKind, Author, append_as};
use crate::history::dialect::Transaction;
use crate::history::id::PipelineId;
use crate::history::ledger::{Ledger, millis, number, time};
use crate::history::run::{Trigger, words};
use crate::oci::Digest;

words! {
    /// What it is known by that a lane has something.
    ReceiptBasis {
        /// A signed receipt of an import.
        Receipt = "receipt",
        /// A code that a person has carried over and typed.
        Code = "code",
        /// A signed list of what a registry had that was filled otherwise.
        Made = "made",
    }
}

/// What of a bundle is at the lane's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfirmedPart {
    /// Everything that it brings or counts on.
    All,
    /// These digests, by the names of repositories at the source. What the bundle does not have does not count.
    Only(BTreeMap<String, Vec<Digest>>),
    /// What a registry was found to have, whatever brought it there.
    Found(Vec<PayloadContent>),
}

/// An answer of a lane that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    pub pipeline: PipelineId,
    pub pipeline_name: String,
    pub lane: String,
    pub basis: ReceiptBasis,
    /// The bundle that it answers; 0 where there was none.
    pub sequence: u64,
    pub inventory: Option<Digest>,
    pub part: ConfirmedPart,
    pub created: Timestamp,
    /// Of the receipt, and of the lane's receipt before; a code has none.
    pub digest: Option<Digest>,
    pub previous: Option<Digest>,
    /// Where it came from, for people.
    pub source: String,
    /// Who has brought it.
    pub who: String,
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    New {
        /// Contents that are known to be there since.
        confirmed: u64,
        /// Contents of which it tells and which its bundle does not have: they do not count.
        foreign: u64,
        /// Whether it does not follow the newest receipt of the lane: one in between has not come. It counts all the
        /// same, since each stands by itself.
        has_gap: bool,
    },
    /// It was taken in before.
    Repeated,
    /// A newer receipt of the lane was taken in before it, so it changes nothing.
    Older { newest: Timestamp },
}

/// What decides whether an answer is taken in.
enum Place {
    Settled(Recorded),
    Next { has_gap: bool },
}

const DOING: &str = "cannot record what the lane has confirmed";

impl Ledger {
    /// Takes in an answer of a lane. One that speaks of another bundle than was exported is refused.
    pub async fn record_confirmation(
        &self,
        confirmation: &Confirmation,
        now: Timestamp,
    ) -> Result<Recorded> {
        let failed = self.failed(DOING);
        let mut transaction = self.begin().await.map_err(&failed)?;
        let exported = find_inventory(&mut transaction, confirmation);
        check_bundle(confirmation, exported.await.map_err(&failed)?)?;
        let newest = find_newest(&mut transaction, confirmation);
        let newest = newest.await.map_err(&failed)?;
        let is_known = is_known(&mut transaction, confirmation).await;
        let has_gap = match place_of(confirmation, is_known.map_err(&failed)?, newest)? {
            Place::Settled(recorded) => return Ok(recorded),
            Place::Next { has_gap } => has_gap,
        };
        let recorded = async {
            insert(&mut transaction, confirmation, now).await?;
            let (confirmed, told) = confirm(&mut transaction, confirmation).await?;
            let head = append(&mut transaction, confirmation, now).await?;
            transaction.commit().await?;
            Ok((confirmed, told, head))
        };
        let (confirmed, told, head) = recorded.await.map_err(&failed)?;
        self.note_head(head).await;
        Ok(Recorded::New {
            confirmed,
            foreign: told.saturating_sub(confirmed),
            has_gap,
        })
    }
}

async fn find_inventory(
    transaction: &mut Transaction,
    confirmation: &Confirmation,
) -> sqlx::Result<Option<String>> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT inventory FROM exported WHERE pipeline = $1 AND sequence = $2")
            .bind(confirmation.pipeline.as_str())
            .bind(number(confirmation.sequence))
            .fetch_optional(&mut **transaction)
            .await?;
    Ok(row.map(|(inventory,)| inventory))
}

/// It has to answer the very bundle that was sent under its number.
fn check_bundle(confirmation: &Confirmation, exported: Option<String>) -> Result<()> {
    let Some(answered) = &confirmation.inventory else {
        return Ok(());
    };
    let Confirmation {
        pipeline_name: name,
        sequence,
        ..
    } = confirmation;
    match exported {
        Some(inventory) if inventory == answered.to_string() => Ok(()),
        Some(inventory) => Err(Error::unverified(format!(
            "it answers another bundle than was sent as sequence {sequence} of the pipeline `{name}`: its inventory \
             is `{answered}`, and that of the bundle is `{inventory}`"
        ))),
        None => Err(Error::new(
            ErrorKind::Refused,
            format!(
                "it answers sequence {sequence} of the pipeline `{name}`, and this state directory has sent none"
            ),
        )),
    }
}

/// When the newest receipt of the lane was made, and the digest of the newest that answers a bundle.
async fn find_newest(
    transaction: &mut Transaction,
    confirmation: &Confirmation,
) -> sqlx::Result<Option<(i64, Option<String>)>> {
    let (newest,): (Option<i64>,) = sqlx::query_as(
        "SELECT MAX(created_ms) FROM receipt WHERE pipeline = $1 AND lane = $2 AND basis <> $3",
    )
    .bind(confirmation.pipeline.as_str())
    .bind(&confirmation.lane)
    .bind(ReceiptBasis::Code.as_str())
    .fetch_one(&mut **transaction)
    .await?;
    let Some(newest) = newest else {
        return Ok(None);
    };
    let digest: Option<(Option<String>,)> = sqlx::query_as(
        "SELECT digest FROM receipt WHERE pipeline = $1 AND lane = $2 AND basis = $3
         ORDER BY created_ms DESC LIMIT 1",
    )
    .bind(confirmation.pipeline.as_str())
    .bind(&confirmation.lane)
    .bind(ReceiptBasis::Receipt.as_str())
    .fetch_optional(&mut **transaction)
    .await?;
    Ok(Some((newest, digest.and_then(|(digest,)| digest))))
}

/// A receipt is known by its digest, a code by what it says: that its bundle has arrived completely.
async fn is_known(
    transaction: &mut Transaction,
    confirmation: &Confirmation,
) -> sqlx::Result<bool> {
    let statement = match &confirmation.digest {
        Some(_) => {
            "SELECT COUNT(*) FROM receipt WHERE pipeline = $1 AND lane = $2 AND digest = $3 AND $4 = $4"
        }
        None => {
            "SELECT COUNT(*) FROM receipt
             WHERE pipeline = $1 AND lane = $2 AND $3 IS NULL AND sequence = $4 AND is_complete"
        }
    };
    let (known,): (i64,) = sqlx::query_as(statement)
        .bind(confirmation.pipeline.as_str())
        .bind(&confirmation.lane)
        .bind(confirmation.digest.as_ref().map(ToString::to_string))
        .bind(number(confirmation.sequence))
        .fetch_one(&mut **transaction)
        .await?;
    Ok(known > 0)
}

fn place_of(
    confirmation: &Confirmation,
    is_known: bool,
    newest: Option<(i64, Option<String>)>,
) -> Result<Place> {
    if is_known {
        return Ok(Place::Settled(Recorded::Repeated));
    }
    if confirmation.digest.is_none() {
        return Ok(Place::Next { has_gap: false });
    }
    let previous = confirmation.previous.as_ref().map(ToString::to_string);
    let Some((newest_ms, newest_digest)) = newest else {
        let has_gap = previous.is_some();
        return Ok(Place::Next { has_gap });
    };
    let created_ms = millis(confirmation.created);
    if created_ms == newest_ms {
        return Err(Error::unverified(format!(
            "it contradicts another receipt that the lane `{}` has made at the same time, {}",
            confirmation.lane,
            time(newest_ms)
        )));
    }
    Ok(match created_ms < newest_ms {
        true => Place::Settled(Recorded::Older {
            newest: time(newest_ms),
        }),
        false => Place::Next {
            has_gap: confirmation.basis == ReceiptBasis::Receipt && previous != newest_digest,
        },
    })
}

async fn insert(
    transaction: &mut Transaction,
    confirmation: &Confirmation,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO receipt (pipeline, lane, basis, created_ms, sequence, inventory, digest, previous, is_complete,
            confirmed_by, confirmed_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(confirmation.pipeline.as_str())
    .bind(&confirmation.lane)
    .bind(confirmation.basis.as_str())
    .bind(millis(confirmation.created))
    .bind(number(confirmation.sequence))
    .bind(confirmation.inventory.as_ref().map(ToString::to_string))
    .bind(confirmation.digest.as_ref().map(ToString::to_string))
    .bind(confirmation.previous.as_ref().map(ToString::to_string))
    .bind(confirmation.part == ConfirmedPart::All)
    .bind(&confirmation.who)
    .bind(millis(now))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Records the contents; says how many count, and of how many it tells.
async fn confirm(
    transaction: &mut Transaction,
    confirmation: &Confirmation,
) -> sqlx::Result<(u64, u64)> {
    let (mut confirmed, mut told) = (0, 0);
    match &confirmation.part {
        ConfirmedPart::All => {
            confirmed = confirm_sent(transaction, confirmation, None).await?;
            told = confirmed;
        }
        ConfirmedPart::Only(repositories) => {
            for (repository, digests) in repositories {
                for digest in digests {
                    let only = Some((repository.as_str(), digest));
                    confirmed += confirm_sent(transaction, confirmation, only).await?;
                    told += 1;
                }
            }
        }
        ConfirmedPart::Found(contents) => {
            for content in contents {
                confirmed += confirm_found(transaction, confirmation, content).await?;
            }
            told = confirmed;
        }
    }
    sqlx::query(
        "DELETE FROM missing WHERE pipeline = $1 AND lane = $2 AND EXISTS (
            SELECT 1 FROM confirmed WHERE confirmed.pipeline = $1 AND confirmed.lane = $2
                AND confirmed.digest = missing.digest
         )",
    )
    .bind(confirmation.pipeline.as_str())
    .bind(&confirmation.lane)
    .execute(&mut **transaction)
    .await?;
    Ok((confirmed, told))
}

/// Confirms all of the bundle, or one content of it. What was reported missing since it was made is left out.
async fn confirm_sent(
    transaction: &mut Transaction,
    confirmation: &Confirmation,
    only: Option<(&str, &Digest)>,
) -> sqlx::Result<u64> {
    let (pipeline, lane) = (confirmation.pipeline.as_str(), &confirmation.lane);
    let (repository, digest) = match only {
        Some((repository, digest)) => (Some(repository), Some(digest.to_string())),
        None => (None, None),
    };
    // A row that is confirmed already is written anew, so that it counts.
    let inserted = sqlx::query(
        "INSERT INTO confirmed (pipeline, lane, digest, repository, kind, size_bytes, since_sequence)
         SELECT pipeline, $2, digest, repository, kind, size_bytes, first_sequence FROM delivers
         WHERE pipeline = $1 AND first_sequence <= $3 AND last_sequence >= $3
            AND ($4 IS NULL OR (digest = $4 AND repository = $5))
            AND NOT EXISTS (
                SELECT 1 FROM missing WHERE missing.pipeline = $1 AND missing.lane = $2
                    AND missing.digest = delivers.digest AND missing.after_sequence >= $3
            )
         ON CONFLICT (pipeline, lane, digest, repository) DO UPDATE SET kind = excluded.kind",
    )
    .bind(pipeline)
    .bind(lane)
    .bind(number(confirmation.sequence))
    .bind(digest)
    .bind(repository)
    .execute(&mut **transaction)
    .await?;
    Ok(inserted.rows_affected())
}

async fn confirm_found(
    transaction: &mut Transaction,
    confirmation: &Confirmation,
    content: &PayloadContent,
) -> sqlx::Result<u64> {
    for repository in &content.repositories {
        sqlx::query(
            "INSERT INTO confirmed (pipeline, lane, digest, repository, kind, size_bytes, since_sequence)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(confirmation.pipeline.as_str())
        .bind(&confirmation.lane)
        .bind(content.digest.to_string())
        .bind(repository)
        .bind(content.kind.as_str())
        .bind(number(content.size_bytes))
        .bind(number(confirmation.sequence))
        .execute(&mut **transaction)
        .await?;
    }
    Ok(content.repositories.len() as u64)
}

/// Who has told what of which lane is kept for good.
async fn append(
    transaction: &mut Transaction,
    confirmation: &Confirmation,
    now: Timestamp,
) -> sqlx::Result<Option<AuditHead>> {
    let (bundle,): (Option<String>,) =
        sqlx::query_as("SELECT MAX(bundle) FROM exported WHERE pipeline = $1 AND sequence = $2")
            .bind(confirmation.pipeline.as_str())
            .bind(number(confirmation.sequence))
            .fetch_one(&mut **transaction)
            .await?;
    let author = Author {
        run: None,
        who: confirmation.who.clone(),
        comment: None,
        trigger: Trigger::Manual.as_str().to_owned(),
        pipeline: Some(confirmation.pipeline_name.clone()),
        container: None,
        target: None,
        bundle,
        inventory: confirmation.inventory.as_ref().map(ToString::to_string),
        sequence: Some(number(confirmation.sequence)).filter(|sequence| *sequence > 0),
    };
    let how = match (&confirmation.part, confirmation.basis) {
        (_, ReceiptBasis::Code) => "completely, by a code",
        (ConfirmedPart::All, _) => "completely, by a receipt",
        (ConfirmedPart::Only(_), _) => "in part, by a receipt",
        (ConfirmedPart::Found(_), _) => "as found at the target, by a receipt",
    };
    let entry = AuditEntry {
        source: Some(confirmation.source.clone()),
        target: Some(format!("lane {}", confirmation.lane)),
        reason: Some(how.to_owned()),
        ..AuditEntry::new(AuditKind::Confirmed)
    };
    append_as(transaction, &author, &[entry], now).await
}
