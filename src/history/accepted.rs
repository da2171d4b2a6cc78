//! What was accepted, lane by lane, and which sequence has set which tag last.

use jiff::Timestamp;

use super::claims::{Claimed, complete_claim};
use super::dialect::Transaction;
use super::id::RunId;
use super::lanes::{Answer, record_answer};
use super::ledger::{Ledger, count, millis, number};
use super::run::RunOutcome;
use super::runs::end_run;
use super::sequence::{Lane, Link};
use crate::content::Result;

/// A bundle of a pipeline that was delivered, wholly or in part.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub lane: Lane,
    pub link: Link,
    /// References at the target, `REPOSITORY:TAG`, that it has set or removed.
    pub tags: Vec<String>,
    /// Repositories of the target that it has brought something to.
    pub repositories: Vec<String>,
    /// Whether all of it is at the target. What was delivered in part is delivered again.
    pub is_complete: bool,
    /// What is to be answered to it.
    pub answer: Option<Answer>,
}

/// The end of a run that delivers: all of it is one transaction.
pub struct DeliveryRecord<'a> {
    pub run: &'a RunId,
    pub outcome: &'a RunOutcome,
    /// `None` for a bundle without a pipeline.
    pub delivery: Option<&'a Delivery>,
    /// The work that this was, where it was claimed. A stale one lets nothing of this be recorded.
    pub claim: Option<&'a Claimed>,
    pub now: Timestamp,
}

impl Ledger {
    /// What the lane has accepted, lowest sequence first.
    pub async fn list_accepted(&self, lane: &Lane) -> Result<Vec<Link>> {
        let rows: Vec<(i64, String, Option<String>)> = sqlx::query_as(
            "SELECT sequence, inventory, previous FROM accepted
             WHERE pipeline = $1 AND lane = $2 AND target = $3 ORDER BY sequence",
        )
        .bind(lane.pipeline.as_str())
        .bind(&lane.name)
        .bind(&lane.target)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read what was accepted"))?;
        rows.into_iter()
            .map(|(sequence, inventory, previous)| {
                let parse = |text: &str| text.parse().map_err(|_| self.damaged("a digest"));
                Ok(Link {
                    sequence: count(sequence),
                    inventory: parse(&inventory)?,
                    previous: previous.as_deref().map(parse).transpose()?,
                })
            })
            .collect()
    }

    /// References that a sequence above `sequence` has set or removed: a bundle of it leaves them alone.
    pub async fn list_newer_tags(&self, lane: &Lane, sequence: u64) -> Result<Vec<(String, u64)>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT reference, sequence FROM tag_set
             WHERE pipeline = $1 AND lane = $2 AND target = $3 AND sequence > $4 ORDER BY reference",
        )
        .bind(lane.pipeline.as_str())
        .bind(&lane.name)
        .bind(&lane.target)
        .bind(number(sequence))
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read which tags were set"))?;
        let newer = |(reference, sequence)| (reference, count(sequence));
        Ok(rows.into_iter().map(newer).collect())
    }

    /// Repositories of the target that the lane has brought something to.
    pub async fn list_filled(&self, lane: &Lane) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT repository FROM filled WHERE pipeline = $1 AND lane = $2 AND target = $3
             ORDER BY repository",
        )
        .bind(lane.pipeline.as_str())
        .bind(&lane.name)
        .bind(&lane.target)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read which repositories were filled"))?;
        Ok(rows.into_iter().map(|(repository,)| repository).collect())
    }

    /// Records a delivery: what was accepted, its tags, the run's end and the claim's, together or not at all.
    pub async fn record_delivery(&self, record: DeliveryRecord<'_>) -> Result<()> {
        const DOING: &str = "cannot record what was delivered";
        let mut transaction = self.begin().await.map_err(self.failed(DOING))?;
        if let Some(claim) = record.claim {
            let note = record.outcome.reason.as_deref();
            let done = complete_claim(&mut transaction, claim, record.run, note).await;
            Self::check_fence(done.map_err(self.failed(DOING))?, claim)?;
        }
        let recorded = async {
            if let Some(delivery) = record.delivery {
                accept(&mut transaction, delivery, record.run, record.now).await?;
            }
            let head = end_run(&mut transaction, record.run, record.outcome, record.now).await?;
            transaction.commit().await?;
            Ok(head)
        };
        let head = recorded.await.map_err(self.failed(DOING))?;
        self.note_head(head).await;
        Ok(())
    }
}

async fn accept(
    transaction: &mut Transaction,
    delivery: &Delivery,
    run: &RunId,
    now: Timestamp,
) -> sqlx::Result<()> {
    let Delivery { lane, link, .. } = delivery;
    if delivery.is_complete {
        sqlx::query(
            "INSERT INTO accepted (pipeline, lane, target, sequence, inventory, previous, accepted_ms, run)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (pipeline, lane, target, sequence) DO NOTHING",
        )
        .bind(lane.pipeline.as_str())
        .bind(&lane.name)
        .bind(&lane.target)
        .bind(number(link.sequence))
        .bind(link.inventory.to_string())
        .bind(link.previous.as_ref().map(ToString::to_string))
        .bind(millis(now))
        .bind(run.as_str())
        .execute(&mut **transaction)
        .await?;
    }
    for repository in &delivery.repositories {
        sqlx::query(
            "INSERT INTO filled (pipeline, lane, target, repository) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(lane.pipeline.as_str())
        .bind(&lane.name)
        .bind(&lane.target)
        .bind(repository)
        .execute(&mut **transaction)
        .await?;
    }
    if let Some(answer) = &delivery.answer {
        record_answer(transaction, (lane, link), answer).await?;
    }
    for tag in &delivery.tags {
        sqlx::query(
            "INSERT INTO tag_set (pipeline, lane, target, reference, sequence) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (pipeline, lane, target, reference)
             DO UPDATE SET sequence = excluded.sequence WHERE excluded.sequence > tag_set.sequence",
        )
        .bind(lane.pipeline.as_str())
        .bind(&lane.name)
        .bind(&lane.target)
        .bind(tag)
        .bind(number(link.sequence))
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}
