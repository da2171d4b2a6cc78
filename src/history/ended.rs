//! The ends of runs that do not come by themselves: killed, cancelled, and forgotten.

use jiff::Timestamp;

use super::id::RunId;
use super::journal::{LogEvent, LogLine};
use super::ledger::{Ledger, count, millis};
use super::run::RunStatus;
use super::run_log::append_line;
use crate::content::{Result, escape_control};

const DOING: &str = "cannot record the run";
const KILLED: &str = "the process ended without saying why";

/// Runs that may go. One that has delivered a bundle in part is what a watch asks before it removes the bundle.
const FORGETTABLE: &str = "status <> 'running' AND ended_ms < $1 AND NOT (status = 'partly failed'
    AND EXISTS (SELECT 1 FROM claim WHERE claim.run = run.id))";

impl Ledger {
    /// Marks what killed processes have left: runs that are `running`, and whose lock nobody holds.
    pub async fn interrupt_abandoned_runs(&self, now: Timestamp) -> Result<()> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT id FROM run WHERE status = $1")
            .bind(RunStatus::Running.as_str())
            .fetch_all(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        for (id,) in rows {
            let id = RunId::from_ledger(id);
            if !self.is_alive(&id)? {
                let marked = self.interrupt(&id, KILLED, (None, now)).await;
                marked.map_err(self.failed(DOING))?;
                self.clear_hold_of(&id);
            }
        }
        Ok(())
    }

    /// Ends a run that its own process gives up, unless it has ended already.
    pub(super) async fn interrupt_run(
        &self,
        id: &RunId,
        reason: &str,
        now: Timestamp,
    ) -> Result<()> {
        let marked = self.interrupt(id, reason, (Some(now), now)).await;
        marked.map_err(self.failed(DOING))
    }

    /// Where nobody knows when the run ended, it ended with the last sign of life that it gave.
    async fn interrupt(
        &self,
        id: &RunId,
        reason: &str,
        (ended, now): (Option<Timestamp>, Timestamp),
    ) -> sqlx::Result<()> {
        let mut transaction = self.begin().await?;
        let marked = sqlx::query(
            "UPDATE run SET status = $1, reason = $2, ended_ms = COALESCE($6,
                (SELECT updated_ms FROM run_progress WHERE run_progress.run = run.id), $3)
             WHERE id = $4 AND status = $5",
        )
        .bind(RunStatus::Interrupted.as_str())
        .bind(reason)
        .bind(millis(now))
        .bind(id.as_str())
        .bind(RunStatus::Running.as_str())
        .bind(ended.map(millis))
        .execute(&mut *transaction)
        .await?;
        if marked.rows_affected() == 1 {
            let line = LogLine {
                time: now,
                event: LogEvent::Ended,
                text: format!("{}: {reason}", RunStatus::Interrupted.as_str()),
            };
            append_line(&mut transaction, id, &line).await?;
        }
        transaction.commit().await
    }

    /// Takes back the record of a run that goes on: it has come to nothing that anybody would look for.
    pub(super) async fn withdraw_run(&self, id: &RunId) -> Result<()> {
        sqlx::query("DELETE FROM run WHERE id = $1 AND status = $2")
            .bind(id.as_str())
            .bind(RunStatus::Running.as_str())
            .execute(self.pool())
            .await
            .map_err(self.failed(DOING))?;
        Ok(())
    }

    /// Asks the process that executes the run to stop. Says whether the run was running.
    pub async fn ask_to_cancel(&self, id: &RunId, who: &str) -> Result<bool> {
        let asked = sqlx::query(
            "UPDATE run SET cancel_asked_by = COALESCE(cancel_asked_by, $2) WHERE id = $1 AND status = $3",
        )
        .bind(id.as_str())
        .bind(escape_control(who))
        .bind(RunStatus::Running.as_str())
        .execute(self.pool())
        .await
        .map_err(self.failed(DOING))?;
        Ok(asked.rows_affected() == 1)
    }

    /// Who has asked the run to stop.
    pub(super) async fn find_canceller(&self, id: &RunId) -> Result<Option<String>> {
        let row: Option<(Option<String>,)> =
            sqlx::query_as("SELECT cancel_asked_by FROM run WHERE id = $1")
                .bind(id.as_str())
                .fetch_optional(self.pool())
                .await
                .map_err(self.failed("cannot read the run"))?;
        Ok(row.and_then(|(who,)| who))
    }

    /// How many runs ended before `until` and may be forgotten.
    pub async fn count_forgettable_runs(&self, until: Timestamp) -> Result<u64> {
        let text = format!("SELECT COUNT(*) FROM run WHERE {FORGETTABLE}");
        let (runs,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(text))
            .bind(millis(until))
            .fetch_one(self.pool())
            .await
            .map_err(self.failed("cannot count the runs"))?;
        Ok(count(runs))
    }

    /// Forgets runs that ended before `until`, with their failures, logs and figures; nothing that decides what is
    /// accepted. Says how many.
    pub async fn forget_runs(&self, until: Timestamp) -> Result<u64> {
        let text = format!("DELETE FROM run WHERE {FORGETTABLE}");
        let deleted = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(millis(until))
            .execute(self.pool())
            .await
            .map_err(self.failed("cannot forget the runs"))?;
        Ok(deleted.rows_affected())
    }
}
