//! `airlift select`: which tags an export would take, and why.

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use futures_util::StreamExt;
use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::Output;
use crate::cli::reference_args::ReferenceArguments;
use crate::cli::registry_args::RegistryArguments;
use crate::cli::selection_args::SelectionArguments;
use crate::cli::selection_report::{
    Explanation, failures_document, taken_references, tell_totals, totals_document,
};
use crate::cli::state_args::open_for_selection;
use crate::content::{OnError, ReferrerPolicy};
use crate::oci::Platform;
use crate::pipeline::{
    Considered, NamedEntry, NamedReferences, Selecting, SelectionTotals, SourceReference,
};

/// Show which tags a selection takes, and why
///
/// Prints the references that are taken, one a line; with `--explain` every tag that was considered with the rule
/// that took or left it. Manifests are read only where a rule has to know more than names. That nothing is taken
/// is no failure.
///
/// Example: airlift select 'r.example/apps/*' --tags 'v.*' --newest 3 --explain
#[derive(Args)]
pub(in crate::cli) struct SelectArguments {
    #[command(flatten)]
    references: ReferenceArguments,

    /// Show every tag that was considered, with the rule that took or left it
    #[arg(long)]
    explain: bool,

    /// Leave out what cannot be read, and exit with 3
    #[arg(long)]
    continue_on_errors: bool,

    #[command(flatten)]
    selection: SelectionArguments,

    /// Leave the rollback tags that this state directory knows, and keep there what rules had to know of artifacts
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: Option<PathBuf>,

    /// Take only images that have one of these platforms, such as `linux/arm64`
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,

    #[command(flatten)]
    registries: RegistryArguments,
}

pub(in crate::cli) async fn run(
    arguments: SelectArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    let references = arguments.references()?;
    let on_error = match arguments.continue_on_errors {
        true => OnError::Continue,
        false => OnError::Stop,
    };
    // Cosign's tags are no choice of their own: an export finds them with their subjects.
    let (platforms, referrers) = (&arguments.platform, ReferrerPolicy::Leave);
    let mut selection = arguments.selection.build(platforms, referrers, on_error)?;
    selection.memory = open_for_selection(arguments.state.as_deref(), &selection.rules).await?;
    let connections = arguments.registries.connect().await?;
    let named = NamedReferences::Check;
    let selecting = Selecting::start(&references, &connections, &selection, named).await?;
    let told = match arguments.explain {
        true => explain(&selecting, output).await?,
        false => list(&selecting, output).await?,
    };
    tell_totals(&selection, &told.totals);
    for (reference, reason) in &told.failures {
        Output::warn(&format!("left out: {reference}: {reason}"));
    }
    Ok(match told.failures.is_empty() {
        true => Exit::Done,
        false => Exit::PartlyFailed,
    })
}

impl SelectArguments {
    fn references(&self) -> anyhow::Result<Vec<SourceReference>> {
        if self.references.is_empty() {
            let error = UsageError::new(
                "nothing to select from: give references, or a file of them with `--from-file`",
            );
            return Err(error.into());
        }
        self.references.read()
    }
}

/// What is left when everything was looked at.
#[derive(Default)]
struct Told {
    totals: SelectionTotals,
    /// A repository that was named with a tag may be in a glob too, and counts once.
    repositories: HashSet<String>,
    failures: Vec<(String, String)>,
}

impl Told {
    fn add(&mut self, considered: Considered) {
        match considered {
            Considered::Repository(judged) => {
                self.totals.count(&judged);
                self.repositories.insert(judged.name());
                self.failures.extend(judged.failures);
            }
            Considered::Named(named) => {
                let reference = named.reference;
                let name = format!("{}/{}", reference.registry, reference.repository);
                self.repositories.insert(name);
                self.totals.tags += 1;
                self.totals.taken += usize::from(named.failure.is_none());
                let failure = named.failure.map(|reason| (reference.to_string(), reason));
                self.failures.extend(failure);
            }
            Considered::Layout(named) => {
                let layout = format!("oci:{}", named.path.display());
                let name = |it: &NamedEntry| format!("{layout}:{}", it.repository);
                self.repositories.extend(named.entries.iter().map(name));
                self.totals.tags += named.entries.len();
                self.totals.taken += named.entries.len();
            }
        }
        self.totals.repositories = self.repositories.len();
    }
}

async fn explain(selecting: &Selecting, output: Output) -> anyhow::Result<Told> {
    let mut told = Told::default();
    let mut explanation = Explanation::begin(output, selecting.names());
    let mut considered = std::pin::pin!(selecting.stream());
    while let Some(considered) = considered.next().await {
        let considered = considered?;
        explanation.tell(&considered)?;
        told.add(considered);
    }
    told.totals.manifests_read = selecting.manifests_read();
    explanation.end(&told.totals, &told.failures)?;
    Ok(told)
}

/// Prints nothing before all is known: what reads the list must not take a part for the whole.
async fn list(selecting: &Selecting, output: Output) -> anyhow::Result<Told> {
    let mut told = Told::default();
    let mut taken = Vec::new();
    let mut considered = std::pin::pin!(selecting.stream());
    while let Some(considered) = considered.next().await {
        let considered = considered?;
        taken.extend(taken_references(&considered));
        told.add(considered);
    }
    told.totals.manifests_read = selecting.manifests_read();
    let document = json!({
        "references": taken,
        "totals": totals_document(&told.totals),
        "failures": failures_document(&told.failures),
    });
    if output.is_json() || !taken.is_empty() {
        output.print(&taken.join("\n"), &document)?;
    }
    Ok(told)
}
