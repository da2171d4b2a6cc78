//! The bundles that a run has carried, where it may be several: their names, and what their inventories are known by.

use sqlx::Row;

use super::dialect::Transaction;
use super::id::RunId;
use super::ledger::{Ledger, count, number};
use crate::content::Result;
use crate::oci::Digest;

/// A bundle that a transfer has brought over, or found at its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunBundle {
    /// Its signed name.
    pub name: String,
    pub pipeline: Option<String>,
    pub sequence: Option<u64>,
    /// Of the volume that lists the artifacts; `None` where that volume was not there.
    pub inventory: Option<Digest>,
}

impl Ledger {
    /// What a run has carried, in its order.
    pub async fn list_bundles(&self, id: &RunId) -> Result<Vec<RunBundle>> {
        const DOING: &str = "cannot read the run";
        let rows = sqlx::query("SELECT * FROM run_bundle WHERE run = $1 ORDER BY position")
            .bind(id.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        let read = rows.iter().map(|row| {
            let inventory: Option<String> = row.try_get("inventory")?;
            Ok(RunBundle {
                name: row.try_get("bundle")?,
                pipeline: row.try_get("pipeline")?,
                sequence: row.try_get::<Option<i64>, _>("sequence")?.map(count),
                inventory: inventory.and_then(|digest| digest.parse().ok()),
            })
        });
        let read: sqlx::Result<Vec<RunBundle>> = read.collect();
        read.map_err(self.failed(DOING))
    }
}

pub(super) async fn insert_bundles(
    transaction: &mut Transaction,
    id: &RunId,
    bundles: &[RunBundle],
) -> sqlx::Result<()> {
    for (position, bundle) in (0_i64..).zip(bundles) {
        sqlx::query(
            "INSERT INTO run_bundle (run, position, bundle, pipeline, sequence, inventory)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (run, position) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(position)
        .bind(&bundle.name)
        .bind(&bundle.pipeline)
        .bind(bundle.sequence.map(number))
        .bind(bundle.inventory.as_ref().map(ToString::to_string))
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}
