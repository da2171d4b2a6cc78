//! A run that goes on: recorded from its start to its end, seen by others meanwhile, and stopped by them.
//!
//! **Invariants.** A run that is `running` in the ledger and whose lock nobody holds is dead. What the run tells
//! is written at most once in [`WRITE_INTERVAL`], in one transaction, however much it is.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::audit::{AuditEntry, AuditKind, RefusedArtifact};
use super::directory::Hold;
use super::id::RunId;
use super::journal::{Journal, LogEvent};
use super::ledger::Ledger;
use super::run::{NewRun, RunOutcome, RunPhase, RunStatus};
use crate::content::{Error, ErrorKind, Events, Result, describe};

/// How often progress and log are written, and whether somebody wants the run to stop is asked.
pub const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Somebody has asked the run to stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{who} has cancelled it")]
pub struct RunCancelled {
    pub who: String,
}

impl RunCancelled {
    /// Whether this is why something ended.
    pub fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source())
            .any(<dyn std::error::Error>::is::<Self>)
    }
}

#[derive(Default)]
struct Cancelling {
    token: CancellationToken,
    who: OnceLock<String>,
}

/// Dropped without an end it is found as interrupted; with its reason, where the process is being ended for one.
pub struct ActiveRun {
    id: RunId,
    ledger: Ledger,
    clock: fn() -> Timestamp,
    journal: Arc<Journal>,
    cancelling: Arc<Cancelling>,
    stop: CancellationToken,
    writer: Option<JoinHandle<()>>,
    hold: Option<Hold>,
}

impl ActiveRun {
    pub async fn begin(ledger: &Ledger, run: &NewRun, clock: fn() -> Timestamp) -> Result<Self> {
        ledger.check_noted_head().await?;
        let id = RunId::generate(clock())?;
        // Before the record: a record without a lock is that of a dead run.
        let hold = ledger.hold_run(&id).await?;
        ledger.insert_run(&id, run, clock()).await?;
        let journal = Arc::new(Journal::new(clock, 1));
        let cancelling = Arc::<Cancelling>::default();
        let stop = CancellationToken::new();
        let writer = Writer {
            id: id.clone(),
            ledger: ledger.clone(),
            journal: Arc::clone(&journal),
            cancelling: Arc::clone(&cancelling),
            stop: stop.clone(),
        };
        Ok(Self {
            id,
            ledger: ledger.clone(),
            clock,
            journal,
            cancelling,
            stop,
            writer: Some(tokio::spawn(writer.write_until_stopped())),
            hold: Some(hold),
        })
    }

    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Events that the run counts, and `outer` hears as before.
    pub fn events(&self, outer: &Events, phase: RunPhase) -> Events {
        let (journal, outer) = (Arc::clone(&self.journal), Arc::clone(outer));
        Arc::new(move |event| {
            journal.observe(&event, phase);
            outer(event);
        })
    }

    /// A line of the run's log.
    pub fn tell(&self, event: LogEvent, text: impl AsRef<str>) {
        self.journal.tell(event, text);
    }

    /// Ends when somebody has asked the run to stop, with the error to give up with.
    pub async fn cancelled(&self) -> Error {
        self.cancelling.token.cancelled().await;
        let who = self.cancelling.who.get().cloned().unwrap_or_default();
        Error::new(ErrorKind::Failed, "the run was stopped").with_cause(RunCancelled { who })
    }

    /// Writes what is still to be written. The record of the end comes after it.
    pub async fn close(&mut self) {
        self.stop.cancel();
        if let Some(writer) = self.writer.take()
            && let Err(error) = writer.await
        {
            tracing::warn!(%error, "the run's log is not complete");
        }
    }

    /// Records what came of a run that accepts nothing.
    pub async fn end(mut self, outcome: &RunOutcome) -> Result<()> {
        self.close().await;
        self.ledger.end_run(&self.id, outcome, (self.clock)()).await
    }

    /// Takes its record back: it has come to nothing that anybody would look for.
    pub async fn withdraw(mut self) -> Result<()> {
        self.close().await;
        self.ledger.withdraw_run(&self.id).await
    }

    /// Records why it came to nothing: what it had moved by then is kept.
    pub async fn fail(self, status: RunStatus, error: &Error) -> Result<()> {
        let outcome = self.failure(status, error);
        self.end(&outcome).await
    }

    /// Records that the bundle was not admitted, and what was in it.
    pub async fn refuse(self, error: &Error, artifacts: Vec<RefusedArtifact>) -> Result<()> {
        let mut outcome = self.failure(RunStatus::Refused, error);
        outcome.events.push(AuditEntry {
            reason: outcome.reason.clone(),
            artifacts,
            ..AuditEntry::new(AuditKind::Refused)
        });
        self.end(&outcome).await
    }

    /// What is recorded of a run that ends for this reason.
    pub fn failure(&self, status: RunStatus, error: &Error) -> RunOutcome {
        let status = match RunCancelled::is_cause_of(error) {
            true => RunStatus::Cancelled,
            false => status,
        };
        RunOutcome {
            moved_bytes: self.journal.moved_bytes(),
            ..RunOutcome::new(status).because(describe(error))
        }
    }
}

impl Drop for ActiveRun {
    fn drop(&mut self) {
        self.stop.cancel();
        let interruption = self.ledger.interruption();
        let Some(reason) = interruption.reason().map(str::to_owned) else {
            return;
        };
        let (id, ledger, now) = (self.id.clone(), self.ledger.clone(), (self.clock)());
        let (writer, hold) = (self.writer.take(), self.hold.take());
        interruption.record(async move {
            if let Some(writer) = writer {
                // Its last page goes before the end; where it was lost, the end is still to be told.
                let _ = writer.await;
            }
            if let Err(error) = ledger.interrupt_run(&id, &reason, now).await {
                tracing::warn!(
                    error = describe(&error),
                    "the end of the run is not recorded"
                );
            }
            drop(hold);
        });
    }
}

/// Writes in the background, so that whoever moves content never waits for the ledger.
struct Writer {
    id: RunId,
    ledger: Ledger,
    journal: Arc<Journal>,
    cancelling: Arc<Cancelling>,
    stop: CancellationToken,
}

impl Writer {
    async fn write_until_stopped(self) {
        loop {
            let is_stopped = tokio::select! {
                () = self.stop.cancelled() => true,
                () = tokio::time::sleep(WRITE_INTERVAL) => false,
            };
            if !is_stopped && let Err(error) = self.ask_for_cancel().await {
                tracing::warn!(error = describe(&error), "the run cannot be cancelled now");
            }
            if let Some(page) = self.journal.take()
                && let Err(error) = self.ledger.write_page(&self.id, &page).await
            {
                tracing::warn!(error = describe(&error), "the run's log is not complete");
            }
            if is_stopped {
                return;
            }
        }
    }

    async fn ask_for_cancel(&self) -> Result<()> {
        if self.cancelling.token.is_cancelled() {
            return Ok(());
        }
        if let Some(who) = self.ledger.find_canceller(&self.id).await? {
            self.journal
                .tell(LogEvent::CancelAsked, format!("by {who}"));
            let _ = self.cancelling.who.set(who);
            self.cancelling.token.cancel();
        }
        Ok(())
    }
}
