//! What a person does to runs: stops one that goes on, forgets those that are long over.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::RunArgument;
use crate::cli::duration::parse_age;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::Output;
use crate::cli::size::count;
use crate::cli::state_args::{open_ledger, who};

#[derive(Args)]
pub(super) struct CleanArguments {
    /// Forget runs that ended longer ago, such as `90d`; `0s` are all that have ended
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    older_than: Duration,

    /// Say how many there are, and forget none
    #[arg(long)]
    dry_run: bool,

    /// The state directory that the runs were given
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,
}

pub(super) async fn clean(arguments: &CleanArguments, output: Output) -> anyhow::Result<Exit> {
    let span = SignedDuration::try_from(arguments.older_than).ok();
    let until = span.and_then(|span| Timestamp::now().checked_sub(span).ok());
    let Some(until) = until else {
        return Err(UsageError::new("no calendar has the time that `--older-than` means").into());
    };
    let ledger = open_ledger(&arguments.state).await?;
    let runs = match arguments.dry_run {
        true => ledger.count_forgettable_runs(until).await?,
        false => ledger.forget_runs(until).await?,
    };
    let shown = count(usize::try_from(runs).unwrap_or(usize::MAX), "run");
    let text = match arguments.dry_run {
        true => format!("{shown} would be forgotten, of those that ended before {until:.0}"),
        false => format!("{shown} forgotten, of those that ended before {until:.0}"),
    };
    let document = json!({
        "dryRun": arguments.dry_run,
        "endedBefore": until.to_string(),
        "runs": runs,
    });
    output.print(&text, &document)?;
    Ok(Exit::Done)
}

pub(super) async fn cancel(argument: &RunArgument, output: Output) -> anyhow::Result<Exit> {
    let (ledger, run) = argument.open().await?;
    if !ledger.ask_to_cancel(&run.id, &who().await).await? {
        let status = run.outcome.status.as_str();
        let message = format!("the run `{}` does not go on: it is {status}", run.id);
        return Err(UsageError::new(message).exit(Exit::Failed).into());
    }
    let text = format!("the run {} was asked to stop", run.id);
    output.print(
        &text,
        &json!({ "id": run.id.as_str(), "cancelAsked": true }),
    )?;
    Ok(Exit::Done)
}
