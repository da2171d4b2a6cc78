//! Runs as others see them: alive, dead, cancelled, in full, and forgotten; and what an older ledger becomes.

use std::path::Path;

use jiff::Timestamp;

use super::{PIPELINE, at, digest, import, ledger, start};
use crate::content::{Error, ErrorKind, Event, ignore_events};
use crate::history::{
    ActiveRun, ArtifactCounts, ClaimState, Ledger, LogEvent, NewRun, RepositoryCounts,
    RunCancelled, RunFailure, RunFilter, RunId, RunKind, RunOutcome, RunPhase, RunStatus,
};

async fn begin(ledger: &Ledger) -> ActiveRun {
    ActiveRun::begin(ledger, &import(), Timestamp::now)
        .await
        .unwrap()
}

async fn status(ledger: &Ledger, run: &RunId) -> RunStatus {
    ledger.find_run(run).await.unwrap().unwrap().outcome.status
}

async fn events_of(ledger: &Ledger, run: &RunId) -> Vec<LogEvent> {
    let lines = ledger.list_log(run).await.unwrap();
    lines.iter().map(|line| line.event).collect()
}

#[tokio::test]
async fn a_run_is_alive_as_long_as_it_is_held_by_whomever() {
    let (directory, ledger) = ledger().await;
    let path = directory.path().join("state");
    let run = begin(&ledger).await;
    let id = run.id().clone();
    let beside = Ledger::open(&path).await.unwrap();
    assert_eq!(status(&beside, &id).await, RunStatus::Running);
    drop(run);
    // Others use the directory, and the run is dead all the same.
    beside.interrupt_abandoned_runs(at(9)).await.unwrap();
    assert_eq!(status(&beside, &id).await, RunStatus::Interrupted);
    let log = events_of(&beside, &id).await;
    assert_eq!(log, [LogEvent::Started, LogEvent::Ended]);
    let names = std::fs::read_dir(&path).unwrap();
    let is_lock = |name: &str| name.starts_with("hold-");
    let locks =
        names.filter(|entry| is_lock(&entry.as_ref().unwrap().file_name().to_string_lossy()));
    assert_eq!(locks.count(), 0);
}

#[tokio::test]
async fn a_killed_run_ended_with_its_last_sign_of_life() {
    let (_directory, ledger) = ledger().await;
    let id = start(&ledger, at(1)).await;
    let page = crate::history::journal::Page {
        progress: Some(crate::history::RunProgress {
            phase: RunPhase::Moving,
            contents: 9,
            contents_done: 4,
            size_bytes: 900,
            done_bytes: 400,
            updated: at(5),
        }),
        moved_bytes: 400,
        lines: Vec::new(),
    };
    ledger.write_page(&id, &page).await.unwrap();
    ledger.interrupt_abandoned_runs(at(5_000)).await.unwrap();
    let run = ledger.find_run(&id).await.unwrap().unwrap();
    assert_eq!(run.ended, Some(at(5)));
    assert_eq!(run.outcome.moved_bytes, 400);
    assert_eq!(run.bytes_per_second(at(9_000)), Some(100));
    let progress = ledger.find_progress(&id).await.unwrap();
    assert_eq!(progress, page.progress);
}

#[tokio::test]
async fn what_a_run_tells_is_there_when_it_has_ended() {
    let (_directory, ledger) = ledger().await;
    let run = begin(&ledger).await;
    let id = run.id().clone();
    let events = run.events(&ignore_events(), RunPhase::Moving);
    events(Event::Planned {
        contents: 10_000,
        bytes: 10_000,
    });
    for number in 0..10_000_u32 {
        events(Event::Moved(1));
        events(Event::ContentDone(digest(&number.to_string())));
    }
    events(Event::Warning("look\u{1b}[2J out".to_owned()));
    run.tell(LogEvent::Failed, "web:1: it broke");
    let outcome = RunOutcome {
        moved_bytes: 10_000,
        present_bytes: 7,
        artifacts: ArtifactCounts {
            total: 2,
            delivered: 1,
            failed: 1,
            ..ArtifactCounts::default()
        },
        repositories: vec![RepositoryCounts {
            repository: "apps/web".to_owned(),
            artifacts: ArtifactCounts {
                total: 2,
                delivered: 1,
                failed: 1,
                ..ArtifactCounts::default()
            },
        }],
        failures: vec![RunFailure {
            artifact: "web:1".to_owned(),
            reason: "it broke".to_owned(),
        }],
        ..RunOutcome::new(RunStatus::PartlyFailed)
    };
    run.end(&outcome).await.unwrap();
    let found = ledger.find_run(&id).await.unwrap().unwrap();
    assert_eq!(found.outcome.present_bytes, 7);
    assert_eq!(found.outcome.artifacts, outcome.artifacts);
    let repositories = ledger.list_repositories(&id).await.unwrap();
    assert_eq!(repositories, outcome.repositories);
    let progress = ledger.find_progress(&id).await.unwrap().unwrap();
    assert_eq!(
        (progress.contents_done, progress.done_bytes),
        (10_000, 10_000)
    );
    let log = ledger.list_log(&id).await.unwrap();
    let told: Vec<LogEvent> = log.iter().map(|line| line.event).collect();
    assert_eq!(
        told,
        [
            LogEvent::Started,
            LogEvent::Planned,
            LogEvent::Warning,
            LogEvent::Failed,
            LogEvent::Ended
        ]
    );
    assert_eq!(log[2].text, "look\\u{1b}[2J out");
    assert!(
        log[4].text.starts_with("partly failed: 2 artifacts"),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_hears_of_it() {
    let (directory, ledger) = ledger().await;
    let run = begin(&ledger).await;
    let id = run.id().clone();
    let beside = Ledger::open(&directory.path().join("state")).await.unwrap();
    assert!(beside.ask_to_cancel(&id, "ops (1000)").await.unwrap());
    assert!(beside.ask_to_cancel(&id, "another (7)").await.unwrap());
    let error = run.cancelled().await;
    assert!(RunCancelled::is_cause_of(&error));
    run.fail(RunStatus::Failed, &error).await.unwrap();
    let ended = beside.find_run(&id).await.unwrap().unwrap();
    assert_eq!(ended.outcome.status, RunStatus::Cancelled);
    assert_eq!(ended.cancel_asked_by.as_deref(), Some("ops (1000)"));
    assert!(!beside.ask_to_cancel(&id, "ops (1000)").await.unwrap());
    let log = events_of(&beside, &id).await;
    assert_eq!(
        log,
        [LogEvent::Started, LogEvent::CancelAsked, LogEvent::Ended]
    );
}

#[tokio::test]
async fn runs_are_found_by_what_they_are() {
    let (_directory, ledger) = ledger().await;
    let export = NewRun {
        kind: RunKind::Export,
        pipeline: None,
        ..import()
    };
    for (second, new) in [(1, import()), (2, export.clone()), (3, export)] {
        let id = RunId::generate(at(second)).unwrap();
        ledger.insert_run(&id, &new, at(second)).await.unwrap();
        let outcome = RunOutcome::new(match second {
            3 => RunStatus::Failed,
            _ => RunStatus::Done,
        });
        ledger.end_run(&id, &outcome, at(second + 1)).await.unwrap();
    }
    let total = async |filter: RunFilter| ledger.find_runs(&filter, 1).await.unwrap().total;
    let none = RunFilter::default;
    assert_eq!(total(none()).await, 3);
    let kind = Some(RunKind::Export);
    assert_eq!(total(RunFilter { kind, ..none() }).await, 2);
    let status = Some(RunStatus::Failed);
    assert_eq!(total(RunFilter { status, ..none() }).await, 1);
    let pipeline = Some("plant".to_owned());
    assert_eq!(total(RunFilter { pipeline, ..none() }).await, 1);
    let runs = ledger.list_runs(9).await.unwrap();
    assert!(runs.is_sorted_by(|a, b| a.id > b.id));
    let id = runs[1].id.as_str();
    for (start, count) in [(id, 1), ("00", 3), ("ff", 0)] {
        assert_eq!(ledger.find_runs_by_start(start).await.unwrap().len(), count);
    }
}

#[tokio::test]
async fn what_decides_is_never_forgotten() {
    let (_directory, ledger) = ledger().await;
    let alive = begin(&ledger).await;
    let mut old = Vec::new();
    for outcome in [RunStatus::Done, RunStatus::PartlyFailed] {
        let id = start(&ledger, at(1)).await;
        let outcome = RunOutcome {
            failures: vec![RunFailure {
                artifact: "web:1".to_owned(),
                reason: "it broke".to_owned(),
            }],
            ..RunOutcome::new(outcome)
        };
        ledger.end_run(&id, &outcome, at(2)).await.unwrap();
        old.push(id);
    }
    // A watch asks it whether the bundle may go.
    ledger.offer("web", at(1)).await.unwrap();
    let lease = jiff::SignedDuration::from_secs(10);
    let claim = ledger.claim_object("web", "one", lease, at(1)).await;
    let claim = claim.unwrap().unwrap();
    ledger.complete(&claim, &old[1]).await.unwrap();
    assert_eq!(ledger.count_forgettable_runs(at(2)).await.unwrap(), 0);
    assert_eq!(ledger.count_forgettable_runs(at(3)).await.unwrap(), 1);
    let far = Timestamp::from_second(9_000_000_000).unwrap();
    assert_eq!(ledger.forget_runs(far).await.unwrap(), 1);
    assert!(ledger.find_run(&old[0]).await.unwrap().is_none());
    assert!(ledger.list_failures(&old[0]).await.unwrap().is_empty());
    assert!(ledger.list_log(&old[0]).await.unwrap().is_empty());
    assert_eq!(ledger.list_failures(&old[1]).await.unwrap().len(), 1);
    let claim = ledger.find_claim("web").await.unwrap().unwrap();
    assert_eq!(claim.state, ClaimState::Done);
    assert_eq!(status(&ledger, alive.id()).await, RunStatus::Running);
}

/// The ledger as the version before runs were told in full has written it.
#[tokio::test]
async fn an_older_ledger_is_taken_over() {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/frozen/ledger-2/ledger.db");
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(frozen, directory.path().join("ledger.db")).unwrap();
    let ledger = Ledger::open(directory.path()).await.unwrap();
    let runs = ledger.list_runs(100).await.unwrap();
    let kinds: Vec<_> = runs.iter().map(|run| run.start.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "import", "import", "import", "import", "export", "export", "export"
        ]
    );
    let statuses: Vec<_> = runs.iter().map(|run| run.outcome.status).collect();
    assert_eq!(
        (statuses[0], statuses[5]),
        (RunStatus::Interrupted, RunStatus::Failed)
    );
    assert_eq!(runs[2].start.comment, None);
    assert_eq!(runs[2].outcome.artifacts.delivered, 1);
    assert!(ledger.list_log(&runs[2].id).await.unwrap().is_empty());
    assert!(ledger.find_progress(&runs[2].id).await.unwrap().is_none());
    let known = ledger.find_pipeline("nightly").await.unwrap().unwrap();
    assert_eq!(known.newest.unwrap().sequence, 2);
    let lane = crate::history::Lane {
        pipeline: known.id,
        name: String::new(),
        target: "registry.example/mirror".to_owned(),
    };
    assert_eq!(ledger.list_accepted(&lane).await.unwrap().len(), 2);
    let run = begin(&ledger).await;
    let error = Error::new(ErrorKind::Failed, "it broke");
    run.fail(RunStatus::Failed, &error).await.unwrap();
    let later = Timestamp::now() + jiff::SignedDuration::from_secs(1);
    assert_eq!(ledger.forget_runs(later).await.unwrap(), 8);
    assert_eq!(ledger.list_accepted(&lane).await.unwrap().len(), 2);
    assert_ne!(lane.pipeline.as_str(), PIPELINE);
}
