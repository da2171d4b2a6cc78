//! What a copy that breaks off has done until then: the tags that moved are recorded in the run that moved them.
//!
//! It listens to the copy and outlives it: a copy that fails, or is dropped, hands over no report. A process that is
//! killed tells nothing; what it moved is found by the next run, as unchanged.
//!
//! **Invariant.** Nothing is told that is not visible at the target.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::deliver_outcome::{outcome_of_copy, tell_artifacts};
use super::import::{ImportedArtifact, list_artifacts};
use crate::content::{ArtifactOutcome, CopyReport, Event, Events, Plan, Replaced};
use crate::history::{ActiveRun, RunOutcome};
use crate::oci::{Digest, Repository};

/// Hears what a copy does.
#[derive(Default)]
pub(super) struct DoneSoFar {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    settled: HashMap<usize, (ArtifactOutcome, Option<Replaced>)>,
    /// `REPOSITORY:TAG` of every tag that moved, those of signatures included.
    tags: BTreeSet<String>,
}

/// What is at the target of a plan that was not carried out to its end.
pub(super) struct BrokenOff {
    pub(super) report: CopyReport,
    pub(super) artifacts: Vec<ImportedArtifact>,
    pub(super) tags: BTreeSet<String>,
}

impl DoneSoFar {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events that this hears, and `outer` as before.
    pub(super) fn events(self: &Arc<Self>, outer: &Events) -> Events {
        let (hearing, outer) = (Arc::clone(self), Arc::clone(outer));
        Arc::new(move |event| {
            hearing.observe(&event);
            outer(event);
        })
    }

    fn observe(&self, event: &Event) {
        match event {
            Event::Settled {
                artifact,
                outcome,
                replaced,
            } => {
                let settled = (outcome.clone(), replaced.clone());
                self.lock().settled.insert(*artifact, settled);
            }
            Event::Tagged(repository, tag) => {
                self.lock().tags.insert(format!("{repository}:{tag}"));
            }
            _ => {}
        }
    }

    /// What was done of the plan, whose artifacts have these names at the target; `None` where nothing is to be seen.
    pub(super) fn tell<'p>(
        &self,
        plan: &Plan,
        names: impl Iterator<Item = (String, &'p Digest)>,
    ) -> Option<BrokenOff> {
        let seen = self.lock();
        let is_there = |outcome: &ArtifactOutcome| {
            !matches!(outcome, ArtifactOutcome::Failed(_) | ArtifactOutcome::Kept)
        };
        let mut settled = seen.settled.values();
        if seen.tags.is_empty() && !settled.any(|(outcome, _)| is_there(outcome)) {
            return None;
        }
        let mut report = CopyReport {
            outcomes: vec![None; plan.artifacts.len()],
            tags_moved: seen.tags.len(),
            ..CopyReport::default()
        };
        for (position, (outcome, replaced)) in &seen.settled {
            report.outcomes[*position] = Some(outcome.clone());
            let replaced = replaced.clone().map(|it| (*position, it));
            report.replaced.extend(replaced);
        }
        Some(BrokenOff {
            artifacts: list_artifacts(names, &report),
            tags: seen.tags.clone(),
            report,
        })
    }
}

impl BrokenOff {
    /// Adds what was done, and what was not reached, to what is recorded of the run's end.
    pub(super) fn add_to(
        &self,
        failure: RunOutcome,
        (plan, names): (&Plan, &[Repository]),
        run: &ActiveRun,
    ) -> RunOutcome {
        tell_artifacts(run, &self.artifacts);
        let done = outcome_of_copy((plan, names), &self.artifacts, &self.report);
        RunOutcome {
            artifacts: done.artifacts,
            repositories: done.repositories,
            failures: done.failures,
            ..failure
        }
    }
}
