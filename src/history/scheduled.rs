//! When a pipeline of the configuration file was due and begun for the last time, and who runs it now.
//!
//! Nothing here decides what is due. The record of a schedule is changed only by whoever has the pipeline's [`Hold`], so
//! that what was read under it stays true until it is dropped.

use jiff::Timestamp;

use super::directory::Hold;
use super::ledger::{Ledger, millis, time};
use super::run::words;
use crate::content::Result;

words! {
    /// How far the run of the last time has come.
    DueProgress {
        Begun = "begun",
        /// Begun for the second time, after it was interrupted.
        Repeated = "repeated",
        Ended = "ended",
    }
}

/// What is remembered of a pipeline's schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRecord {
    /// The schedule with its zone, as it was then.
    pub expression: String,
    pub last_due: Timestamp,
    pub progress: DueProgress,
}

/// Whether a pipeline may be run now.
#[derive(Debug)]
pub enum RunHold {
    /// It may, and nobody else may until this is dropped.
    Ours(Hold),
    /// Somebody else runs it: who, as they have called themselves.
    Theirs(String),
}

const DOING: &str = "cannot record what is due";

impl Ledger {
    /// Asks for the right to run a pipeline, by its section such as `export.nightly`; `who` is told to those who
    /// find it taken.
    pub fn try_hold_run_of(&self, section: &str, who: &str) -> Result<RunHold> {
        let name = format!("configured\n{section}");
        let held = self.directory().hold_with_note(&name, who)?;
        Ok(match held {
            Ok(hold) => RunHold::Ours(hold),
            Err(holder) if holder.is_empty() => RunHold::Theirs("another process".to_owned()),
            Err(holder) => RunHold::Theirs(holder),
        })
    }

    pub async fn find_due(&self, section: &str) -> Result<Option<DueRecord>> {
        let row: Option<(String, i64, String)> = sqlx::query_as(
            "SELECT expression, last_due_ms, progress FROM schedule WHERE pipeline = $1",
        )
        .bind(section)
        .fetch_optional(self.pool())
        .await
        .map_err(self.failed("cannot read what is due"))?;
        let Some((expression, last_due_ms, progress)) = row else {
            return Ok(None);
        };
        let progress = DueProgress::parse(&progress);
        let progress = progress.ok_or_else(|| self.damaged("a schedule"))?;
        Ok(Some(DueRecord {
            expression,
            last_due: time(last_due_ms),
            progress,
        }))
    }

    /// Has the times of a schedule count from the record's, unless the same schedule has a record of a time up to
    /// `credible`. No hold is needed: whoever comes later changes nothing.
    pub async fn begin_schedule(
        &self,
        section: &str,
        record: &DueRecord,
        credible: Timestamp,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO schedule (pipeline, expression, last_due_ms, progress) VALUES ($1, $2, $3, $4)
             ON CONFLICT (pipeline) DO UPDATE SET expression = excluded.expression,
                last_due_ms = excluded.last_due_ms, progress = excluded.progress
             WHERE schedule.expression <> excluded.expression OR schedule.last_due_ms > $5",
        )
        .bind(section)
        .bind(&record.expression)
        .bind(millis(record.last_due))
        .bind(record.progress.as_str())
        .bind(millis(credible))
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(())
    }

    /// Remembers it in place of what was known of the pipeline.
    pub async fn record_due(&self, section: &str, record: &DueRecord) -> Result<()> {
        sqlx::query(
            "INSERT INTO schedule (pipeline, expression, last_due_ms, progress) VALUES ($1, $2, $3, $4)
             ON CONFLICT (pipeline) DO UPDATE SET expression = excluded.expression,
                last_due_ms = excluded.last_due_ms, progress = excluded.progress",
        )
        .bind(section)
        .bind(&record.expression)
        .bind(millis(record.last_due))
        .bind(record.progress.as_str())
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(())
    }
}
