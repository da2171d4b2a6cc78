//! A run in figures: as a row for people, as a document for programs. Pure.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::cli::size::show_size;
use crate::history::{ArtifactCounts, Run, RunProgress, RunStatus};

pub(super) const HEADS: [&str; 10] = [
    "ID",
    "PIPELINE",
    "KIND",
    "STATUS",
    "TRIGGER",
    "STARTED",
    "DURATION",
    "ARTIFACTS",
    "BYTES",
    "SPEED",
];

/// Digits of an id that are shown in a list: when it was, and enough beside it to tell two runs apart.
const ID_SHOWN: usize = 16;
const NOTHING: &str = "-";

pub(super) fn row_of(run: &Run, now: Timestamp) -> Vec<String> {
    let id = run.id.as_str();
    let nothing = || NOTHING.to_owned();
    vec![
        id.get(..ID_SHOWN).unwrap_or(id).to_owned(),
        run.start
            .pipeline_name()
            .map_or_else(nothing, str::to_owned),
        run.start.kind.as_str().to_owned(),
        run.outcome.status.as_str().to_owned(),
        run.start.trigger.as_str().to_owned(),
        format!("{:.0}", run.started),
        show_duration(run.duration(now)),
        show_artifacts(&run.outcome.artifacts),
        show_size(run.outcome.moved_bytes),
        show_speed(run, now),
    ]
}

/// How many there are; they are counted when the run ends.
fn show_artifacts(counts: &ArtifactCounts) -> String {
    match (counts.total, counts.failed) {
        (0, _) => NOTHING.to_owned(),
        (total, 0) => total.to_string(),
        (total, failed) => format!("{total}, {failed} failed"),
    }
}

pub(super) fn show_speed(run: &Run, now: Timestamp) -> String {
    match run.bytes_per_second(now) {
        Some(speed) => format!("{}/s", show_size(speed)),
        None => NOTHING.to_owned(),
    }
}

/// `78ms`, `4.1s`, `12s`, `1m 12s`, `2h 5m`, `3d 4h`: two units are enough.
pub(super) fn show_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        ..1 => format!("{}ms", duration.subsec_millis()),
        1..10 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Whether how far it came says more than what came of it.
pub(super) fn stopped_on_its_way(status: RunStatus) -> bool {
    !matches!(
        status,
        RunStatus::Done | RunStatus::PartlyFailed | RunStatus::Refused
    )
}

/// `moving: 3 of 12 contents, 1.0 MB of 4.0 MB (25%)`.
pub(super) fn show_progress(progress: &RunProgress) -> String {
    let percent = match progress.size_bytes {
        0 => 100,
        size => u128::from(progress.done_bytes) * 100 / u128::from(size),
    };
    format!(
        "{}: {} of {} contents, {} of {} ({percent}%)",
        progress.phase.as_str(),
        progress.contents_done,
        progress.contents,
        show_size(progress.done_bytes),
        show_size(progress.size_bytes),
    )
}

pub(super) fn counts_document(counts: &ArtifactCounts) -> Value {
    json!({
        "total": counts.total,
        "delivered": counts.delivered,
        "unchanged": counts.unchanged,
        "kept": counts.kept,
        "failed": counts.failed,
    })
}

pub(super) fn progress_document(progress: &RunProgress) -> Value {
    json!({
        "phase": progress.phase.as_str(),
        "contents": progress.contents,
        "contentsDone": progress.contents_done,
        "bytes": progress.size_bytes,
        "bytesDone": progress.done_bytes,
        "updated": progress.updated.to_string(),
    })
}

pub(super) fn run_document(run: &Run, now: Timestamp) -> Map<String, Value> {
    let (start, outcome) = (&run.start, &run.outcome);
    let document = json!({
        "id": run.id.as_str(),
        "kind": start.kind.as_str(),
        "pipeline": start.pipeline,
        "section": start.link.section,
        "rerunOf": start.link.rerun_of.as_ref().map(ToString::to_string),
        "status": outcome.status.as_str(),
        "reason": outcome.reason,
        "trigger": start.trigger.as_str(),
        "who": start.who,
        "comment": start.comment,
        "cancelAskedBy": run.cancel_asked_by,
        "started": run.started.to_string(),
        "ended": run.ended.map(|ended| ended.to_string()),
        "durationMs": u64::try_from(run.duration(now).as_millis()).unwrap_or(u64::MAX),
        "container": start.container,
        "target": start.target,
        "bundle": start.bundle,
        "set": start.set,
        "inventoryDigest": start.inventory,
        "sequence": start.sequence,
        "artifacts": counts_document(&outcome.artifacts),
        "movedBytes": outcome.moved_bytes,
        "presentBytes": outcome.present_bytes,
        "bytesPerSecond": run.bytes_per_second(now),
    });
    match document {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::RunPhase;

    #[test]
    fn durations_have_two_units_at_most() {
        for (millis, text) in [
            (0, "0ms"),
            (449, "449ms"),
            (4_190, "4.1s"),
            (9_999, "9.9s"),
            (59_999, "59s"),
            (72_000, "1m 12s"),
            (7_500_000, "2h 5m"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(show_duration(SignedDuration::from_millis(millis)), text);
        }
    }

    #[test]
    fn artifacts_say_how_many_failed() {
        let counts = |total, failed| ArtifactCounts {
            total,
            failed,
            ..ArtifactCounts::default()
        };
        assert_eq!(show_artifacts(&counts(0, 0)), "-");
        assert_eq!(show_artifacts(&counts(5, 0)), "5");
        assert_eq!(show_artifacts(&counts(5, 2)), "5, 2 failed");
    }

    #[test]
    fn progress_is_told_in_contents_bytes_and_percent() {
        let progress = |size_bytes, done_bytes| RunProgress {
            phase: RunPhase::Moving,
            contents: 12,
            contents_done: 3,
            size_bytes,
            done_bytes,
            updated: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            show_progress(&progress(4_000_000, 1_000_000)),
            "moving: 3 of 12 contents, 1.0 MB of 4.0 MB (25%)"
        );
        assert!(show_progress(&progress(0, 0)).ends_with("(100%)"));
    }
}
