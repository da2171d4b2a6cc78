//! Pipelines that this state directory exports: their ids, and which sequence is whose.
//!
//! A bundle is signed with the number after the newest one, and the number is reserved when the bundle is
//! whole and not yet visible; whoever finds it taken then publishes nothing. So a run that fails earlier leaves no
//! gap, and one that is killed later leaves a bundle to be finished, or a gap, and never a fork.

use jiff::Timestamp;

use super::id::{PipelineId, RunId};
use super::lanes::{Payload, record_payload};
use super::ledger::{Ledger, count, millis, number};
use crate::content::{Error, ErrorKind, Result};
use crate::oci::Digest;

/// The newest bundle of an exported pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedBundle {
    pub sequence: u64,
    pub set: String,
    /// Of the last volume.
    pub inventory: Digest,
    pub bundle: String,
    /// The container that it was written for, as uploads are known by it; `None` in rows from before that was kept.
    pub container: Option<String>,
    /// Whether it was to take the place of objects of its names.
    pub may_replace: bool,
    /// Whether its publication was seen to its end.
    pub is_published: bool,
}

#[derive(sqlx::FromRow)]
struct ExportedRow {
    sequence: i64,
    set_id: String,
    inventory: String,
    bundle: String,
    container: Option<String>,
    may_replace: bool,
    published_ms: Option<i64>,
}

/// What the ledger knows of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedPipeline {
    pub id: PipelineId,
    pub newest: Option<ExportedBundle>,
}

/// A bundle's place in a pipeline that is being exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPosition {
    pub pipeline: PipelineId,
    pub name: String,
    pub sequence: u64,
    pub previous: Option<Digest>,
}

impl Ledger {
    pub async fn find_pipeline(&self, name: &str) -> Result<Option<ExportedPipeline>> {
        let doing = self.failed("cannot read the pipeline");
        let id: Option<(String,)> = sqlx::query_as("SELECT id FROM pipeline WHERE name = $1")
            .bind(name)
            .fetch_optional(self.pool())
            .await
            .map_err(&doing)?;
        let Some((id,)) = id else {
            return Ok(None);
        };
        let id = id.parse().map_err(|_| self.damaged("a pipeline id"))?;
        let newest = self.list_exported(&id, 1).await?.pop();
        Ok(Some(ExportedPipeline { id, newest }))
    }

    /// The bundles of a pipeline, newest first, at most `limit`.
    pub async fn list_exported(
        &self,
        pipeline: &PipelineId,
        limit: u32,
    ) -> Result<Vec<ExportedBundle>> {
        let rows: Vec<ExportedRow> = sqlx::query_as(
            "SELECT * FROM exported WHERE pipeline = $1 ORDER BY sequence DESC LIMIT $2",
        )
        .bind(pipeline.as_str())
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read the pipeline"))?;
        rows.into_iter().map(|row| self.bundle_of(row)).collect()
    }

    /// The bundles of a pipeline whose publication nobody has seen to its end or given up, oldest first.
    pub async fn list_unfinished(&self, pipeline: &PipelineId) -> Result<Vec<ExportedBundle>> {
        let rows: Vec<ExportedRow> = sqlx::query_as(
            "SELECT * FROM exported
             WHERE pipeline = $1 AND published_ms IS NULL AND given_up_ms IS NULL ORDER BY sequence",
        )
        .bind(pipeline.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read the pipeline"))?;
        rows.into_iter().map(|row| self.bundle_of(row)).collect()
    }

    fn bundle_of(&self, row: ExportedRow) -> Result<ExportedBundle> {
        let inventory = row.inventory.parse();
        Ok(ExportedBundle {
            sequence: count(row.sequence),
            set: row.set_id,
            inventory: inventory.map_err(|_| self.damaged("a digest"))?,
            bundle: row.bundle,
            container: row.container,
            may_replace: row.may_replace,
            is_published: row.published_ms.is_some(),
        })
    }

    /// Remembers the id that a pipeline's bundles will have, so that a run that goes on with an interrupted one
    /// writes the same bytes. What has a bundle keeps its id.
    pub async fn remember_pipeline(&self, position: &ExportPosition, now: Timestamp) -> Result<()> {
        sqlx::query(
            "INSERT INTO pipeline (id, name, created_ms) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET id = excluded.id
             WHERE NOT EXISTS (SELECT 1 FROM exported WHERE exported.pipeline = pipeline.id)",
        )
        .bind(position.pipeline.as_str())
        .bind(&position.name)
        .bind(millis(now))
        .execute(self.pool())
        .await
        .map_err(self.failed("cannot record the pipeline"))?;
        Ok(())
    }

    /// Records that `position` is about to become visible as the bundle, and what that brings. Two exports that want the same
    /// number with different content cannot both have it.
    pub async fn reserve_sequence(
        &self,
        position: &ExportPosition,
        (bundle, payload): (&ExportedBundle, &Payload),
        run: &RunId,
        now: Timestamp,
    ) -> Result<()> {
        let reserved = async {
            let mut transaction = self.begin().await?;
            sqlx::query(
                "INSERT INTO pipeline (id, name, created_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(position.pipeline.as_str())
            .bind(&position.name)
            .bind(millis(now))
            .execute(&mut *transaction)
            .await?;
            let inserted = sqlx::query(
                "INSERT INTO exported (pipeline, sequence, set_id, inventory, bundle, run, reserved_ms,
                    container, may_replace)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $9, $10
                 WHERE EXISTS (SELECT 1 FROM pipeline WHERE id = $1 AND name = $8)
                   AND NOT EXISTS (SELECT 1 FROM exported WHERE pipeline = $1 AND sequence >= $2)",
            )
            .bind(position.pipeline.as_str())
            .bind(number(position.sequence))
            .bind(&bundle.set)
            .bind(bundle.inventory.to_string())
            .bind(&bundle.bundle)
            .bind(run.as_str())
            .bind(millis(now))
            .bind(&position.name)
            .bind(&bundle.container)
            .bind(bundle.may_replace)
            .execute(&mut *transaction)
            .await?;
            let is_ours = inserted.rows_affected() == 1;
            if is_ours {
                let at = (&position.pipeline, position.sequence);
                record_payload(&mut transaction, at, payload).await?;
            }
            transaction.commit().await?;
            Ok(is_ours)
        };
        if reserved
            .await
            .map_err(self.failed("cannot reserve the sequence"))?
        {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Changed,
            format!(
                "another export of the pipeline `{}` has taken the sequence {} or a higher one meanwhile",
                position.name, position.sequence
            ),
        ))
    }

    /// Records that the bundle is visible.
    pub async fn confirm_sequence(
        &self,
        pipeline: &PipelineId,
        sequence: u64,
        now: Timestamp,
    ) -> Result<()> {
        self.settle_sequence(PUBLISHED, (pipeline, sequence), now)
            .await
    }

    /// Records that nothing will come of the bundle: its number stays as it is.
    pub async fn give_up_sequence(
        &self,
        pipeline: &PipelineId,
        sequence: u64,
        now: Timestamp,
    ) -> Result<()> {
        self.settle_sequence(GIVEN_UP, (pipeline, sequence), now)
            .await
    }

    async fn settle_sequence(
        &self,
        statement: &'static str,
        (pipeline, sequence): (&PipelineId, u64),
        now: Timestamp,
    ) -> Result<()> {
        sqlx::query(statement)
            .bind(pipeline.as_str())
            .bind(number(sequence))
            .bind(millis(now))
            .execute(self.pool())
            .await
            .map_err(self.failed("cannot record the export"))?;
        Ok(())
    }
}

/// What is visible stays so, whatever is said of it later.
const PUBLISHED: &str = "UPDATE exported SET published_ms = $3
    WHERE pipeline = $1 AND sequence = $2 AND published_ms IS NULL";
const GIVEN_UP: &str = "UPDATE exported SET given_up_ms = $3
    WHERE pipeline = $1 AND sequence = $2 AND published_ms IS NULL";
