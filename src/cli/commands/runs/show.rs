//! One run in full.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::RunArgument;
use super::figures::{
    counts_document, progress_document, run_document, show_duration, show_progress, show_speed,
    stopped_on_its_way,
};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, table};
use crate::cli::size::show_size;
use crate::history::{
    ArtifactCounts, RepositoryCounts, Run, RunBundle, RunFailure, RunKind, RunProgress,
};

/// Everything that is known of a run.
struct FullRun {
    run: Run,
    repositories: Vec<RepositoryCounts>,
    failures: Vec<RunFailure>,
    bundles: Vec<RunBundle>,
    progress: Option<RunProgress>,
    now: Timestamp,
}

pub(super) async fn show(argument: &RunArgument, output: Output) -> anyhow::Result<Exit> {
    let (ledger, run) = argument.open().await?;
    let full = FullRun {
        repositories: ledger.list_repositories(&run.id).await?,
        failures: ledger.list_failures(&run.id).await?,
        bundles: ledger.list_bundles(&run.id).await?,
        progress: match stopped_on_its_way(run.outcome.status) {
            true => ledger.find_progress(&run.id).await?,
            false => None,
        },
        now: Timestamp::now(),
        run,
    };
    output.print(&full.show(), &full.document())?;
    Ok(Exit::Done)
}

impl FullRun {
    fn show(&self) -> String {
        let mut text = table(&self.rows());
        if !self.repositories.is_empty() {
            text.push_str(&format!(
                "\n{}",
                table(&repository_rows(&self.repositories))
            ));
        }
        if !self.bundles.is_empty() {
            text.push_str(&format!("\n{}", table(&bundle_rows(&self.bundles))));
        }
        if !self.failures.is_empty() {
            let heads = ["FAILED", "REASON"].map(str::to_owned).to_vec();
            let failures = self.failures.iter();
            let rows = failures.map(|it| vec![it.artifact.clone(), it.reason.clone()]);
            let rows: Vec<Vec<String>> = std::iter::once(heads).chain(rows).collect();
            text.push_str(&format!("\n{}", table(&rows)));
        }
        text
    }

    /// Name and value; what is not known is left out.
    fn rows(&self) -> Vec<Vec<String>> {
        let Run { start, outcome, .. } = &self.run;
        let known = [
            ("run", Some(self.run.id.to_string())),
            ("kind", Some(start.kind.as_str().to_owned())),
            ("pipeline", start.pipeline.clone()),
            ("section", start.link.section.clone()),
            (
                "rerun of",
                start.link.rerun_of.as_ref().map(ToString::to_string),
            ),
            ("sequence", start.sequence.map(|number| number.to_string())),
            ("status", Some(outcome.status.as_str().to_owned())),
            ("reason", outcome.reason.clone()),
            ("cancel asked by", self.run.cancel_asked_by.clone()),
            ("progress", self.progress.as_ref().map(show_progress)),
            ("trigger", Some(start.trigger.as_str().to_owned())),
            ("who", Some(start.who.clone())),
            ("comment", start.comment.clone()),
            ("started", Some(format!("{:.0}", self.run.started))),
            ("ended", self.run.ended.map(|ended| format!("{ended:.0}"))),
            ("duration", Some(show_duration(self.run.duration(self.now)))),
            (source_label(start.kind), start.container.clone()),
            ("target", start.target.clone()),
            ("bundle", start.bundle.clone()),
            ("set", start.set.clone()),
            (
                "inventory",
                start.inventory.as_ref().map(ToString::to_string),
            ),
            ("artifacts", show_counts(&outcome.artifacts)),
            ("bytes", Some(self.show_bytes())),
            ("speed", Some(show_speed(&self.run, self.now))),
        ];
        let row = |(name, value): (&str, Option<String>)| Some(vec![name.to_owned(), value?]);
        known.into_iter().filter_map(row).collect()
    }

    fn show_bytes(&self) -> String {
        let outcome = &self.run.outcome;
        format!(
            "{} moved, {} there already",
            show_size(outcome.moved_bytes),
            show_size(outcome.present_bytes)
        )
    }

    fn document(&self) -> Map<String, Value> {
        let mut document = run_document(&self.run, self.now);
        let repositories = self.repositories.iter().map(|counts| {
            json!({
                "repository": counts.repository,
                "artifacts": counts_document(&counts.artifacts),
            })
        });
        let failures = self
            .failures
            .iter()
            .map(|failure| json!({ "artifact": failure.artifact, "reason": failure.reason }));
        document.insert("repositories".to_owned(), repositories.collect());
        let bundles = self.bundles.iter().map(|bundle| {
            json!({
                "name": bundle.name,
                "pipeline": bundle.pipeline,
                "sequence": bundle.sequence,
                "inventoryDigest": bundle.inventory,
            })
        });
        document.insert("failures".to_owned(), failures.collect());
        document.insert("bundles".to_owned(), bundles.collect());
        if let Some(progress) = &self.progress {
            document.insert("progress".to_owned(), progress_document(progress));
        }
        document
    }
}

/// A promotion reads from a registry.
fn source_label(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Promotion => "source",
        _ => "container",
    }
}

/// They are counted when the run ends.
fn show_counts(counts: &ArtifactCounts) -> Option<String> {
    let ArtifactCounts {
        total,
        delivered,
        unchanged,
        kept,
        failed,
    } = counts;
    (*total > 0).then(|| {
        format!(
            "{total}: {delivered} delivered, {unchanged} unchanged, {kept} kept, {failed} failed"
        )
    })
}

fn bundle_rows(bundles: &[RunBundle]) -> Vec<Vec<String>> {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut rows = vec![
        ["BUNDLE", "PIPELINE", "SEQUENCE", "INVENTORY"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(bundles.iter().map(|bundle| {
        vec![
            bundle.name.clone(),
            shown(bundle.pipeline.clone()),
            shown(bundle.sequence.map(|sequence| sequence.to_string())),
            shown(bundle.inventory.as_ref().map(ToString::to_string)),
        ]
    }));
    rows
}

fn repository_rows(repositories: &[RepositoryCounts]) -> Vec<Vec<String>> {
    let heads = [
        "REPOSITORY",
        "ARTIFACTS",
        "DELIVERED",
        "UNCHANGED",
        "KEPT",
        "FAILED",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(repositories.iter().map(|it| {
        let counts = &it.artifacts;
        let figures = [
            counts.total,
            counts.delivered,
            counts.unchanged,
            counts.kept,
            counts.failed,
        ];
        let mut row = vec![it.repository.clone()];
        row.extend(figures.map(|figure| figure.to_string()));
        row
    }));
    rows
}
