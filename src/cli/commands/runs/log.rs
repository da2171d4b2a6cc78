//! What happened in a run, line by line.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::find_one;
use crate::cli::config_args::ConfigArgument;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::{Output, table};
use crate::cli::state_args::open_ledger;
use crate::history::{Ledger, LogEvent, LogLine, Run};

#[derive(Args)]
pub(super) struct LogArguments {
    /// The run, by its id or the beginning of it; the newest without it
    #[arg(value_name = "ID")]
    id: Option<String>,

    /// The state directory that the run was given
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,

    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) async fn print_log(arguments: &LogArguments, output: Output) -> anyhow::Result<Exit> {
    let ledger = open_ledger(&arguments.state).await?;
    ledger.interrupt_abandoned_runs(Timestamp::now()).await?;
    let run = match &arguments.id {
        Some(id) => find_one(&ledger, id).await?,
        None => find_newest(&ledger).await?,
    };
    arguments.config.visibility().await?.refuse_hidden(&run)?;
    let lines = ledger.list_log(&run.id).await?;
    output.print(&show_log(&lines), &log_document(&run, &lines))?;
    if lines.is_empty() {
        Output::note("this run has kept no log: an earlier version has recorded it");
    }
    Ok(Exit::Done)
}

async fn find_newest(ledger: &Ledger) -> anyhow::Result<Run> {
    let newest = ledger.list_runs(1).await?.pop();
    Ok(newest.ok_or_else(|| UsageError::new("there was no run yet").exit(Exit::Failed))?)
}

fn show_log(lines: &[LogLine]) -> String {
    let row = |line: &LogLine| {
        vec![
            format!("{:.3}", line.time),
            line.event.as_str().to_owned(),
            line.text.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    table(&rows)
}

fn log_document(run: &Run, lines: &[LogLine]) -> Value {
    let told: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "time": line.time.to_string(),
                "event": line.event.as_str(),
                "text": line.text,
            })
        })
        .collect();
    json!({
        "id": run.id.as_str(),
        "status": run.outcome.status.as_str(),
        "cut": lines.iter().any(|line| line.event == LogEvent::Cut),
        "lines": told,
    })
}
