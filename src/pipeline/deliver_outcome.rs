//! What came of a delivery, in the ledger's words: figures in all and for each repository, failures, tags.
//!
//! Pure, but for the lines that it tells a run.

use std::collections::{BTreeMap, BTreeSet};

use super::import::{ImportReport, ImportedArtifact};
use super::import_plan::ImportPlan;
use crate::content::{ArtifactOutcome, CopyReport, Plan};
use crate::history::{
    ActiveRun, ArtifactCounts, LogEvent, RepositoryCounts, RunFailure, RunOutcome, RunStatus,
};
use crate::oci::Repository;

pub(super) fn outcome_of(import: &ImportPlan, report: &ImportReport) -> RunOutcome {
    outcome_of_copy(
        (&import.plan, &import.names),
        &report.artifacts,
        &report.copy,
    )
}

/// The figures of any copy, with the target's names of the plan's repositories.
pub(super) fn outcome_of_copy(
    (plan, names): (&Plan, &[Repository]),
    artifacts: &[ImportedArtifact],
    copy: &CopyReport,
) -> RunOutcome {
    let mut counts = ArtifactCounts::default();
    let mut repositories: BTreeMap<String, ArtifactCounts> = BTreeMap::new();
    let mut failures = Vec::new();
    for (planned, artifact) in plan.artifacts.iter().zip(artifacts) {
        let repository = names[planned.repository].to_string();
        count_outcome(&mut counts, &artifact.outcome);
        count_outcome(
            repositories.entry(repository).or_default(),
            &artifact.outcome,
        );
        if let ArtifactOutcome::Failed(reason) = &artifact.outcome {
            failures.push(RunFailure {
                artifact: artifact.name.clone(),
                reason: reason.clone(),
            });
        }
    }
    let status = match counts.failed {
        0 => RunStatus::Done,
        _ => RunStatus::PartlyFailed,
    };
    RunOutcome {
        moved_bytes: copy.pushed_bytes,
        present_bytes: copy.present_bytes,
        artifacts: counts,
        repositories: by_repository(repositories),
        failures,
        ..RunOutcome::new(status)
    }
}

pub(super) fn by_repository(counts: BTreeMap<String, ArtifactCounts>) -> Vec<RepositoryCounts> {
    let of_one = |(repository, artifacts)| RepositoryCounts {
        repository,
        artifacts,
    };
    counts.into_iter().map(of_one).collect()
}

fn count_outcome(counts: &mut ArtifactCounts, outcome: &ArtifactOutcome) {
    counts.total += 1;
    match outcome {
        ArtifactOutcome::Delivered => counts.delivered += 1,
        ArtifactOutcome::Unchanged => counts.unchanged += 1,
        ArtifactOutcome::Kept | ArtifactOutcome::Held(_) => counts.kept += 1,
        ArtifactOutcome::Failed(_) => counts.failed += 1,
    }
}

/// Tells the run's log what became of each artifact.
pub(super) fn tell_artifacts(run: &ActiveRun, artifacts: &[ImportedArtifact]) {
    for ImportedArtifact { name, outcome, .. } in artifacts {
        match outcome {
            ArtifactOutcome::Delivered => run.tell(LogEvent::Delivered, name),
            ArtifactOutcome::Unchanged => run.tell(LogEvent::Unchanged, name),
            ArtifactOutcome::Kept => run.tell(LogEvent::Kept, name),
            ArtifactOutcome::Held(reason) => run.tell(LogEvent::Kept, format!("{name}: {reason}")),
            ArtifactOutcome::Failed(reason) => {
                run.tell(LogEvent::Failed, format!("{name}: {reason}"));
            }
        }
    }
}

/// Repositories of the target that have got artifacts of this bundle, where it was not carried out to its end.
pub(super) fn repositories_of(import: &ImportPlan, report: &ImportReport) -> Vec<String> {
    let artifacts = import.plan.artifacts.iter().zip(&report.artifacts);
    let filled = artifacts.filter(|(_, done)| is_there(&done.outcome));
    let names: BTreeSet<String> = filled
        .map(|(planned, _)| import.names[planned.repository].to_string())
        .collect();
    names.into_iter().collect()
}

/// Whether the content of an artifact is at the target.
fn is_there(outcome: &ArtifactOutcome) -> bool {
    matches!(
        outcome,
        ArtifactOutcome::Delivered | ArtifactOutcome::Unchanged | ArtifactOutcome::Held(_)
    )
}

/// Every tag that this bundle has set, those of its signatures included. Where a newer bundle has set one,
/// the ledger keeps the newer sequence.
pub(super) fn tags_of(import: &ImportPlan, report: &ImportReport) -> Vec<String> {
    let mut tags = Vec::new();
    for (planned, done) in import.plan.artifacts.iter().zip(&report.artifacts) {
        if !is_there(&done.outcome) {
            continue;
        }
        let repository = &import.names[planned.repository];
        let attached = planned.referrers.iter().filter_map(|r| r.tag.as_ref());
        let own = planned.tag.iter();
        tags.extend(own.chain(attached).map(|tag| format!("{repository}:{tag}")));
    }
    tags
}
