//! Readings of objects that have failed: since when this version could not be used.
//!
//! A single round of a watch cannot wait for an object to settle; the ledger remembers its first failure, so that
//! a later process knows how long the object has been left alone. One row for each object: another version of it
//! begins anew.

use jiff::Timestamp;

use super::ledger::{Ledger, millis, time};
use crate::content::{Result, Version};

const DOING: &str = "cannot record that an object could not be read";

impl Ledger {
    /// Notes that this version of an object could not be used, and says since when that is known.
    pub async fn note_failed_reading(
        &self,
        container: &str,
        object: &str,
        version: &Version,
        now: Timestamp,
    ) -> Result<Timestamp> {
        let (since,): (i64,) = sqlx::query_as(
            "INSERT INTO failed_reading (container, object, version, since_ms) VALUES ($1, $2, $3, $4)
             ON CONFLICT (container, object) DO UPDATE SET version = excluded.version,
                since_ms = CASE WHEN failed_reading.version = excluded.version
                    THEN failed_reading.since_ms ELSE excluded.since_ms END
             RETURNING since_ms",
        )
        .bind(container)
        .bind(object)
        .bind(version.as_str())
        .bind(millis(now))
        .fetch_one(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(time(since))
    }

    /// The objects of a container of which a reading has failed.
    pub async fn list_failed_readings(&self, container: &str) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT object FROM failed_reading WHERE container = $1 ORDER BY object",
        )
        .bind(container)
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read which objects could not be read"))?;
        Ok(rows.into_iter().map(|(object,)| object).collect())
    }

    /// The object is gone, or was used after all.
    pub async fn forget_failed_reading(&self, container: &str, object: &str) -> Result<()> {
        sqlx::query("DELETE FROM failed_reading WHERE container = $1 AND object = $2")
            .bind(container)
            .bind(object)
            .execute(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        Ok(())
    }
}
