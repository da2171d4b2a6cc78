//! What an export has done or would do, for people and for programs.

use serde_json::{Value, json};

use super::output::table;
use super::size::{count, show_size};
use crate::pipeline::{ExportPlan, ExportReport};
use crate::storage::StorageContainer;

pub(super) fn artifact_heads() -> Vec<String> {
    ["ARTIFACT", "DIGEST", "PLATFORMS", "REFERRERS"]
        .map(str::to_owned)
        .to_vec()
}

pub(super) fn artifact_rows(export: &ExportPlan) -> impl Iterator<Item = Vec<String>> {
    let plan = &export.plan;
    plan.artifacts.iter().map(|artifact| {
        let platforms: Vec<String> = artifact.platforms.iter().map(ToString::to_string).collect();
        vec![
            export.show_artifact(artifact),
            plan.manifests[artifact.root].descriptor.digest.short(),
            platforms.join(","),
            artifact.referrers.len().to_string(),
        ]
    })
}

pub(super) fn show_plan_totals(export: &ExportPlan) -> String {
    let plan = &export.plan;
    let bytes = export.carried_bytes();
    let mut text = format!(
        "bundle {}{}: {} and {} in {}, {} ({bytes} bytes) to move\n",
        export.name,
        show_position(export),
        count(export.carriage.blobs.len(), "blob"),
        count(plan.manifests.len(), "manifest"),
        count(export.volumes.len(), "volume"),
        show_size(bytes),
    );
    if let Some(line) = show_thinning(export) {
        text.push_str(&line);
    }
    for (artifact, reason) in &export.failures {
        text.push_str(&format!("left out: {artifact}: {reason}\n"));
    }
    text
}

/// What a bundle that leaves something out leaves out, and what that asks of the importer.
fn show_thinning(export: &ExportPlan) -> Option<String> {
    let carriage = &export.carriage;
    if carriage.assumed.is_empty() && carriage.rebuilt.is_empty() {
        return None;
    }
    let needed = export.needed_bytes();
    let mut line = format!(
        "  instead of {} ({needed} bytes): {} of the target, {} made again",
        show_size(needed),
        count(carriage.assumed.len(), "blob"),
        count(carriage.rebuilt.len(), "layer"),
    );
    if !carriage.rebuilt.is_empty() {
        let spooled = show_size(export.spooled_bytes());
        line.push_str(&format!(" with {spooled} of room in `--spool`"));
    }
    line.push('\n');
    Some(line)
}

fn show_position(export: &ExportPlan) -> String {
    match &export.position {
        Some(position) => format!(" ({}, sequence {})", position.name, position.sequence),
        None => String::new(),
    }
}

pub(super) fn plan_document(export: &ExportPlan) -> Value {
    let plan = &export.plan;
    let artifacts: Vec<Value> = plan
        .artifacts
        .iter()
        .map(|artifact| {
            json!({
                "reference": export.show_artifact(artifact),
                "digest": plan.manifests[artifact.root].descriptor.digest,
                "platforms": artifact.platforms,
                "referrers": artifact.referrers.len(),
            })
        })
        .collect();
    let position = export.position.as_ref();
    json!({
        "name": export.name,
        "set": export.set,
        "pipeline": position.map(|position| &position.name),
        "sequence": position.map(|position| position.sequence),
        "objects": export.object_names(),
        "artifacts": artifacts,
        "blobs": export.carriage.blobs.len(),
        "manifests": plan.manifests.len(),
        "toMoveBytes": export.carried_bytes(),
        "neededBytes": export.needed_bytes(),
        "assumed": export.carriage.assumed.len(),
        "rebuilt": export.carriage.rebuilt.len(),
        "spoolBytes": export.spooled_bytes(),
        "failures": failures_document(&export.failures),
    })
}

fn failures_document(failures: &[(String, String)]) -> Vec<Value> {
    let document = |(reference, reason): &(String, String)| json!({ "reference": reference, "reason": reason });
    failures.iter().map(document).collect()
}

pub(super) fn show_report(
    export: &ExportPlan,
    report: &ExportReport,
    container: &dyn StorageContainer,
) -> String {
    let mut text = String::new();
    if report.is_unchanged {
        text.push_str("unchanged: the same bundle is there already\n");
    }
    for volume in &report.volumes {
        text.push_str(&format!(
            "{}  {}\n  inventory {}\n",
            container.shown(&volume.object),
            show_size(volume.size_bytes),
            volume.inventory_digest
        ));
    }
    if let Some(position) = &export.position {
        text.push_str(&format!(
            "  pipeline {}, sequence {}\n",
            position.name, position.sequence
        ));
    }
    if let Some(line) = show_thinning(export).filter(|_| !report.is_unchanged) {
        text.push_str(&line);
    }
    let exported = artifact_rows(export)
        .enumerate()
        .filter(|(position, _)| report.exported.contains(position))
        .map(|(_, row)| row);
    let rows: Vec<Vec<String>> = std::iter::once(artifact_heads()).chain(exported).collect();
    let resumed = match report.resumed_bytes {
        0 => String::new(),
        bytes => format!(", {} brought by an interrupted run", show_size(bytes)),
    };
    text.push_str(&format!(
        "{}, {} moved{resumed}\n",
        count(report.exported.len(), "artifact"),
        show_size(report.moved_bytes)
    ));
    for line in table(&rows).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    for (artifact, reason) in &report.failures {
        text.push_str(&format!("failed: {artifact}: {reason}\n"));
    }
    text
}

pub(super) fn report_document(
    export: &ExportPlan,
    report: &ExportReport,
    container: &dyn StorageContainer,
) -> Value {
    let volumes: Vec<Value> = report
        .volumes
        .iter()
        .map(|volume| {
            json!({
                "path": container.shown(&volume.object),
                "sizeBytes": volume.size_bytes,
                "inventoryDigest": volume.inventory_digest,
            })
        })
        .collect();
    let plan = plan_document(export);
    let artifacts: Vec<&Value> = report
        .exported
        .iter()
        .map(|position| &plan["artifacts"][*position])
        .collect();
    json!({
        "name": report.name,
        "set": report.set,
        "pipeline": plan["pipeline"],
        "sequence": plan["sequence"],
        "unchanged": report.is_unchanged,
        "volumes": volumes,
        "artifacts": artifacts,
        "movedBytes": report.moved_bytes,
        "resumedBytes": report.resumed_bytes,
        "neededBytes": plan["neededBytes"],
        "assumed": plan["assumed"],
        "rebuilt": plan["rebuilt"],
        "failures": failures_document(&report.failures),
    })
}
