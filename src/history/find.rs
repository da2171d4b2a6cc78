//! Runs that are looked for: by what they are, by the start of an id, with what is known of each.

use super::id::RunId;
use super::ledger::{Ledger, count};
use super::run::{RepositoryCounts, Run, RunFailure, RunKind, RunStatus};
use super::runs::counts_of;
use crate::content::Result;
use sqlx::Row;

/// Which runs are meant; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub pipeline: Option<String>,
    pub status: Option<RunStatus>,
    pub kind: Option<RunKind>,
}

/// The newest of the runs that were looked for, and how many there are in all.
#[derive(Clone, Debug)]
pub struct FoundRuns {
    pub runs: Vec<Run>,
    pub total: u64,
}

/// Conditions of a [`RunFilter`], as its values are bound by `find_runs`.
const MATCHES: &str = "($1 IS NULL OR pipeline = $1 OR configured = $1 OR configured IN ('export.' || $1,
    'transfer.' || $1, 'import.' || $1, 'promotion.' || $1)) AND ($2 IS NULL OR status = $2) AND ($3 IS NULL OR kind = $3)";
/// Runs that are named where the start of an id fits several.
const AMBIGUOUS_MAX: i64 = 10;

impl Ledger {
    /// The newest runs first, at most `limit`.
    pub async fn list_runs(&self, limit: u32) -> Result<Vec<Run>> {
        let found = self.find_runs(&RunFilter::default(), limit).await?;
        Ok(found.runs)
    }

    /// The newest runs that are meant, and how many there are beyond `limit`.
    pub async fn find_runs(&self, filter: &RunFilter, limit: u32) -> Result<FoundRuns> {
        const DOING: &str = "cannot list the runs";
        let status = filter.status.map(RunStatus::as_str);
        let kind = filter.kind.map(RunKind::as_str);
        let text = format!("SELECT * FROM run WHERE {MATCHES} ORDER BY id DESC LIMIT $4");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(&filter.pipeline)
            .bind(status)
            .bind(kind)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        let text = format!("SELECT COUNT(*) FROM run WHERE {MATCHES}");
        let (total,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(text))
            .bind(&filter.pipeline)
            .bind(status)
            .bind(kind)
            .fetch_one(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        let runs: Result<Vec<Run>> = rows.iter().map(|row| self.run_of(row)).collect();
        Ok(FoundRuns {
            runs: runs?,
            total: count(total),
        })
    }

    pub async fn find_run(&self, id: &RunId) -> Result<Option<Run>> {
        let row = sqlx::query("SELECT * FROM run WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(self.failed("cannot read the run"))?;
        row.map(|row| self.run_of(&row)).transpose()
    }

    /// Runs whose ids begin with `start`, newest first; not more than a person wants to read.
    pub async fn find_runs_by_start(&self, start: &str) -> Result<Vec<Run>> {
        // Ids are hex digits, and all of them sort before a `g`.
        let rows =
            sqlx::query("SELECT * FROM run WHERE id >= $1 AND id < $2 ORDER BY id DESC LIMIT $3")
                .bind(start)
                .bind(format!("{start}g"))
                .bind(AMBIGUOUS_MAX)
                .fetch_all(self.pool())
                .await
                .map_err(self.failed("cannot read the run"))?;
        rows.iter().map(|row| self.run_of(row)).collect()
    }

    /// What a run could not move, in the order in which it was told.
    pub async fn list_failures(&self, id: &RunId) -> Result<Vec<RunFailure>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT artifact, reason FROM run_failure WHERE run = $1 ORDER BY position",
        )
        .bind(id.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed("cannot read the run"))?;
        let failure = |(artifact, reason)| RunFailure { artifact, reason };
        Ok(rows.into_iter().map(failure).collect())
    }

    /// A run's artifacts by repository.
    pub async fn list_repositories(&self, id: &RunId) -> Result<Vec<RepositoryCounts>> {
        const DOING: &str = "cannot read the run";
        let rows = sqlx::query("SELECT * FROM run_repository WHERE run = $1 ORDER BY repository")
            .bind(id.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        let read = rows.iter().map(|row| {
            Ok(RepositoryCounts {
                repository: row.try_get("repository")?,
                artifacts: counts_of(row)?,
            })
        });
        let read: sqlx::Result<Vec<RepositoryCounts>> = read.collect();
        read.map_err(self.failed(DOING))
    }
}
