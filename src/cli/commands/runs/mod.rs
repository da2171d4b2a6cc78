//! `airlift runs`: what was run and what goes on, as a state directory remembers it.

mod change;
mod figures;
mod list;
mod log;
mod rerun;
mod show;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::cli::config_args::ConfigArgument;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::origin::Origin;
use crate::cli::output::Output;
use crate::cli::state_args::open_ledger;
use crate::history::{Ledger, Run, RunKind, RunStatus};

/// List exports, transfers, imports and deliveries of watches, the newest first
///
/// What is listed is what a state directory remembers: of exports, transfers and imports with `--state`, and of every
/// bundle that a watch has taken up. A run that goes on shows how far it is.
///
/// Example: airlift runs --state /var/lib/airlift --status failed
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(in crate::cli) struct RunsArguments {
    #[command(subcommand)]
    command: Option<RunsCommand>,

    /// The state directory that the runs were given
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE", required = true)]
    state: Option<PathBuf>,

    /// How many runs are listed, from the newest
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,

    /// Only runs of this pipeline
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,

    /// Only runs that go on, or that ended in this way
    #[arg(long, value_name = "STATUS", value_parser = statuses())]
    status: Option<RunStatus>,

    /// Only runs of this command
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<RunKind>,

    #[command(flatten)]
    config: ConfigArgument,

    /// Go on showing them until Ctrl-C; where there is no terminal, a line for each run that begins or ends
    #[arg(long)]
    watch: bool,
}

#[derive(Subcommand)]
enum RunsCommand {
    /// Show a run in full: figures, repositories, failures with reasons, and how far it is
    ///
    /// Example: airlift runs show 01a202e5740902bf --state /var/lib/airlift
    Show(RunArgument),
    /// Print what happened in a run, line by line
    ///
    /// Example: airlift runs log --state /var/lib/airlift
    Log(log::LogArguments),
    /// Do a run of a configured pipeline again, with the rules that the file has now
    ///
    /// Where something failed only that is done again; what is there is not moved again. The new run's record names
    /// the old one.
    ///
    /// Example: airlift runs rerun 01a202e5740902bf --config airlift.toml
    Rerun(Box<rerun::RerunArguments>),
    /// Ask a run to stop; nothing of it is half published, and it can be run again
    ///
    /// Example: airlift runs cancel 01a202e5740902bf --state /var/lib/airlift
    Cancel(RunArgument),
    /// Forget old runs with their logs; what was accepted is remembered for ever
    ///
    /// Example: airlift runs clean --older-than 90d --state /var/lib/airlift
    Clean(change::CleanArguments),
}

#[derive(Args)]
struct RunArgument {
    /// The run, by its id or the beginning of it
    #[arg(value_name = "ID")]
    id: String,

    /// The state directory that the run was given
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,

    #[command(flatten)]
    config: ConfigArgument,
}

fn kinds() -> impl TypedValueParser<Value = RunKind> {
    let words = RunKind::ALL.iter().copied().map(RunKind::as_str);
    PossibleValuesParser::new(words.collect::<Vec<_>>())
        .try_map(|text| RunKind::parse(&text).ok_or("there is no such kind"))
}

fn statuses() -> impl TypedValueParser<Value = RunStatus> {
    let words: Vec<&str> = RunStatus::ALL.iter().copied().map(word_of).collect();
    PossibleValuesParser::new(words).try_map(|text| {
        let mut statuses = RunStatus::ALL.iter().copied();
        let found = statuses.find(|status| word_of(*status) == text);
        found.ok_or("there is no such status")
    })
}

/// The ledger's word, as it can be typed.
fn word_of(status: RunStatus) -> &'static str {
    match status {
        RunStatus::PartlyFailed => "partly-failed",
        status => status.as_str(),
    }
}

impl RunsArguments {
    /// Whether it goes on until a signal.
    pub(in crate::cli) fn is_endless(&self) -> bool {
        self.command.is_none() && self.watch
    }
}

pub(in crate::cli) async fn run(
    arguments: RunsArguments,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    match &arguments.command {
        Some(RunsCommand::Show(run)) => show::show(run, output).await,
        Some(RunsCommand::Log(log)) => log::print_log(log, output).await,
        Some(RunsCommand::Rerun(run)) => Box::pin(rerun::rerun(run, origin, output)).await,
        Some(RunsCommand::Cancel(run)) => change::cancel(run, output).await,
        Some(RunsCommand::Clean(clean)) => change::clean(clean, output).await,
        None => list::list(&arguments, output).await,
    }
}

impl RunArgument {
    async fn open(&self) -> anyhow::Result<(Ledger, Run)> {
        let ledger = open_ledger(&self.state).await?;
        ledger.interrupt_abandoned_runs(Timestamp::now()).await?;
        let run = find_one(&ledger, &self.id).await?;
        self.config.visibility().await?.refuse_hidden(&run)?;
        Ok((ledger, run))
    }
}

/// The one run whose id begins so.
async fn find_one(ledger: &Ledger, start: &str) -> anyhow::Result<Run> {
    let start = start.to_ascii_lowercase();
    let is_hex = !start.is_empty() && start.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut found = match is_hex {
        true => ledger.find_runs_by_start(&start).await?,
        false => Vec::new(),
    };
    if found.len() > 1 {
        let ids: Vec<&str> = found.iter().map(|run| run.id.as_str()).collect();
        let message = format!(
            "`{start}` is the beginning of several runs: `{}`",
            ids.join("`, `")
        );
        return Err(UsageError::new(message).hint("give more of the id").into());
    }
    let unknown = || {
        UsageError::new(format!("no run has an id that begins with `{start}`"))
            .hint("`airlift runs` lists them")
    };
    Ok(found.pop().ok_or_else(unknown)?)
}
