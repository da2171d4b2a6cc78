//! Work on objects of a container: offered once, claimed by one at a time, and recorded by whoever holds
//! the newest claim.
//!
//! A lease says until when a claimer may be taken for alive; the fence says whose outcome counts. A process
//! that slept through its lease finds its fence stale and changes nothing.

use jiff::{SignedDuration, Timestamp};

use super::dialect::{self, Transaction};
use super::id::RunId;
use super::ledger::{Ledger, count, millis, time};
use super::run::words;
use crate::content::{Error, ErrorKind, Result, escape_control};

words! {
    ClaimState {
        Waiting = "waiting",
        Claimed = "claimed",
        Done = "done",
        /// It failed for good; a person may bring it back.
        SetAside = "set aside",
    }
}

/// What the ledger knows of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub object: String,
    pub state: ClaimState,
    pub holder: Option<String>,
    pub lease_until: Timestamp,
    pub attempts: u64,
    pub next_try: Timestamp,
    pub offered: Timestamp,
    pub reason: Option<String>,
    pub run: Option<RunId>,
}

/// The right to work on an object, as long as the lease lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub object: String,
    pub fence: i64,
    /// How often it was claimed, this time included.
    pub attempts: u64,
    pub lease_until: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    New,
    Known(ClaimState),
}

type ClaimRow = (
    String,
    String,
    Option<String>,
    i64,
    i64,
    i64,
    i64,
    Option<String>,
    Option<String>,
);

const DOING: &str = "cannot record the work";

impl Ledger {
    /// Makes an object known as work. Offering it again changes nothing, whatever became of it.
    pub async fn offer(&self, object: &str, now: Timestamp) -> Result<Offered> {
        let inserted = sqlx::query(
            "INSERT INTO claim (object, state, next_try_ms, offered_ms) VALUES ($1, $2, $3, $3)
             ON CONFLICT (object) DO NOTHING",
        )
        .bind(object)
        .bind(ClaimState::Waiting.as_str())
        .bind(millis(now))
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        if inserted.rows_affected() == 1 {
            return Ok(Offered::New);
        }
        let known = self.find_claim(object).await?;
        // Only `forget_claim` removes rows, and a row that is gone again was not new either.
        Ok(Offered::Known(
            known.map_or(ClaimState::Done, |claim| claim.state),
        ))
    }

    /// Claims what is due, or abandoned, and was offered first.
    pub async fn claim_next(
        &self,
        holder: &str,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<Claimed>> {
        let lease_until = lease_end(now, lease);
        let row: Option<(String, i64, i64)> = sqlx::query_as(dialect::CLAIM_NEXT)
            .bind(holder)
            .bind(millis(lease_until))
            .bind(millis(now))
            .fetch_optional(self.pool())
            .await
            .map_err(self.failed("cannot claim work"))?;
        Ok(row.map(|(object, fence, attempts)| Claimed {
            object,
            fence,
            attempts: count(attempts),
            lease_until,
        }))
    }

    /// Claims this object, if it is due or abandoned.
    pub async fn claim_object(
        &self,
        object: &str,
        holder: &str,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<Claimed>> {
        let lease_until = lease_end(now, lease);
        let row: Option<(i64, i64)> = sqlx::query_as(
            "UPDATE claim
             SET state = 'claimed', holder = $1, lease_until_ms = $2, fence = fence + 1, attempts = attempts + 1
             WHERE object = $4 AND ((state = 'waiting' AND next_try_ms <= $3)
                OR (state = 'claimed' AND lease_until_ms <= $3))
             RETURNING fence, attempts",
        )
        .bind(holder)
        .bind(millis(lease_until))
        .bind(millis(now))
        .bind(object)
        .fetch_optional(self.pool())
        .await
        .map_err(self.failed("cannot claim work"))?;
        Ok(row.map(|(fence, attempts)| Claimed {
            object: object.to_owned(),
            fence,
            attempts: count(attempts),
            lease_until,
        }))
    }

    /// Prolongs the lease. An error says that somebody else has the work now.
    pub async fn renew(
        &self,
        claim: &mut Claimed,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<()> {
        let lease_until = lease_end(now, lease);
        let renewed = sqlx::query(
            "UPDATE claim SET lease_until_ms = $3 WHERE object = $1 AND fence = $2 AND state = 'claimed'",
        )
        .bind(&claim.object)
        .bind(claim.fence)
        .bind(millis(lease_until))
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Self::check_fence(renewed.rows_affected() == 1, claim)?;
        claim.lease_until = lease_until;
        Ok(())
    }

    /// Records that the work is done and which run did it. For what was delivered see
    /// [`record_delivery`](Self::record_delivery).
    pub async fn complete(&self, claim: &Claimed, run: &RunId) -> Result<()> {
        let completed = async {
            let mut transaction = self.begin().await?;
            let is_current = complete_claim(&mut transaction, claim, run).await?;
            transaction.commit().await?;
            Ok(is_current)
        };
        Self::check_fence(completed.await.map_err(self.failed(DOING))?, claim)
    }

    /// Gives the work back, to be claimed again after `until`.
    pub async fn postpone(&self, claim: &Claimed, until: Timestamp, reason: &str) -> Result<()> {
        self.leave(claim, ClaimState::Waiting, until, reason).await
    }

    /// Gives the work up, until a person says [`retry`](Self::retry).
    pub async fn set_aside(&self, claim: &Claimed, reason: &str) -> Result<()> {
        let until = claim.lease_until;
        self.leave(claim, ClaimState::SetAside, until, reason).await
    }

    async fn leave(
        &self,
        claim: &Claimed,
        state: ClaimState,
        until: Timestamp,
        reason: &str,
    ) -> Result<()> {
        let left = sqlx::query(
            "UPDATE claim SET state = $3, next_try_ms = $4, reason = $5, holder = NULL, lease_until_ms = 0
             WHERE object = $1 AND fence = $2 AND state = 'claimed'",
        )
        .bind(&claim.object)
        .bind(claim.fence)
        .bind(state.as_str())
        .bind(millis(until))
        .bind(escape_control(reason))
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Self::check_fence(left.rows_affected() == 1, claim)
    }

    /// Brings back what was set aside or waits for later, with its attempts counted anew. Says whether there
    /// was such work.
    pub async fn retry(&self, object: &str, now: Timestamp) -> Result<bool> {
        let revived = sqlx::query(
            "UPDATE claim SET state = 'waiting', next_try_ms = $2, attempts = 0
             WHERE object = $1 AND state IN ('set aside', 'waiting')",
        )
        .bind(object)
        .bind(millis(now))
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(revived.rows_affected() == 1)
    }

    /// Takes back an object that is not work any more, unless somebody works on it or has done so.
    pub async fn withdraw(&self, object: &str) -> Result<()> {
        sqlx::query("DELETE FROM claim WHERE object = $1 AND state IN ('set aside', 'waiting')")
            .bind(object)
            .execute(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        Ok(())
    }

    /// Gives back what processes that are gone had claimed. Only for whoever uses the ledger alone.
    pub(super) async fn release_abandoned_claims(&self) -> Result<()> {
        sqlx::query(
            "UPDATE claim SET state = 'waiting', lease_until_ms = 0 WHERE state = 'claimed'",
        )
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(())
    }

    /// Says what is still to happen about work that is done, or that nothing is.
    pub async fn annotate_done(&self, object: &str, note: Option<&str>) -> Result<()> {
        sqlx::query("UPDATE claim SET reason = $2 WHERE object = $1 AND state = 'done'")
            .bind(object)
            .bind(note)
            .execute(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        Ok(())
    }

    /// Forgets an object that is done and gone.
    pub async fn forget_claim(&self, object: &str) -> Result<()> {
        sqlx::query("DELETE FROM claim WHERE object = $1 AND state = 'done'")
            .bind(object)
            .execute(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        Ok(())
    }

    pub async fn find_claim(&self, object: &str) -> Result<Option<Claim>> {
        let row: Option<ClaimRow> = sqlx::query_as(
            "SELECT object, state, holder, lease_until_ms, attempts, next_try_ms, offered_ms, reason, run
             FROM claim WHERE object = $1",
        )
        .bind(object)
        .fetch_optional(self.pool())
        .await
        .map_err(self.failed("cannot read the work"))?;
        row.map(|row| self.claim_of(row)).transpose()
    }

    /// All objects that were ever offered, oldest first.
    pub async fn list_claims(&self) -> Result<Vec<Claim>> {
        let rows: Vec<ClaimRow> = sqlx::query_as(
            "SELECT object, state, holder, lease_until_ms, attempts, next_try_ms, offered_ms, reason, run
             FROM claim ORDER BY offered_ms, object",
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot list the work"))?;
        rows.into_iter().map(|row| self.claim_of(row)).collect()
    }

    fn claim_of(&self, row: ClaimRow) -> Result<Claim> {
        let (object, state, holder, lease_until, attempts, next_try, offered, reason, run) = row;
        Ok(Claim {
            object,
            state: ClaimState::parse(&state).ok_or_else(|| self.damaged("a claim"))?,
            holder,
            lease_until: time(lease_until),
            attempts: count(attempts),
            next_try: time(next_try),
            offered: time(offered),
            reason,
            run: run.map(RunId::from_ledger),
        })
    }

    pub(super) fn check_fence(is_current: bool, claim: &Claimed) -> Result<()> {
        if is_current {
            return Ok(());
        }
        let Claimed { object, fence, .. } = claim;
        Err(Error::new(
            ErrorKind::Changed,
            format!("claim {fence} of `{object}` is not the newest one, and can record nothing"),
        ))
    }
}

fn lease_end(now: Timestamp, lease: SignedDuration) -> Timestamp {
    now.checked_add(lease).unwrap_or(Timestamp::MAX)
}

/// Completes a claim within a larger transaction. Says whether it was the newest.
pub(super) async fn complete_claim(
    transaction: &mut Transaction,
    claim: &Claimed,
    run: &RunId,
) -> sqlx::Result<bool> {
    let completed = sqlx::query(
        "UPDATE claim SET state = 'done', run = $3, reason = NULL, holder = NULL, lease_until_ms = 0
         WHERE object = $1 AND fence = $2 AND state = 'claimed'",
    )
    .bind(&claim.object)
    .bind(claim.fence)
    .bind(run.as_str())
    .execute(&mut **transaction)
    .await?;
    Ok(completed.rows_affected() == 1)
}
