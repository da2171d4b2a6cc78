//! `airlift runs rerun`: a run's pipeline once more, with the rules that the configuration file has now.

use std::collections::BTreeSet;

use clap::Args;
use futures_util::TryStreamExt;
use jiff::Timestamp;

use super::find_one;
use crate::cli::commands::import;
use crate::cli::commands::run::{
    Request, find_pipeline, hold_run, import_of, object_url, refuse_others, start,
};
use crate::cli::config_args::ConfigArgument;
use crate::cli::configured::{Configuration, Pipeline, SectionKind, Settings, Words};
use crate::cli::container_args::{open_container, parse_container};
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::origin::Origin;
use crate::cli::output::Output;
use crate::cli::state_args::open_ledger;
use crate::history::{Run, RunFailure, RunStatus, Trigger};
use crate::pipeline::TargetReference;
use crate::pipeline::is_volume_name;
use crate::storage::{Missing, Purpose};

#[derive(Args)]
pub(super) struct RerunArguments {
    /// The run, by its id or the beginning of it
    #[arg(value_name = "ID")]
    id: String,

    /// Do all of it again, and not only what failed
    #[arg(long, conflicts_with = "failed")]
    all: bool,

    /// Do only what failed; where something did, this is the default
    #[arg(long)]
    failed: bool,

    /// Why this is done: `airlift runs show` tells it
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,

    #[command(flatten)]
    config: ConfigArgument,
}

/// How much of a run is done again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Extent {
    All,
    /// What failed, as the run called it.
    Failed(Vec<String>),
}

pub(super) async fn rerun(
    arguments: &RerunArguments,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    let configuration = arguments.config.require()?;
    let Some(state) = &configuration.state else {
        let shown = configuration.path.display();
        return Err(
            UsageError::new(format!("`{shown}` has no `state`, so no run is remembered")).into(),
        );
    };
    let ledger = open_ledger(state).await?;
    ledger.interrupt_abandoned_runs(Timestamp::now()).await?;
    let run = find_one(&ledger, &arguments.id).await?;
    let pipeline = pipeline_of(&configuration, &run)?;
    let told = match &arguments.comment {
        Some(comment) => format!("rerun of {}: {comment}", run.id),
        None => format!("rerun of {}", run.id),
    };
    let origin = origin
        .clone()
        .of_pipeline(pipeline.title(), Trigger::Manual, Some(told))
        .again(&run.id)
        .naming(&run.start.link.named);
    refuse_others(&configuration, pipeline, &origin).await?;
    let extent = arguments.extent(&run, ledger.list_failures(&run.id).await?)?;
    let hold = hold_run(&configuration, &pipeline.title()).await?;
    let done = match extent {
        extent if matches!(pipeline.settings, Settings::Import(_)) => {
            let words = words_of_import(pipeline, &run, &extent).await?;
            import::run(import_of(&words)?, &origin, output).await
        }
        extent => {
            let request = match extent {
                // All of a run is what it was asked for, and no more.
                Extent::All => Request {
                    only: run.start.link.named.clone(),
                    ..Request::default()
                },
                Extent::Failed(only) => Request {
                    only: name_at_source(pipeline, only)?,
                    is_exact: true,
                    ..Request::default()
                },
            };
            start(&configuration, pipeline, request, &origin, output).await
        }
    };
    drop(hold);
    done
}

/// What a promotion could not bring is known by its name at the target; it is asked for by the one at the source.
fn name_at_source(pipeline: &Pipeline, failed: Vec<String>) -> anyhow::Result<Vec<String>> {
    let Settings::Promotion(section) = &pipeline.settings else {
        return Ok(failed);
    };
    let edge = section.promotion.edge()?;
    let prefix = match edge.target() {
        TargetReference::Registry {
            prefix: Some(prefix),
            ..
        } => format!("{prefix}/"),
        _ => String::new(),
    };
    let below = failed.into_iter().map(|name| {
        let rest = name.strip_prefix(&prefix).map(str::to_owned);
        rest.unwrap_or(name)
    });
    Ok(below.collect())
}

/// The pipeline as the file has it now.
fn pipeline_of<'c>(configuration: &'c Configuration, run: &Run) -> anyhow::Result<&'c Pipeline> {
    if run.outcome.status == RunStatus::Running {
        let error = UsageError::new(format!("the run `{}` still goes on", run.id))
            .hint("`airlift runs cancel` stops it");
        return Err(error.exit(Exit::Failed).into());
    }
    let section = run.start.link.section.as_deref();
    let found = section.and_then(|section| section.split_once('.'));
    let found = found.and_then(|(kind, name)| Some((SectionKind::parse(kind)?, name)));
    let Some((kind, name)) = found else {
        let error = UsageError::new(format!(
            "the run `{}` was made from flags alone, which nobody has kept",
            run.id
        ))
        .hint("put them into the configuration file as a pipeline, and `airlift run` it");
        return Err(error.into());
    };
    find_pipeline(configuration, kind, name)
}

impl RerunArguments {
    fn extent(&self, run: &Run, failures: Vec<RunFailure>) -> anyhow::Result<Extent> {
        if self.all {
            return Ok(Extent::All);
        }
        let artifacts: BTreeSet<String> = failures.into_iter().map(|it| it.artifact).collect();
        match (artifacts.is_empty(), self.failed) {
            (false, _) => Ok(Extent::Failed(artifacts.into_iter().collect())),
            (true, false) => Ok(Extent::All),
            // It came to nothing before it could say what.
            (true, true) if run.outcome.status != RunStatus::Done => Ok(Extent::All),
            (true, true) => {
                let error = UsageError::new(format!("nothing of the run `{}` has failed", run.id))
                    .hint("`--all` does all of it again");
                Err(error.into())
            }
        }
    }
}

/// The run's bundle once more, although it was delivered; without a bundle whatever the container has.
async fn words_of_import(pipeline: &Pipeline, run: &Run, extent: &Extent) -> anyhow::Result<Words> {
    let mut words = pipeline.words.clone();
    words.flags.retain(|flag| !flag.starts_with("--replays="));
    words.flags.push("--replays=deliver".to_owned());
    if let Extent::Failed(artifacts) = extent {
        limit(&mut words, artifacts);
    }
    if let Some(bundle) = &run.start.bundle {
        let container = words.plain.first().cloned().unwrap_or_default();
        words.plain = find_volumes(&container, bundle).await?;
    }
    Ok(words)
}

/// Takes only the repositories of these artifacts. Where rules rename, their names at the source are not known, and
/// the whole bundle is done again: what is there is not moved again.
fn limit(words: &mut Words, artifacts: &[String]) {
    if words.values_of("rename").next().is_some() {
        return;
    }
    let target = words.values_of("target").next().unwrap_or_default();
    let prefix = target
        .split_once('/')
        .map(|(_, prefix)| format!("{}/", prefix.trim_end_matches('/')));
    let repositories: BTreeSet<String> = artifacts
        .iter()
        .map(|artifact| {
            let name = artifact.split(['@', ':']).next().unwrap_or_default();
            let below = prefix
                .as_deref()
                .and_then(|prefix| name.strip_prefix(prefix));
            format!("--repositories={}", below.unwrap_or(name))
        })
        .collect();
    words
        .flags
        .retain(|flag| !flag.starts_with("--repositories="));
    words.flags.extend(repositories);
}

async fn find_volumes(container: &str, bundle: &str) -> anyhow::Result<Vec<String>> {
    let reference = parse_container(container).map_err(UsageError::new)?;
    let opened = open_container(&reference, Missing::Refuse, Purpose::Import).await?;
    let objects: Vec<_> = opened.list(bundle).try_collect().await?;
    let is_of = |name: &str| {
        let rest = name.strip_prefix(bundle);
        rest.is_some_and(|rest| rest.starts_with('.')) && is_volume_name(name)
    };
    let names = objects.iter().map(|object| object.name.as_str());
    let volumes: Vec<String> = names
        .filter(|name| is_of(name))
        .map(|name| object_url(container, name))
        .collect();
    if volumes.is_empty() {
        let shown = opened.name();
        let error = UsageError::new(format!(
            "the bundle `{bundle}` is not in `{shown}` any more"
        ))
        .hint("bring it there again, or ask its sender for a new one");
        return Err(error.exit(Exit::Failed).into());
    }
    Ok(volumes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(target: &str, more: &[&str]) -> Words {
        let mut flags = vec![format!("--target={target}"), "--repositories=**".to_owned()];
        flags.extend(more.iter().map(|flag| (*flag).to_owned()));
        Words {
            flags,
            plain: Vec::new(),
        }
    }

    fn limited(mut words: Words, artifacts: &[&str]) -> Vec<String> {
        let artifacts: Vec<String> = artifacts.iter().map(|it| (*it).to_owned()).collect();
        limit(&mut words, &artifacts);
        words.values_of("repositories").map(str::to_owned).collect()
    }

    #[test]
    fn only_repositories_of_what_failed_are_taken_again() {
        let artifacts = [
            "mirror/apps/web:1",
            "mirror/apps/web:2",
            "mirror/db@sha256:0",
        ];
        let below = limited(words("far:5000/mirror", &[]), &artifacts);
        assert_eq!(below, ["apps/web", "db"]);
        let renamed = limited(words("far:5000/mirror", &["--rename=a/=b/"]), &artifacts);
        assert_eq!(renamed, ["**"]);
    }
}
