//! What `airlift serve` has under way: a watch, a repeated transfer or a schedule for each pipeline that wants one.
//!
//! All are parts of one task; what is heavy in them runs on other cores by itself. A part that fails is begun again,
//! and nothing that it does ends another one.
//!
//! **Invariants.** When the file is read again, what it says as before goes on untouched. What is no longer wanted
//! begins nothing: a watch gives back what it has claimed, a repeated transfer is dropped, and a scheduled run that
//! goes on is ended by itself.

mod duty;
mod part;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use self::duty::{Duty, duties_of};
use self::part::Part;
use super::commands::run::name_holder;
use super::config_args::InForce;
use super::configured::Configuration;
use super::output::Output;
use super::service::Liveness;
use crate::history::{Interruption, Ledger};

/// What all parts stand on.
pub(super) struct Ground {
    pub(super) ledger: Ledger,
    pub(super) in_force: InForce,
    pub(super) output: Output,
    pub(super) liveness: Liveness,
    /// For those who find a pipeline taken.
    pub(super) who: String,
}

pub(super) async fn name_ground() -> String {
    name_holder("airlift serve").await
}

/// The parts, and how each is stopped.
pub(super) struct Fleet {
    ground: Rc<Ground>,
    running: FuturesUnordered<LocalBoxFuture<'static, ()>>,
    members: Vec<Member>,
}

struct Member {
    duty: Duty,
    reins: Reins,
}

/// How a part is told to stop.
#[derive(Clone, Default)]
pub(super) struct Reins {
    /// It begins nothing any more.
    pub(super) retired: CancellationToken,
    /// What it has begun is stopped.
    pub(super) stopped: CancellationToken,
    /// Why, for the records of what is dropped.
    pub(super) interruption: Interruption,
}

/// What a file has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    watches: usize,
    schedules: usize,
    begun: usize,
    retired: usize,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            watches,
            schedules,
            begun,
            retired,
        } = self;
        write!(f, "{watches} watched, {schedules} scheduled")?;
        match (begun, retired) {
            (_, 0) if *begun == watches + schedules => Ok(()),
            (0, 0) => f.write_str("; nothing has changed"),
            _ => write!(f, "; {begun} begun, {retired} ended"),
        }
    }
}

impl Fleet {
    pub(super) fn new(ground: Ground) -> Self {
        Self {
            ground: Rc::new(ground),
            running: FuturesUnordered::new(),
            members: Vec::new(),
        }
    }

    pub(super) fn configuration(&self) -> Arc<Configuration> {
        self.ground.in_force.current()
    }

    /// Has another file in force from now on.
    pub(super) fn replace(&mut self, configuration: Configuration) -> Change {
        self.ground.in_force.replace(configuration);
        self.follow()
    }

    /// Begins what the file in force wants, and ends what it does not.
    pub(super) fn follow(&mut self) -> Change {
        let wanted = duties_of(&self.configuration());
        let mut change = Change::default();
        for duty in &wanted {
            match duty.is_watch() {
                true => change.watches += 1,
                false => change.schedules += 1,
            }
        }
        self.members.retain(|member| {
            let stays = wanted.contains(&member.duty);
            if !stays {
                change.retired += 1;
                let reason = "the configuration file does not have it any more";
                member.reins.interruption.announce(reason);
                member.reins.retired.cancel();
            }
            stays
        });
        for duty in wanted {
            if self.members.iter().all(|member| member.duty != duty) {
                change.begun += 1;
                self.begin(duty);
            }
        }
        change
    }

    fn begin(&mut self, duty: Duty) {
        let reins = Reins::default();
        let part = Part::new(duty.clone(), Rc::clone(&self.ground), reins.clone());
        let in_force = self.ground.in_force.clone();
        let running = async move { in_force.lead(Box::pin(part.run())).await };
        self.running.push(Box::pin(running));
        self.members.push(Member { duty, reins });
    }

    /// Goes on with all of them, for as long as it is waited for. A part that has ended was retired.
    pub(super) async fn run(&mut self) {
        if self.running.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Stops all of them, and waits until they have.
    pub(super) async fn stop(mut self, reason: &str) {
        for member in &self.members {
            member.reins.interruption.announce(reason);
            member.reins.retired.cancel();
            member.reins.stopped.cancel();
        }
        while self.running.next().await.is_some() {}
    }
}
