//! What a promotion has done, or would do: for people and for programs.

use serde_json::{Value, json};

use super::import_report::{creation_documents, show_creations, show_outcome, show_replaced};
use super::output::table;
use super::size::{count, show_size};
use crate::content::ArtifactOutcome;
use crate::history::{RunId, reference_at};
use crate::pipeline::{PromotionEdge, PromotionPlan, PromotionReport, Survey};

/// From where to where, and by which pipeline.
pub(super) struct PromotionEnds {
    source: String,
    target: String,
    pipeline: Option<String>,
}

impl PromotionEnds {
    pub(super) fn of(edge: &PromotionEdge, pipeline: Option<String>) -> Self {
        Self {
            source: edge.source().to_string(),
            target: edge.target().to_string(),
            pipeline,
        }
    }

    /// What is told where nothing was selected.
    pub(super) fn nothing_document(&self) -> Value {
        json!({
            "source": self.source,
            "target": self.target,
            "pipeline": self.pipeline,
            "artifacts": [],
            "failures": [],
        })
    }

    fn head(&self) -> String {
        format!("{} → {}", self.source, self.target)
    }

    /// `REGISTRY/REPOSITORY:TAG` at the target.
    fn reference(&self, name: &str) -> String {
        reference_at(&self.target, name)
    }
}

pub(super) fn show_report(
    ends: &PromotionEnds,
    plan: &PromotionPlan,
    report: &PromotionReport,
) -> String {
    let copy = &report.copy;
    let mut text = format!(
        "{}\n{}, {} moved, {} there already, {} mounted, {} moved\n",
        ends.head(),
        count(report.artifacts.len(), "artifact"),
        show_size(copy.pushed_bytes),
        show_size(copy.present_bytes),
        count(copy.mounted_contents, "blob"),
        count(copy.tags_moved, "tag"),
    );
    let rows = report.artifacts.iter().map(|artifact| {
        vec![
            show_outcome(&artifact.outcome),
            ends.reference(&artifact.name),
            artifact.digest.to_string(),
            show_replaced(artifact),
        ]
    });
    push_rows(
        &mut text,
        &rows.chain(failure_rows(plan)).collect::<Vec<_>>(),
    );
    if let Some(contents) = report.read_back {
        text.push_str(&format!(
            "{} read back and right\n",
            count(contents, "content")
        ));
    }
    text
}

pub(super) fn show_survey(ends: &PromotionEnds, plan: &PromotionPlan, survey: &Survey) -> String {
    let mut text = format!(
        "{}: {} to move ({} bytes), {} there already ({} bytes)\n",
        ends.head(),
        show_size(survey.to_move_bytes),
        survey.to_move_bytes,
        show_size(survey.present_bytes),
        survey.present_bytes,
    );
    let names = plan.artifact_names().zip(plan.source_references());
    let rows = names.map(|((name, digest), source)| {
        let target = ends.reference(&name);
        vec![format!("{source} → {target}"), digest.to_string()]
    });
    text.push_str(&show_creations(survey));
    push_rows(
        &mut text,
        &rows.chain(failure_rows(plan)).collect::<Vec<_>>(),
    );
    text
}

fn failure_rows(plan: &PromotionPlan) -> impl Iterator<Item = Vec<String>> {
    let failures = plan.failures.iter();
    failures.map(|(reference, reason)| vec![format!("failed: {reason}"), reference.clone()])
}

fn push_rows(text: &mut String, rows: &[Vec<String>]) {
    for line in table(rows).lines() {
        text.push_str(&format!("  {line}\n"));
    }
}

pub(super) fn report_document(
    ends: &PromotionEnds,
    plan: &PromotionPlan,
    (report, run): (&PromotionReport, Option<&RunId>),
) -> Value {
    let artifacts = report.artifacts.iter().zip(plan.source_references());
    let artifacts = artifacts.map(|(artifact, source)| {
        let (outcome, reason) = match &artifact.outcome {
            ArtifactOutcome::Failed(reason) => ("failed".to_owned(), Some(reason)),
            ArtifactOutcome::Held(reason) => ("kept".to_owned(), Some(reason)),
            other => (show_outcome(other), None),
        };
        json!({
            "source": source,
            "target": ends.reference(&artifact.name),
            "digest": artifact.digest,
            "outcome": outcome,
            "reason": reason,
            "replaced": artifact.replaced,
            "rollbackTag": artifact.rollback_tag.as_ref().map(ToString::to_string),
        })
    });
    json!({
        "source": ends.source,
        "target": ends.target,
        "pipeline": ends.pipeline,
        "run": run.map(ToString::to_string),
        "artifacts": artifacts.collect::<Vec<_>>(),
        "failures": failure_documents(plan),
        "movedBytes": report.copy.pushed_bytes,
        "movedContents": report.copy.pushed_contents,
        "presentBytes": report.copy.present_bytes,
        "presentContents": report.copy.present_contents,
        "mountedContents": report.copy.mounted_contents,
        "tagsMoved": report.copy.tags_moved,
        "readBackContents": report.read_back,
    })
}

pub(super) fn survey_document(
    ends: &PromotionEnds,
    plan: &PromotionPlan,
    survey: &Survey,
) -> Value {
    let names = plan.artifact_names().zip(plan.source_references());
    let artifacts = names.map(|((name, digest), source)| {
        json!({ "source": source, "target": ends.reference(&name), "digest": digest })
    });
    json!({
        "dryRun": true,
        "source": ends.source,
        "target": ends.target,
        "pipeline": ends.pipeline,
        "artifacts": artifacts.collect::<Vec<_>>(),
        "failures": failure_documents(plan),
        "toMoveBytes": survey.to_move_bytes,
        "toMoveContents": survey.to_move_contents,
        "presentBytes": survey.present_bytes,
        "presentContents": survey.present_contents,
        "toCreate": creation_documents(survey),
    })
}

fn failure_documents(plan: &PromotionPlan) -> Vec<Value> {
    let failures = plan.failures.iter();
    let document = |(reference, reason): &(String, String)| json!({ "reference": reference, "reason": reason });
    failures.map(document).collect()
}
