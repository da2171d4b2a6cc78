//! The log and the progress of runs, as rows: written in pages, read in order.

use sqlx::Row;

use super::dialect::Transaction;
use super::id::RunId;
use super::journal::{LogEvent, LogLine, Page};
use super::ledger::{Ledger, count, millis, number, time};
use super::run::{RunPhase, RunProgress, RunStatus};
use crate::content::Result;

impl Ledger {
    /// Writes what a run has told since the page before, in one transaction.
    pub(super) async fn write_page(&self, id: &RunId, page: &Page) -> Result<()> {
        let written = async {
            let mut transaction = self.begin().await?;
            for (position, line) in &page.lines {
                insert_line(&mut transaction, id, number(*position), line).await?;
            }
            if let Some(progress) = &page.progress {
                update_progress(&mut transaction, id, progress).await?;
            }
            sqlx::query("UPDATE run SET moved_bytes = $2 WHERE id = $1 AND status = $3")
                .bind(id.as_str())
                .bind(number(page.moved_bytes))
                .bind(RunStatus::Running.as_str())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        };
        written
            .await
            .map_err(self.failed("cannot record the progress"))
    }

    /// What a run has told, in its order.
    pub async fn list_log(&self, id: &RunId) -> Result<Vec<LogLine>> {
        const DOING: &str = "cannot read the log of the run";
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT time_ms, event, text FROM run_log WHERE run = $1 ORDER BY position",
        )
        .bind(id.as_str())
        .fetch_all(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        let line = |(millis, event, text): (i64, String, String)| {
            Ok(LogLine {
                time: time(millis),
                event: LogEvent::parse(&event).ok_or_else(|| self.damaged("a line of a log"))?,
                text,
            })
        };
        rows.into_iter().map(line).collect()
    }

    /// How far a run has come, where it has got as far as a plan.
    pub async fn find_progress(&self, id: &RunId) -> Result<Option<RunProgress>> {
        const DOING: &str = "cannot read the progress of the run";
        let row = sqlx::query("SELECT * FROM run_progress WHERE run = $1")
            .bind(id.as_str())
            .fetch_optional(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        let Some(row) = row else {
            return Ok(None);
        };
        let read = || -> sqlx::Result<Option<RunProgress>> {
            let Some(phase) = RunPhase::parse(row.try_get("phase")?) else {
                return Ok(None);
            };
            Ok(Some(RunProgress {
                phase,
                contents: count(row.try_get("contents")?),
                contents_done: count(row.try_get("contents_done")?),
                size_bytes: count(row.try_get("size_bytes")?),
                done_bytes: count(row.try_get("done_bytes")?),
                updated: time(row.try_get("updated_ms")?),
            }))
        };
        let progress = read().map_err(self.failed(DOING))?;
        progress.map_or_else(|| Err(self.damaged("a progress")), |it| Ok(Some(it)))
    }
}

/// Adds a line behind all others.
pub(super) async fn append_line(
    transaction: &mut Transaction,
    id: &RunId,
    line: &LogLine,
) -> sqlx::Result<()> {
    let (last,): (Option<i64>,) =
        sqlx::query_as("SELECT MAX(position) FROM run_log WHERE run = $1")
            .bind(id.as_str())
            .fetch_one(&mut **transaction)
            .await?;
    let position = last.map_or(0, |last| last + 1);
    insert_line(transaction, id, position, line).await
}

async fn insert_line(
    transaction: &mut Transaction,
    id: &RunId,
    position: i64,
    line: &LogLine,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO run_log (run, position, time_ms, event, text) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (run, position) DO NOTHING",
    )
    .bind(id.as_str())
    .bind(position)
    .bind(millis(line.time))
    .bind(line.event.as_str())
    .bind(&line.text)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn update_progress(
    transaction: &mut Transaction,
    id: &RunId,
    progress: &RunProgress,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO run_progress (run, phase, contents, contents_done, size_bytes, done_bytes, updated_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (run) DO UPDATE SET phase = excluded.phase, contents = excluded.contents,
            contents_done = excluded.contents_done, size_bytes = excluded.size_bytes,
            done_bytes = excluded.done_bytes, updated_ms = excluded.updated_ms",
    )
    .bind(id.as_str())
    .bind(progress.phase.as_str())
    .bind(number(progress.contents))
    .bind(number(progress.contents_done))
    .bind(number(progress.size_bytes))
    .bind(number(progress.done_bytes))
    .bind(millis(progress.updated))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
