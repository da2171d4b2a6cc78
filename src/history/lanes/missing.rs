//! What a lane reports missing: it is not thought to be there until a later bundle brings it.

use jiff::Timestamp;

use crate::content::Result;
use crate::history::id::PipelineId;
use crate::history::ledger::{Ledger, millis};
use crate::oci::Digest;

impl Ledger {
    /// Takes digests out of what a lane is thought to have: only bundles from now on bring them back. Says how many of
    /// them were confirmed.
    pub async fn mark_missing(
        &self,
        (pipeline, lane): (&PipelineId, &str),
        digests: &[Digest],
        now: Timestamp,
    ) -> Result<u64> {
        let marked = async {
            let mut transaction = self.begin().await?;
            let (newest,): (Option<i64>,) =
                sqlx::query_as("SELECT MAX(sequence) FROM exported WHERE pipeline = $1")
                    .bind(pipeline.as_str())
                    .fetch_one(&mut *transaction)
                    .await?;
            let mut removed = 0;
            for digest in digests {
                sqlx::query(
                    "INSERT INTO missing (pipeline, lane, digest, after_sequence, reported_ms)
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (pipeline, lane, digest) DO UPDATE
                     SET after_sequence = excluded.after_sequence, reported_ms = excluded.reported_ms",
                )
                .bind(pipeline.as_str())
                .bind(lane)
                .bind(digest.to_string())
                .bind(newest.unwrap_or(0))
                .bind(millis(now))
                .execute(&mut *transaction)
                .await?;
                let deleted = sqlx::query(
                    "DELETE FROM confirmed WHERE pipeline = $1 AND lane = $2 AND digest = $3",
                )
                .bind(pipeline.as_str())
                .bind(lane)
                .bind(digest.to_string())
                .execute(&mut *transaction)
                .await?;
                removed += u64::from(deleted.rows_affected() > 0);
            }
            transaction.commit().await?;
            Ok(removed)
        };
        marked
            .await
            .map_err(self.failed("cannot record what is missing"))
    }
}
