//! Runs a pipeline when its time comes, for as long as it is wanted.
//!
//! `due` decides; this waits, takes the right to run the pipeline, remembers, and calls what runs it. It does not know
//! what a pipeline does, and nothing that a run comes to ends it.
//!
//! **Invariants.** What is due is judged again under the pipeline's hold, so that processes which share a state
//! directory run each time once. The time is remembered before the run begins and its end after it, so that what is
//! killed between is known as interrupted.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::LocalBoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::due::{CLOCK_ALLOWANCE, Due, judge_due};
use super::schedule::Schedule;
use crate::content::{Result, describe};
use crate::history::{DueProgress, DueRecord, Hold, Ledger, RunHold};

/// The clock is asked this often, since it may be put forward, and machines sleep.
const CLOCK_INTERVAL: Duration = Duration::from_secs(20);
/// How often it is asked whether somebody else still runs the pipeline.
const BUSY_INTERVAL: SignedDuration = SignedDuration::from_secs(1);
/// How long to wait for a ledger that cannot be used now.
const LEDGER_PAUSE: SignedDuration = SignedDuration::from_secs(60);

/// The time, and waiting for it.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    /// Returns when it is `until`, or earlier.
    async fn wait(&self, until: Option<Timestamp>);
}

/// The clock of this machine.
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn wait(&self, until: Option<Timestamp>) {
        let left = until.map(|until| until.duration_since(Timestamp::now()));
        let left = left.map_or(CLOCK_INTERVAL, |left| {
            Duration::try_from(left).unwrap_or(Duration::ZERO)
        });
        tokio::time::sleep(left.min(CLOCK_INTERVAL)).await;
    }
}

/// A pipeline with its schedule.
pub struct Scheduled<'a> {
    /// `KIND.NAME`.
    pub section: &'a str,
    pub schedule: &'a Schedule,
    /// The schedule and its zone as they are written: another text is another schedule.
    pub expression: &'a str,
    pub ledger: &'a Ledger,
    /// Whoever runs it, for those who find it running.
    pub who: &'a str,
    pub clock: &'a dyn Clock,
}

/// Why a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    Time(Timestamp),
    /// What was begun for this time was interrupted.
    Again(Timestamp),
}

/// What is told beside what the runs tell themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleEvent {
    /// Nothing is due before this time; `None` where no time comes any more.
    Next(Option<Timestamp>),
    Begun(Occasion),
    /// A time has come, and somebody else runs the pipeline still.
    Busy {
        holder: String,
    },
    /// The ledger cannot be used now.
    Unable {
        reason: String,
    },
}

/// What a look at the schedule has come to.
enum Step {
    Next(Option<Timestamp>),
    Pause(SignedDuration),
    Interrupted,
}

/// What a run has come to, for the schedule: what it did and whether it failed is told elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    Ended,
    /// It was stopped with the process, and is to be done again.
    Interrupted,
}

/// Runs the pipeline once.
pub type Runner<'a> = &'a dyn Fn(Occasion) -> LocalBoxFuture<'a, RunEnd>;

impl Scheduled<'_> {
    /// Runs until `retired` is cancelled, after which no run begins.
    pub async fn keep(
        &self,
        retired: &CancellationToken,
        run: Runner<'_>,
        mut tell: impl FnMut(ScheduleEvent),
    ) {
        let mut told = None;
        let mut tell = |event: ScheduleEvent| {
            // What has not changed since is no news.
            if told.as_ref() != Some(&event) {
                told = Some(event.clone());
                tell(event);
            }
        };
        while !retired.is_cancelled() {
            let until = match self.step(run, &mut tell).await {
                Ok(Step::Interrupted) => return,
                Ok(Step::Next(next)) => next,
                Ok(Step::Pause(pause)) => self.clock.now().checked_add(pause).ok(),
                Err(error) => {
                    let reason = describe(&error);
                    tell(ScheduleEvent::Unable { reason });
                    self.clock.now().checked_add(LEDGER_PAUSE).ok()
                }
            };
            tokio::select! {
                biased;
                () = retired.cancelled() => return,
                () = self.clock.wait(until) => {}
            }
        }
    }

    async fn judge(&self) -> Result<Due> {
        let record = self.ledger.find_due(self.section).await?;
        let now = self.clock.now();
        let due = judge_due(self.schedule, self.expression, record.as_ref(), now);
        Ok(due)
    }

    async fn step(&self, run: Runner<'_>, tell: &mut impl FnMut(ScheduleEvent)) -> Result<Step> {
        let seen = self.judge().await?;
        if let Due::Wait(next) = seen {
            tell(ScheduleEvent::Next(next));
            return Ok(Step::Next(next));
        }
        if seen == Due::Anew {
            return self.begin_schedule().await;
        }
        let hold = match self.ledger.try_hold_run_of(self.section, self.who)? {
            RunHold::Ours(hold) => hold,
            RunHold::Theirs(holder) => {
                tell(ScheduleEvent::Busy { holder });
                return Ok(Step::Pause(BUSY_INTERVAL));
            }
        };
        let occasion = match self.judge().await? {
            Due::Wait(next) => return Ok(Step::Next(next)),
            Due::Anew => return self.begin_schedule().await,
            Due::Run(time) => Occasion::Time(time),
            Due::Repeat(time) => Occasion::Again(time),
        };
        self.carry_out(occasion, hold, run, tell).await
    }

    async fn carry_out(
        &self,
        occasion: Occasion,
        hold: Hold,
        run: Runner<'_>,
        tell: &mut impl FnMut(ScheduleEvent),
    ) -> Result<Step> {
        let (time, progress) = match occasion {
            Occasion::Time(time) => (time, DueProgress::Begun),
            Occasion::Again(time) => (time, DueProgress::Repeated),
        };
        self.record(time, progress).await?;
        tell(ScheduleEvent::Begun(occasion));
        if run(occasion).await == RunEnd::Interrupted {
            // A stop that was asked for is not what makes a pipeline give up.
            self.record(time, DueProgress::Begun).await?;
            return Ok(Step::Interrupted);
        }
        self.record(time, DueProgress::Ended).await?;
        drop(hold);
        Ok(Step::Pause(SignedDuration::ZERO))
    }

    /// Its times count from now. Without the hold, or whoever runs the pipeline by hand would be refused for it.
    async fn begin_schedule(&self) -> Result<Step> {
        let now = self.clock.now();
        let record = DueRecord {
            expression: self.expression.to_owned(),
            last_due: now,
            progress: DueProgress::Ended,
        };
        let credible = now.checked_add(CLOCK_ALLOWANCE).unwrap_or(Timestamp::MAX);
        let ledger = self.ledger;
        ledger
            .begin_schedule(self.section, &record, credible)
            .await?;
        Ok(Step::Pause(SignedDuration::ZERO))
    }

    async fn record(&self, last_due: Timestamp, progress: DueProgress) -> Result<()> {
        let record = DueRecord {
            expression: self.expression.to_owned(),
            last_due,
            progress,
        };
        self.ledger.record_due(self.section, &record).await
    }
}

#[cfg(test)]
mod tests;
