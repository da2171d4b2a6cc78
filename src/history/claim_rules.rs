//! The rule by which a bundle was taken up, so that another rule can make it due again.
//!
//! What a rule is, is decided by whoever claims; here it is a digest.
//!
//! **Invariant.** What is done becomes due again once for each change, whoever asks and however many do.

use jiff::Timestamp;

use super::claims::Claimed;
use super::ledger::{Ledger, millis};
use crate::content::Result;
use crate::oci::Digest;

const DOING: &str = "cannot record the work";

impl Ledger {
    /// Notes the rule by which the claimed work is done.
    pub async fn note_rule(&self, claim: &Claimed, rule: &Digest) -> Result<()> {
        let noted = sqlx::query(
            "UPDATE claim SET rule = $3 WHERE object = $1 AND fence = $2 AND state = 'claimed'",
        )
        .bind(&claim.object)
        .bind(claim.fence)
        .bind(rule.to_string())
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Self::check_fence(noted.rows_affected() == 1, claim)
    }

    /// Makes work due again that was done by another rule, or by one that nobody has noted. Says whether it was.
    pub async fn reopen_done(&self, object: &str, rule: &Digest, now: Timestamp) -> Result<bool> {
        let reopened = sqlx::query(
            "UPDATE claim SET state = 'waiting', next_try_ms = $3, attempts = 0
             WHERE object = $1 AND state = 'done' AND (rule IS NULL OR rule <> $2)",
        )
        .bind(object)
        .bind(rule.to_string())
        .bind(millis(now))
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(reopened.rows_affected() == 1)
    }
}
