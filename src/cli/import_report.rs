//! What an import has done, or would do: for people and for programs.

use serde_json::{Value, json};

use super::output::table;
use super::size::{count, show_size};
use crate::bundle::KeyId;
use crate::content::ArtifactOutcome;
use crate::pipeline::{
    ImportPlan, ImportReport, ImportedArtifact, LeftArtifact, Survey, Tailoring, TargetReference,
};

fn show_signers(signers: &[KeyId]) -> String {
    let signers: Vec<String> = signers.iter().map(ToString::to_string).collect();
    if signers.is_empty() {
        "nobody that was checked".to_owned()
    } else {
        signers.join(", ")
    }
}

pub(super) fn show_report(
    plan: &ImportPlan,
    report: &ImportReport,
    target: &TargetReference,
) -> String {
    let inventory = plan.bundle.inventory();
    let copy = &report.copy;
    let mut text = format!(
        "{} → {target}\n  inventory {}\n  signed by {}\n",
        inventory.name,
        plan.bundle.last().inventory_digest(),
        show_signers(&plan.signers)
    );
    text.push_str(&format!(
        "{}, {} moved, {} there already, {} mounted, {} moved\n",
        count(report.artifacts.len(), "artifact"),
        show_size(copy.pushed_bytes),
        show_size(copy.present_bytes),
        count(copy.mounted_contents, "blob"),
        count(copy.tags_moved, "tag"),
    ));
    let rows: Vec<Vec<String>> = report
        .artifacts
        .iter()
        .map(|artifact| {
            vec![
                show_outcome(&artifact.outcome),
                artifact.name.clone(),
                artifact.digest.to_string(),
                show_replaced(artifact),
            ]
        })
        .collect();
    for line in table(&rows).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    if let Some(contents) = report.read_back {
        text.push_str(&format!(
            "{} read back and right\n",
            count(contents, "content")
        ));
    }
    text
}

pub(super) fn show_replaced(artifact: &ImportedArtifact) -> String {
    match (&artifact.replaced, &artifact.rollback_tag) {
        (None, _) => String::new(),
        (Some(digest), None) => format!("replaces {}", digest.short()),
        (Some(digest), Some(tag)) => format!("replaces {}, now `{tag}`", digest.short()),
    }
}

pub(super) fn show_outcome(outcome: &ArtifactOutcome) -> String {
    match outcome {
        ArtifactOutcome::Delivered => "delivered".to_owned(),
        ArtifactOutcome::Unchanged => "unchanged".to_owned(),
        ArtifactOutcome::Kept => "kept".to_owned(),
        ArtifactOutcome::Held(reason) => format!("kept: {reason}"),
        ArtifactOutcome::Failed(reason) => format!("failed: {reason}"),
    }
}

pub(super) fn report_document(plan: &ImportPlan, report: &ImportReport) -> Value {
    let artifacts: Vec<Value> = report
        .artifacts
        .iter()
        .zip(plan.source_names())
        .map(|(artifact, source)| {
            let (outcome, reason) = match &artifact.outcome {
                ArtifactOutcome::Failed(reason) => ("failed".to_owned(), Some(reason)),
                ArtifactOutcome::Held(reason) => ("kept".to_owned(), Some(reason)),
                other => (show_outcome(other), None),
            };
            json!({
                "name": artifact.name,
                "source": source,
                "digest": artifact.digest,
                "outcome": outcome,
                "reason": reason,
                "replaced": artifact.replaced,
                "rollbackTag": artifact.rollback_tag.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    let signers: Vec<String> = plan.signers.iter().map(ToString::to_string).collect();
    json!({
        "name": plan.bundle.inventory().name,
        "inventoryDigest": plan.bundle.last().inventory_digest(),
        "signers": signers,
        "artifacts": artifacts,
        "left": left_documents(plan),
        "movedBytes": report.copy.pushed_bytes,
        "movedContents": report.copy.pushed_contents,
        "presentBytes": report.copy.present_bytes,
        "presentContents": report.copy.present_contents,
        "mountedContents": report.copy.mounted_contents,
        "tagsMoved": report.copy.tags_moved,
        "readBackContents": report.read_back,
    })
}

pub(super) fn survey_document(plan: &ImportPlan, survey: &Survey) -> Value {
    let artifacts: Vec<Value> = plan
        .artifact_names()
        .zip(plan.source_names())
        .map(|((name, digest), source)| json!({ "name": name, "source": source, "digest": digest }))
        .collect();
    json!({
        "name": plan.bundle.inventory().name,
        "inventoryDigest": plan.bundle.last().inventory_digest(),
        "artifacts": artifacts,
        "left": left_documents(plan),
        "toMoveBytes": survey.to_move_bytes,
        "toMoveContents": survey.to_move_contents,
        "presentBytes": survey.present_bytes,
        "presentContents": survey.present_contents,
        "spoolBytes": plan.bundle.inventory().spool_bytes(),
        "toCreate": creation_documents(survey),
    })
}

/// What the target would be asked to create.
pub(super) fn creation_documents(survey: &Survey) -> Vec<Value> {
    let documents = survey.to_create.iter().map(|missing| {
        json!({
            "kind": missing.provision.kind.as_str(),
            "name": missing.provision.name,
            "isCertain": missing.is_certain,
        })
    });
    documents.collect()
}

/// The same for people, a line for each.
pub(super) fn show_creations(survey: &Survey) -> String {
    let lines = survey.to_create.iter().map(|missing| {
        let doubt = match missing.is_certain {
            true => "",
            false => ", if it is missing: this login may not ask",
        };
        format!("  creates {}{doubt}\n", missing.provision)
    });
    lines.collect()
}

fn left_documents(plan: &ImportPlan) -> Vec<Value> {
    let document = |left: &LeftArtifact| {
        json!({
            "source": left.source,
            "digest": left.digest,
            "rule": left.rule,
            "reason": left.reason,
        })
    };
    plan.left.iter().map(document).collect()
}

/// What a dry run says of one bundle: figures, every artifact with its names at both ends, and what is left by which
/// rule.
pub(super) fn show_survey(plan: &ImportPlan, survey: &Survey, target: &TargetReference) -> String {
    let name = &plan.bundle.inventory().name;
    let mut text = format!(
        "{name} → {target}: {} to move ({} bytes), {} there already ({} bytes)\n",
        show_size(survey.to_move_bytes),
        survey.to_move_bytes,
        show_size(survey.present_bytes),
        survey.present_bytes,
    );
    let names = plan.artifact_names().zip(plan.source_names());
    let taken = names
        .map(|((name, digest), source)| vec![format!("{source} → {name}"), digest.to_string()]);
    let left = plan.left.iter().map(|left| {
        let rule = left.rule.map_or(String::new(), |rule| format!("{rule}: "));
        let reason = format!("left: {rule}{}", left.reason);
        vec![left.source.clone(), left.digest.to_string(), reason]
    });
    if let spool_bytes @ 1.. = plan.bundle.inventory().spool_bytes() {
        let room = show_size(spool_bytes);
        text.push_str(&format!(
            "  {room} of room in the spool ({spool_bytes} bytes)\n"
        ));
    }
    text.push_str(&show_creations(survey));
    for line in table(&taken.chain(left).collect::<Vec<_>>()).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

/// How much of a bundle is taken; `None` where nobody has asked for a part of it.
pub(super) fn tell_part(plan: &ImportPlan, tailoring: &Tailoring) -> Option<String> {
    tailoring.part.as_ref()?;
    let taken = plan.plan.artifacts.len();
    let total = count(taken + plan.left.len(), "artifact");
    let name = &plan.bundle.inventory().name;
    Some(match taken {
        0 => format!("`{name}`: nothing selected of {total}"),
        taken => format!("`{name}`: {taken} of {total} selected"),
    })
}
