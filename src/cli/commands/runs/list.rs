//! The list of runs, once or for as long as somebody looks at it.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::RunsArguments;
use super::figures::{HEADS, row_of, run_document};
use crate::cli::Signals;
use crate::cli::configured::Trace;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::{Output, table};
use crate::cli::state_args::open_ledger;
use crate::cli::visible::{Visibility, note_on_hidden};
use crate::history::{FoundRuns, Ledger, Run, RunFilter, RunId, RunStatus};

/// As often as runs write down how far they are.
const REDRAW_INTERVAL: Duration = crate::history::WRITE_INTERVAL;

pub(super) async fn list(arguments: &RunsArguments, output: Output) -> anyhow::Result<Exit> {
    let Some(state) = &arguments.state else {
        return Err(UsageError::new("`--state` or `AIRLIFT_STATE` is missing").into());
    };
    let ledger = open_ledger(state).await?;
    if arguments.watch {
        let signals = Signals::listen();
        return tokio::select! {
            ended = arguments.watch(&ledger, output) => ended,
            _name = signals.wait() => Ok(Exit::Done),
        };
    }
    let visibility = arguments.config.visibility().await?;
    let (found, now) = arguments.find(&ledger, &visibility).await?;
    let runs: Vec<Value> = found
        .runs
        .iter()
        .map(|run| run_document(run, now).into())
        .collect();
    let document = json!({ "runs": runs, "total": found.total, "hidden": found.hidden });
    output.print(&show_table(&found.runs, now), &document)?;
    let notes = [note_on_others(&found), note_on_hidden(found.hidden, "run")];
    for note in notes.iter().flatten().filter(|_| !output.is_json()) {
        Output::note(note);
    }
    Ok(Exit::Done)
}

fn show_table(runs: &[Run], now: Timestamp) -> String {
    let mut rows = vec![HEADS.map(str::to_owned).to_vec()];
    rows.extend(runs.iter().map(|run| row_of(run, now)));
    table(&rows)
}

fn note_on_others(found: &ShownRuns) -> Option<String> {
    let shown = found.runs.len() + found.hidden;
    let has_more = found.total > shown as u64;
    has_more.then(|| {
        format!(
            "these are the newest {shown} of {} runs; `--top N` shows more",
            found.total
        )
    })
}

/// The runs that whoever asks may look at, among the newest.
struct ShownRuns {
    runs: Vec<Run>,
    total: u64,
    /// How many of the newest are left out.
    hidden: usize,
}

impl ShownRuns {
    fn of(found: FoundRuns, visibility: &Visibility) -> Self {
        let count = found.runs.len();
        let mut runs = found.runs;
        runs.retain(|run| visibility.shows(Trace::of_run(run)));
        Self {
            hidden: count - runs.len(),
            runs,
            total: found.total,
        }
    }
}

impl RunsArguments {
    async fn find(
        &self,
        ledger: &Ledger,
        visibility: &Visibility,
    ) -> anyhow::Result<(ShownRuns, Timestamp)> {
        let now = Timestamp::now();
        ledger.interrupt_abandoned_runs(now).await?;
        let filter = RunFilter {
            pipeline: self.pipeline.clone(),
            status: self.status,
            kind: self.kind,
        };
        let found = ledger.find_runs(&filter, self.top).await?;
        Ok((ShownRuns::of(found, visibility), now))
    }

    /// Ends only when something fails.
    async fn watch(&self, ledger: &Ledger, output: Output) -> anyhow::Result<Exit> {
        let mut changes = Changes::default();
        let visibility = self.config.visibility().await?;
        if !output.is_json() && !Output::is_terminal() {
            Output::stream_line(table(&[HEADS.map(str::to_owned).to_vec()]).trim_end());
        }
        loop {
            let (found, now) = self.find(ledger, &visibility).await?;
            if !output.is_json() && Output::is_terminal() {
                let note = note_on_others(&found).unwrap_or_default();
                Output::redraw(&format!("{}{note}", show_table(&found.runs, now)));
            } else {
                for run in changes.take(&found.runs) {
                    Output::stream_line(&match output.is_json() {
                        true => Value::from(run_document(run, now)).to_string(),
                        false => table(&[row_of(run, now)]).trim_end().to_owned(),
                    });
                }
            }
            tokio::time::sleep(REDRAW_INTERVAL).await;
        }
    }
}

/// Which runs were told, and how they stood then.
#[derive(Default)]
struct Changes {
    told: HashMap<RunId, RunStatus>,
}

impl Changes {
    /// Those that are new or stand otherwise, the oldest first.
    fn take<'a>(&mut self, runs: &'a [Run]) -> Vec<&'a Run> {
        let status = |run: &Run| run.outcome.status;
        let is_news = |run: &&Run| self.told.get(&run.id) != Some(&status(run));
        let news = runs.iter().rev().filter(is_news).collect();
        self.told = runs
            .iter()
            .map(|run| (run.id.clone(), status(run)))
            .collect();
        news
    }
}
