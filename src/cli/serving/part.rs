//! One duty of `airlift serve`, from its begin to its end.
//!
//! Nothing that a pipeline comes to ends its part: it is told, and tried again after a pause or at its next time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures_util::FutureExt;

use super::duty::{Duty, DutyKind};
use super::{Ground, Reins};
use crate::cli::commands::run::{Request, start};
use crate::cli::commands::transfer;
use crate::cli::commands::watch::{Supervision, run_supervised};
use crate::cli::configured::{
    Configuration, ImportSection, Pipeline, Settings, TransferSection, WATCH,
};
use crate::cli::exit::Exit;
use crate::cli::failure::hints_of;
use crate::cli::origin::Origin;
use crate::cli::voice::Voice;
use crate::content::escape_control;
use crate::history::{Hold, RunHold, Trigger};
use crate::pipeline::{Occasion, RunEnd, ScheduleEvent, Scheduled, SystemClock};

/// Before a watch that could not begin is begun again.
const RETRY_PAUSE: Duration = Duration::from_mins(1);
/// How often it is asked whether somebody else still has the pipeline.
const BUSY_INTERVAL: Duration = Duration::from_secs(1);
/// Nobody waits longer for the record of what was dropped.
const RECORDING_MAX: Duration = Duration::from_secs(10);

pub(super) struct Part {
    duty: Duty,
    ground: Rc<Ground>,
    reins: Reins,
}

impl Part {
    pub(super) fn new(duty: Duty, ground: Rc<Ground>, reins: Reins) -> Self {
        Self {
            duty,
            ground,
            reins,
        }
    }

    pub(super) async fn run(&self) {
        let voice = Voice::of(&self.duty.section);
        voice.lead(Box::pin(self.fulfil())).await;
        let recorded = self.reins.interruption.finish_records();
        if tokio::time::timeout(RECORDING_MAX, recorded).await.is_err() {
            tracing::warn!("the end of a run is not recorded");
        }
    }

    async fn fulfil(&self) {
        if let DutyKind::Schedule(expression) = &self.duty.kind {
            return self.keep_schedule(expression).await;
        }
        while !self.reins.retired.is_cancelled() {
            let watched = match self.duty.kind {
                DutyKind::Repeat => self.repeat_transfer().await,
                _ => self.watch().await,
            };
            match watched {
                Ok(()) => return,
                Err(error) => self.tell_failure(&error),
            }
            self.pause(RETRY_PAUSE).await;
        }
    }

    /// For a time, or until nothing more is wanted.
    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.reins.retired.cancelled() => {}
        }
    }

    fn origin(&self, trigger: Trigger, comment: Option<String>) -> Origin {
        let origin = Origin::by_hand(&self.reins.interruption);
        origin.of_pipeline(self.duty.section.clone(), trigger, comment)
    }

    /// Until it is retired: it then gives back what it has claimed.
    async fn watch(&self) -> anyhow::Result<()> {
        let section = ImportSection::try_parse_from(self.duty.words.line())?;
        let origin = self.origin(Trigger::Source, None);
        let supervision = Supervision {
            stop: self.reins.retired.clone(),
            liveness: self.ground.liveness.part(),
        };
        run_supervised(section.watch, &origin, self.ground.output, supervision).await?;
        Ok(())
    }

    /// Until it is retired: what goes on is then dropped, and nothing of it is visible.
    async fn repeat_transfer(&self) -> anyhow::Result<()> {
        let Some(hold) = self.hold().await? else {
            return Ok(());
        };
        let mut words = self.duty.words.clone();
        words.flags.push(WATCH.to_owned());
        let section = TransferSection::try_parse_from(words.line())?;
        let origin = self.origin(Trigger::Source, None);
        tokio::select! {
            biased;
            () = self.reins.retired.cancelled() => {}
            ended = transfer::run(section.transfer, &origin, self.ground.output) => {
                ended?;
            }
        }
        drop(hold);
        Ok(())
    }

    /// Waits until nobody else runs the pipeline; `None` where it is not wanted any more.
    async fn hold(&self) -> anyhow::Result<Option<Hold>> {
        let mut is_told = false;
        while !self.reins.retired.is_cancelled() {
            let held = self
                .ground
                .ledger
                .try_hold_run_of(&self.duty.section, &self.ground.who)?;
            match held {
                RunHold::Ours(hold) => return Ok(Some(hold)),
                RunHold::Theirs(holder) if !is_told => {
                    is_told = true;
                    self.tell("busy", &format!("waits for {holder}"));
                }
                RunHold::Theirs(_) => {}
            }
            self.pause(BUSY_INTERVAL).await;
        }
        Ok(None)
    }

    async fn keep_schedule(&self, expression: &str) {
        let configuration = self.ground.in_force.current();
        let pipeline = self.find(&configuration);
        let Some(schedule) = pipeline.and_then(|pipeline| pipeline.schedule.as_ref()) else {
            return;
        };
        let scheduled = Scheduled {
            section: &self.duty.section,
            schedule,
            expression,
            ledger: &self.ground.ledger,
            who: &self.ground.who,
            clock: &SystemClock,
        };
        let run = |occasion| self.run_once(occasion).boxed_local();
        let tell = |event| self.tell_schedule(&event);
        scheduled.keep(&self.reins.retired, &run, tell).await;
    }

    fn find<'c>(&self, configuration: &'c Configuration) -> Option<&'c Pipeline> {
        let mut pipelines = configuration.pipelines.iter();
        pipelines.find(|pipeline| pipeline.title() == self.duty.section)
    }

    /// Runs the pipeline as the file in force has it.
    async fn run_once(&self, occasion: Occasion) -> RunEnd {
        let configuration: Arc<Configuration> = self.ground.in_force.current();
        let Some(pipeline) = self.find(&configuration) else {
            return RunEnd::Ended;
        };
        let comment = match occasion {
            Occasion::Time(_) => None,
            Occasion::Again(_) => Some("again, since it was interrupted".to_owned()),
        };
        let origin = self.origin(Trigger::Schedule, comment);
        let request = Request {
            supervision: Some(Supervision {
                stop: self.reins.stopped.clone(),
                liveness: self.ground.liveness.part(),
            }),
            ..Request::default()
        };
        let running = start(
            &configuration,
            pipeline,
            request,
            &origin,
            self.ground.output,
        );
        // An import is told, and gives back what it has claimed; what else goes on is dropped.
        let gives_back = matches!(pipeline.settings, Settings::Import(_));
        let ended = tokio::select! {
            biased;
            () = self.reins.stopped.cancelled(), if !gives_back => return RunEnd::Interrupted,
            ended = running => ended,
        };
        if self.reins.stopped.is_cancelled() {
            return RunEnd::Interrupted;
        }
        match ended {
            Ok(exit) => self.tell("ended", &format!("ended: {}", describe(exit))),
            Err(error) => self.tell_failure(&error),
        }
        RunEnd::Ended
    }

    fn tell(&self, event: &str, text: &str) {
        self.ground
            .output
            .tell_event(event, &self.duty.section, text);
    }

    fn tell_failure(&self, error: &anyhow::Error) {
        let hints: String = hints_of(error)
            .iter()
            .map(|hint| format!("; hint: {hint}"))
            .collect();
        let text = escape_control(&format!("failed: {error:#}{hints}"));
        self.tell("failed", &text);
    }

    fn tell_schedule(&self, event: &ScheduleEvent) {
        match event {
            ScheduleEvent::Next(Some(next)) => {
                self.tell("next", &format!("runs next at {next:.0}"));
            }
            ScheduleEvent::Next(None) => self.tell("next", "does not run any more"),
            ScheduleEvent::Begun(Occasion::Time(time)) => {
                self.tell("begun", &format!("begun, as it was due at {time:.0}"));
            }
            ScheduleEvent::Begun(Occasion::Again(time)) => self.tell(
                "begun",
                &format!("begun again: that of {time:.0} was interrupted"),
            ),
            ScheduleEvent::Busy { holder } => {
                self.tell("busy", &format!("waits for {holder}"));
            }
            ScheduleEvent::Unable { reason } => {
                let text = format!("cannot say what is due: {}", escape_control(reason));
                self.tell("unable", &text);
            }
        }
    }
}

fn describe(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::PartlyFailed => "some artifacts failed",
        Exit::Unverified => "something was not admitted",
        Exit::Denied => "something was denied",
        Exit::Failed | Exit::Usage => "failed",
        Exit::Interrupted => "interrupted",
    }
}
