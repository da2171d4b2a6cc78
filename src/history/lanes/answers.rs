//! The importer's side: what it has to answer to the bundles that it took.
//!
//! An answer is recorded in the transaction that records the delivery, and its document is kept until somebody has
//! signed and sent it; so a process that is killed in between owes it, and whoever opens the directory next can send
//! it. The document is of another room and stands here as bytes.

use jiff::Timestamp;

use crate::content::Result;
use crate::history::dialect::Transaction;
use crate::history::ledger::{Ledger, count, millis, number, time};
use crate::history::sequence::{Lane, Link};
use crate::oci::Digest;

/// What is answered to a bundle that was delivered, wholly or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The name that the bundle gives its pipeline.
    pub pipeline: String,
    /// Later than that of the lane's answer before.
    pub created: Timestamp,
    /// Whether everything that the bundle brings or counts on is at the target.
    pub is_complete: bool,
    /// The receipt, to be signed, and its digest; `None` where nobody is to be sent one.
    pub document: Option<(Vec<u8>, Digest)>,
}

/// A receipt that was not sent yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsentAnswer {
    pub lane: Lane,
    pub pipeline: String,
    pub sequence: u64,
    pub created: Timestamp,
    pub document: Vec<u8>,
}

/// A bundle that a lane took completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteAnswer {
    pub lane: Lane,
    pub pipeline: String,
    pub sequence: u64,
    pub inventory: Digest,
}

#[derive(sqlx::FromRow)]
struct AnswerRow {
    pipeline: String,
    lane: String,
    target: String,
    pipeline_name: String,
    sequence: i64,
    created_ms: i64,
    document: Vec<u8>,
}

pub(in crate::history) async fn record_answer(
    transaction: &mut Transaction,
    (lane, link): (&Lane, &Link),
    answer: &Answer,
) -> sqlx::Result<()> {
    let (document, digest) = answer.document.clone().unzip();
    sqlx::query(
        "INSERT INTO answer (pipeline, lane, target, created_ms, pipeline_name, sequence, inventory, is_complete,
            digest, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(lane.pipeline.as_str())
    .bind(&lane.name)
    .bind(&lane.target)
    .bind(millis(answer.created))
    .bind(&answer.pipeline)
    .bind(number(link.sequence))
    .bind(link.inventory.to_string())
    .bind(answer.is_complete)
    .bind(digest.as_ref().map(ToString::to_string))
    .bind(document)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

impl Ledger {
    /// When the lane's newest answer was made.
    pub async fn find_newest_answer(&self, lane: &Lane) -> Result<Option<Timestamp>> {
        let (newest,): (Option<i64>,) = sqlx::query_as(
            "SELECT MAX(created_ms) FROM answer WHERE pipeline = $1 AND lane = $2 AND target = $3",
        )
        .bind(lane.pipeline.as_str())
        .bind(&lane.name)
        .bind(&lane.target)
        .fetch_one(self.pool())
        .await
        .map_err(self.failed("cannot read what was answered"))?;
        Ok(newest.map(time))
    }

    /// The digest of the lane's newest receipt.
    pub async fn find_newest_receipt(&self, lane: &Lane) -> Result<Option<Digest>> {
        let newest: Option<(String,)> = sqlx::query_as(
            "SELECT digest FROM answer
             WHERE pipeline = $1 AND lane = $2 AND target = $3 AND digest IS NOT NULL
             ORDER BY created_ms DESC LIMIT 1",
        )
        .bind(lane.pipeline.as_str())
        .bind(&lane.name)
        .bind(&lane.target)
        .fetch_optional(self.pool())
        .await
        .map_err(self.failed("cannot read what was answered"))?;
        let parse = |(digest,): (String,)| digest.parse().map_err(|_| self.damaged("a digest"));
        newest.map(parse).transpose()
    }

    /// Receipts of a lane name and target that nobody has sent, oldest first.
    pub async fn list_unsent_answers(&self, lane: &str, target: &str) -> Result<Vec<UnsentAnswer>> {
        let rows: Vec<AnswerRow> = sqlx::query_as(
            "SELECT * FROM answer WHERE lane = $1 AND target = $2 AND document IS NOT NULL ORDER BY created_ms",
        )
        .bind(lane)
        .bind(target)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read what is to be answered"))?;
        let unsent = rows.into_iter().map(|row| {
            let pipeline = row.pipeline.parse();
            Ok(UnsentAnswer {
                lane: Lane {
                    pipeline: pipeline.map_err(|_| self.damaged("a pipeline id"))?,
                    name: row.lane,
                    target: row.target,
                },
                pipeline: row.pipeline_name,
                sequence: count(row.sequence),
                created: time(row.created_ms),
                document: row.document,
            })
        });
        unsent.collect()
    }

    /// The receipt is where it was to go: its document is not needed any more.
    pub async fn note_sent_answer(&self, answer: &UnsentAnswer) -> Result<()> {
        sqlx::query(
            "UPDATE answer SET document = NULL
             WHERE pipeline = $1 AND lane = $2 AND target = $3 AND created_ms = $4",
        )
        .bind(answer.lane.pipeline.as_str())
        .bind(&answer.lane.name)
        .bind(&answer.lane.target)
        .bind(millis(answer.created))
        .execute(self.pool())
        .await
        .map_err(self.failed("cannot record that a receipt was sent"))?;
        Ok(())
    }

    /// Bundles that lanes here took completely, of the pipeline with this name or id; the newest first.
    pub async fn list_complete_answers(&self, pipeline: &str) -> Result<Vec<CompleteAnswer>> {
        let rows: Vec<(String, String, String, String, i64, String)> = sqlx::query_as(
            "SELECT pipeline, lane, target, pipeline_name, sequence, inventory FROM answer
             WHERE is_complete AND (pipeline_name = $1 OR pipeline = $1)
             ORDER BY sequence DESC, created_ms DESC",
        )
        .bind(pipeline)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read what was answered"))?;
        let complete = rows
            .into_iter()
            .map(|(id, lane, target, name, sequence, inventory)| {
                Ok(CompleteAnswer {
                    lane: Lane {
                        pipeline: id.parse().map_err(|_| self.damaged("a pipeline id"))?,
                        name: lane,
                        target,
                    },
                    pipeline: name,
                    sequence: count(sequence),
                    inventory: inventory.parse().map_err(|_| self.damaged("a digest"))?,
                })
            });
        complete.collect()
    }
}
