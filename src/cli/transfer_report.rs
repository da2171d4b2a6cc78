//! What a transfer has done or would do, for people and for programs.

use serde_json::{Value, json};

use super::output::Output;
use super::size::{count, show_size};
use crate::content::{Error, OnError, Result, describe};
use crate::pipeline::{
    IgnoredObject, ObjectOutcome, PlannedAction, PlannedBundle, TransferOptions, TransferPlan,
    TransferReport, TransferredBundle,
};

/// Foreign objects that are named one by one.
const IGNORED_SHOWN_MAX: usize = 5;

pub(super) fn show_plan(plan: &TransferPlan, free_bytes: Option<u64>) -> String {
    let mut text = String::new();
    for bundle in &plan.bundles {
        let to_copy = bundle.objects.iter().filter(|object| object.is_to_copy());
        text.push_str(&format!(
            "bundle {}: {} to copy, {} bytes{}\n",
            title(&bundle.name, bundle.pipeline.as_deref(), bundle.sequence),
            count(to_copy.count(), "object"),
            bundle.bytes_to_copy(),
            show_missing(&bundle.missing_volumes),
        ));
        for object in &bundle.objects {
            let action = action_name(object.action);
            text.push_str(&format!("  {action:<9} {}\n", object.name()));
        }
        if let Some(refusal) = &bundle.refusal {
            text.push_str(&format!("  refused: {refusal}\n"));
        }
    }
    for failure in &plan.refused {
        text.push_str(&format!("refused: {}\n", describe(&failure.error)));
    }
    text.push_str(&show_rest(&plan.arriving, &plan.ignored));
    text.push_str(&format!("{} bytes to copy", plan.bytes_to_copy()));
    if let Some(free) = free_bytes {
        text.push_str(&format!(", {} free", show_size(free)));
    }
    text + "\n"
}

pub(super) fn show_report(report: &TransferReport, options: &TransferOptions) -> String {
    let mut text = String::new();
    for bundle in &report.bundles {
        let is_whole = !report.failures.iter().any(|it| it.name == bundle.name);
        text.push_str(&show_bundle(bundle, is_whole));
    }
    // A transfer that stops at a failure tells it as its own.
    let is_told = options.on_error == OnError::Continue;
    for failure in report.failures.iter().filter(|_| is_told) {
        let error = describe(&failure.error);
        text.push_str(&format!("failed: {}: {error}\n", failure.name));
    }
    text.push_str(&show_rest(&report.arriving, &report.ignored));
    let (streamed, streamed_bytes) = report.total(ObjectOutcome::Streamed);
    let (by_service, service_bytes) = report.total(ObjectOutcome::CopiedByService);
    let (copied, copied_bytes) = (streamed + by_service, streamed_bytes + service_bytes);
    let (kept, kept_bytes) = report.total(ObjectOutcome::Kept);
    text.push_str(&format!(
        "{} copied, {}; {} there already, {}\n",
        count(copied, "object"),
        show_size(copied_bytes),
        kept,
        show_size(kept_bytes),
    ));
    if by_service > 0 {
        text.push_str(&format!(
            "{} of them by the service itself, past this process\n",
            show_size(service_bytes)
        ));
    }
    if report.resumed_bytes > 0 {
        text.push_str(&format!(
            "{} of them were there from an interrupted run, and are proven\n",
            show_size(report.resumed_bytes)
        ));
    }
    if report.verified_objects > 0 {
        let objects = count(report.verified_objects, "object");
        text.push_str(&format!("{objects} read back and right\n"));
    }
    if report.is_safe_to_remove {
        let place = options.target.name();
        text.push_str(&format!(
            "all of it is on the device: {place} is safe to remove\n"
        ));
    }
    text
}

fn show_bundle(bundle: &TransferredBundle, is_whole: bool) -> String {
    let copied = |(_, _, outcome): &&(String, u64, ObjectOutcome)| *outcome != ObjectOutcome::Kept;
    let copied: Vec<_> = bundle.objects.iter().filter(copied).collect();
    let bytes = copied.iter().map(|(_, size, _)| size).sum();
    let done = match copied.len() {
        0 if is_whole => "there already".to_owned(),
        number => format!("{} copied, {}", count(number, "object"), show_size(bytes)),
    };
    let stopped = if is_whole { "" } else { ", and not all of it" };
    let removed = match bundle.is_removed_at_source {
        true => ", removed at the source",
        false => "",
    };
    format!(
        "bundle {}: {done}{stopped}{}{removed}\n",
        title(&bundle.name, bundle.pipeline.as_deref(), bundle.sequence),
        show_missing(&bundle.missing_volumes),
    )
}

fn title(name: &str, pipeline: Option<&str>, sequence: Option<u64>) -> String {
    match (pipeline, sequence) {
        (Some(pipeline), Some(sequence)) => format!("{name} ({pipeline} {sequence})"),
        _ => name.to_owned(),
    }
}

fn show_missing(missing: &[u32]) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let numbers: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let noun = if missing.len() == 1 {
        "volume"
    } else {
        "volumes"
    };
    format!(", without {noun} {}", numbers.join(", "))
}

fn show_rest(arriving: &[String], ignored: &[IgnoredObject]) -> String {
    let mut text = String::new();
    for name in arriving {
        text.push_str(&format!(
            "not yet: {name}: it ends before its end, and may still be arriving\n"
        ));
    }
    for object in ignored.iter().take(IGNORED_SHOWN_MAX) {
        text.push_str(&format!("left: {}: {}\n", object.name, object.reason));
    }
    let more = ignored.len().saturating_sub(IGNORED_SHOWN_MAX);
    if more > 0 {
        text.push_str(&format!("left: {more} more that are no bundles\n"));
    }
    text
}

fn action_name(action: PlannedAction) -> &'static str {
    match action {
        PlannedAction::Copy => "copy",
        PlannedAction::Replace => "replace",
        PlannedAction::Keep => "unchanged",
    }
}

fn outcome_name(outcome: ObjectOutcome) -> &'static str {
    match outcome {
        ObjectOutcome::Streamed => "streamed",
        ObjectOutcome::CopiedByService => "copied-by-service",
        ObjectOutcome::Kept => "unchanged",
    }
}

pub(super) fn plan_document(
    plan: &TransferPlan,
    options: &TransferOptions,
    free_bytes: Option<u64>,
) -> Value {
    let bundle = |bundle: &PlannedBundle| {
        let objects = bundle.objects.iter().map(|object| {
            json!({
                "name": object.name(),
                "sizeBytes": object.size_bytes(),
                "action": action_name(object.action),
            })
        });
        json!({
            "name": bundle.name,
            "pipeline": bundle.pipeline,
            "sequence": bundle.sequence,
            "objects": objects.collect::<Vec<Value>>(),
            "missingVolumes": bundle.missing_volumes,
            "refused": bundle.refusal.as_ref().map(ToString::to_string),
        })
    };
    let refused = plan
        .refused
        .iter()
        .map(|failure| failure_document(&failure.name, &failure.error));
    json!({
        "dryRun": true,
        "source": options.source.name(),
        "target": options.target.name(),
        "freeBytes": free_bytes,
        "toCopyBytes": plan.bytes_to_copy(),
        "bundles": plan.bundles.iter().map(bundle).collect::<Vec<Value>>(),
        "failures": refused.collect::<Vec<Value>>(),
        "arriving": plan.arriving,
        "ignored": ignored_documents(&plan.ignored),
    })
}

pub(super) fn report_document(
    report: &TransferReport,
    options: &TransferOptions,
    is_checked: bool,
) -> Value {
    let bundle = |bundle: &TransferredBundle| {
        let objects = bundle.objects.iter().map(|(name, size, outcome)| {
            json!({ "name": name, "sizeBytes": size, "outcome": outcome_name(*outcome) })
        });
        json!({
            "name": bundle.name,
            "pipeline": bundle.pipeline,
            "sequence": bundle.sequence,
            "objects": objects.collect::<Vec<Value>>(),
            "missingVolumes": bundle.missing_volumes,
            "removedAtSource": bundle.is_removed_at_source,
        })
    };
    let failures = report
        .failures
        .iter()
        .map(|failure| failure_document(&failure.name, &failure.error));
    json!({
        "source": options.source.name(),
        "target": options.target.name(),
        "signaturesChecked": is_checked,
        "bundles": report.bundles.iter().map(bundle).collect::<Vec<Value>>(),
        "copiedBytes": report.total(ObjectOutcome::Streamed).1
            + report.total(ObjectOutcome::CopiedByService).1,
        "unchangedBytes": report.total(ObjectOutcome::Kept).1,
        "streamedBytes": report.streamed_bytes,
        "resumedBytes": report.resumed_bytes,
        "verifiedObjects": report.verified_objects,
        "safeToRemove": report.is_safe_to_remove,
        "failures": failures.collect::<Vec<Value>>(),
        "arriving": report.arriving,
        "ignored": ignored_documents(&report.ignored),
    })
}

fn failure_document(name: &str, error: &Error) -> Value {
    json!({ "name": name, "reason": describe(error) })
}

fn ignored_documents(ignored: &[IgnoredObject]) -> Vec<Value> {
    let document = |object: &IgnoredObject| json!({ "name": object.name, "reason": object.reason });
    ignored.iter().map(document).collect()
}

/// Tells what a round of a watch did; a failure that stays is told once.
pub(super) fn tell_round(
    round: Result<TransferReport>,
    options: &TransferOptions,
    is_checked: bool,
    output: Output,
    last: &mut String,
) {
    let (failures, report) = match round {
        Err(error) => (describe(&error), None),
        Ok(report) => {
            let failures = report
                .failures
                .iter()
                .map(|failure| describe(&failure.error));
            (failures.collect::<Vec<String>>().join("; "), Some(report))
        }
    };
    if !failures.is_empty() && failures != *last {
        Output::warn(&failures);
    }
    *last = failures;
    if let Some(report) = report.filter(TransferReport::has_moved) {
        let document = report_document(&report, options, is_checked);
        // A reader that has gone must not stop the watch.
        let _ = output.print(&show_report(&report, options), &document);
    }
}
