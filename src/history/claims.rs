//! Work on objects of a container: offered once, claimed by one at a time, and recorded by whoever holds
//! the newest claim.
//!
//! A lease says until when a claimer may be taken for alive; the fence says whose outcome counts. A process
//! that slept through its lease finds its fence stale and changes nothing.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row as _;

use super::dialect::{self, Row, Transaction};
use super::id::RunId;
use super::ledger::{Ledger, count, millis, time};
use super::run::words;
use super::sequence::Decision;
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

/// What would have to change before work that was set aside can succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blame {
    /// A rule refuses it. Only a person brings it back.
    Rule,
    /// Its signatures do not count. They may when other keys are trusted.
    Trust,
    /// These versions of its objects are damaged. Another version may not be.
    Content { versions: Vec<String> },
}

impl Blame {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Trust => "trust",
            Self::Content { .. } => "content",
        }
    }

    fn versions(&self) -> Option<String> {
        match self {
            Self::Content { versions } => Some(versions.join("\n")),
            _ => None,
        }
    }

    fn parse(word: &str, versions: Option<&str>) -> Option<Self> {
        match word {
            "rule" => Some(Self::Rule),
            "trust" => Some(Self::Trust),
            "content" => Some(Self::Content {
                versions: versions
                    .unwrap_or_default()
                    .lines()
                    .map(str::to_owned)
                    .collect(),
            }),
            _ => None,
        }
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
    /// Of what was set aside.
    pub blame: Option<Blame>,
    /// What the bundle was to its lane, in the words of [`Decision`], once that was asked.
    pub decision: Option<String>,
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
            let is_current = complete_claim(&mut transaction, claim, run, None).await?;
            transaction.commit().await?;
            Ok(is_current)
        };
        Self::check_fence(completed.await.map_err(self.failed(DOING))?, claim)
    }

    /// Gives the work back, to be claimed again after `until`.
    pub async fn postpone(&self, claim: &Claimed, until: Timestamp, reason: &str) -> Result<()> {
        self.leave(claim, ClaimState::Waiting, until, reason, None)
            .await
    }

    /// Gives the work up, until [`retry`](Self::retry).
    pub async fn set_aside(&self, claim: &Claimed, reason: &str, blame: &Blame) -> Result<()> {
        let until = claim.lease_until;
        self.leave(claim, ClaimState::SetAside, until, reason, Some(blame))
            .await
    }

    /// Notes what the claimed bundle is to its lane.
    pub async fn note_decision(&self, claim: &Claimed, decision: &Decision) -> Result<()> {
        let noted = sqlx::query(
            "UPDATE claim SET decision = $3 WHERE object = $1 AND fence = $2 AND state = 'claimed'",
        )
        .bind(&claim.object)
        .bind(claim.fence)
        .bind(decision.as_str())
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Self::check_fence(noted.rows_affected() == 1, claim)
    }

    async fn leave(
        &self,
        claim: &Claimed,
        state: ClaimState,
        until: Timestamp,
        reason: &str,
        blame: Option<&Blame>,
    ) -> Result<()> {
        let left = sqlx::query(
            "UPDATE claim SET state = $3, next_try_ms = $4, reason = $5, blame = $6, versions = $7,
                holder = NULL, lease_until_ms = 0
             WHERE object = $1 AND fence = $2 AND state = 'claimed'",
        )
        .bind(&claim.object)
        .bind(claim.fence)
        .bind(state.as_str())
        .bind(millis(until))
        .bind(escape_control(reason))
        .bind(blame.map(Blame::as_str))
        .bind(blame.and_then(Blame::versions))
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Self::check_fence(left.rows_affected() == 1, claim)
    }

    /// Brings back what was set aside or waits for later, with its attempts counted anew. Says whether there
    /// was such work.
    pub async fn retry(&self, object: &str, now: Timestamp) -> Result<bool> {
        let revived = sqlx::query(
            "UPDATE claim SET state = 'waiting', next_try_ms = $2, attempts = 0, blame = NULL, versions = NULL
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
        let row = sqlx::query("SELECT * FROM claim WHERE object = $1")
            .bind(object)
            .fetch_optional(self.pool())
            .await
            .map_err(self.failed("cannot read the work"))?;
        row.map(|row| self.claim_of(&row)).transpose()
    }

    /// All objects that were ever offered, oldest first.
    pub async fn list_claims(&self) -> Result<Vec<Claim>> {
        let rows = sqlx::query("SELECT * FROM claim ORDER BY offered_ms, object")
            .fetch_all(self.pool())
            .await
            .map_err(self.failed("cannot list the work"))?;
        rows.iter().map(|row| self.claim_of(row)).collect()
    }

    fn claim_of(&self, row: &Row) -> Result<Claim> {
        let read = || -> sqlx::Result<Option<Claim>> {
            let Some(state) = ClaimState::parse(row.try_get("state")?) else {
                return Ok(None);
            };
            let blame: Option<&str> = row.try_get("blame")?;
            let versions: Option<&str> = row.try_get("versions")?;
            let run: Option<String> = row.try_get("run")?;
            Ok(Some(Claim {
                object: row.try_get("object")?,
                state,
                holder: row.try_get("holder")?,
                lease_until: time(row.try_get("lease_until_ms")?),
                attempts: count(row.try_get("attempts")?),
                next_try: time(row.try_get("next_try_ms")?),
                offered: time(row.try_get("offered_ms")?),
                reason: row.try_get("reason")?,
                run: run.map(RunId::from_ledger),
                blame: blame.and_then(|word| Blame::parse(word, versions)),
                decision: row.try_get("decision")?,
            }))
        };
        let claim = read().map_err(self.failed("cannot read the work"))?;
        claim.ok_or_else(|| self.damaged("a claim"))
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

/// Completes a claim within a larger transaction, with what a person should know. Says whether it was the newest.
pub(super) async fn complete_claim(
    transaction: &mut Transaction,
    claim: &Claimed,
    run: &RunId,
    note: Option<&str>,
) -> sqlx::Result<bool> {
    let completed = sqlx::query(
        "UPDATE claim SET state = 'done', run = $3, reason = $4, blame = NULL, versions = NULL,
            holder = NULL, lease_until_ms = 0
         WHERE object = $1 AND fence = $2 AND state = 'claimed'",
    )
    .bind(&claim.object)
    .bind(claim.fence)
    .bind(run.as_str())
    .bind(note.map(escape_control))
    .execute(&mut **transaction)
    .await?;
    Ok(completed.rows_affected() == 1)
}
