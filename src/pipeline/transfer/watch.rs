//! Repeats a transfer: a listing at an interval, and a round of copying whenever there is something.
//!
//! It ends when it is dropped, at any moment: nothing is visible that is not complete. A failure is told and
//! the next round tries again; what has been read is remembered between rounds. Where there is a ledger, a round that
//! moved something is a run in it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::memory::TransferMemory;
use super::options::{TransferOptions, TransferReport};
use super::run::{plan_transfer, run_transfer};
use super::survey::ContainerSurvey;
use crate::content::Result;

/// Watches until it is dropped. `tell` hears what came of every round.
pub async fn watch_source(
    options: &TransferOptions,
    interval: Duration,
    memory: Option<&TransferMemory>,
    mut tell: impl FnMut(Result<TransferReport>),
) {
    let (mut source, mut target) = (ContainerSurvey::default(), ContainerSurvey::default());
    loop {
        tell(run_round(options, memory, &mut source, &mut target).await);
        tokio::time::sleep(jitter(interval)).await;
    }
}

async fn run_round(
    options: &TransferOptions,
    memory: Option<&TransferMemory>,
    source: &mut ContainerSurvey,
    target: &mut ContainerSurvey,
) -> Result<TransferReport> {
    let plan = plan_transfer(options, source, target).await?;
    match memory {
        Some(memory) => memory.run_round(options, plan).await,
        None => run_transfer(options, plan).await,
    }
}

/// From three quarters of the interval to all of it, so that many watches do not ask at once.
fn jitter(interval: Duration) -> Duration {
    // The keys of a `RandomState` are random, and chance is all that is wanted here.
    let chance = RandomState::new().build_hasher().finish() % 1024;
    let part = u32::try_from(chance).unwrap_or(0);
    interval * 3 / 4 + interval / 4 * part / 1024
}
