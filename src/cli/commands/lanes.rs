//! `airlift lanes`: what was sent to each lane, what it has confirmed, and what that has saved.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::config_args::ConfigArgument;
use crate::cli::configured::Trace;
use crate::cli::exit::Exit;
use crate::cli::output::{Output, table};
use crate::cli::size::show_size;
use crate::cli::state_args::open_ledger;
use crate::cli::visible::note_on_hidden;
use crate::history::{LaneState, ReceiptBasis};

/// Show what was sent to each lane, what it has confirmed, and what is missing
///
/// A bundle is missing as long as no receipt and no code says that all of it has arrived. What was confirmed need not
/// be carried again; what that has saved is told in bytes.
///
/// Example: airlift lanes --state /var/lib/airlift
#[derive(Args)]
pub(in crate::cli) struct LanesArguments {
    /// The state directory of the exports
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,

    /// Only lanes of this pipeline
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,

    #[command(flatten)]
    config: ConfigArgument,
}

pub(in crate::cli) async fn run(arguments: LanesArguments, output: Output) -> anyhow::Result<Exit> {
    let ledger = open_ledger(&arguments.state).await?;
    let mut lanes = ledger.list_lanes().await?;
    let asked = arguments.pipeline.as_ref();
    lanes.retain(|lane| asked.is_none_or(|name| *name == lane.pipeline));
    let known = lanes.len();
    let visibility = arguments.config.visibility().await?;
    lanes.retain(|lane| visibility.shows(Trace::of_export(&lane.pipeline)));
    let hidden = known - lanes.len();
    let documents: Vec<Value> = lanes.iter().map(document_of).collect();
    let text = match lanes.is_empty() {
        true => "nothing was exported with `--pipeline`".to_owned(),
        false => show_table(&lanes),
    };
    output.print(&text, &json!({ "lanes": documents, "hidden": hidden }))?;
    if let Some(note) = note_on_hidden(hidden, "lane").filter(|_| !output.is_json()) {
        Output::note(&note);
    }
    Ok(Exit::Done)
}

const HEADS: [&str; 8] = [
    "PIPELINE",
    "LANE",
    "SENT",
    "CONFIRMED",
    "MISSING",
    "BY",
    "LOST",
    "SAVED",
];

fn show_table(lanes: &[LaneState]) -> String {
    let mut rows = vec![HEADS.map(str::to_owned).to_vec()];
    rows.extend(lanes.iter().map(row_of));
    table(&rows)
}

fn row_of(lane: &LaneState) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        lane.pipeline.clone(),
        or_none(Some(lane.lane.clone()).filter(|it| !it.is_empty())),
        or_none(lane.sent.map(|it| it.to_string())),
        or_none(lane.confirmed.map(|it| it.to_string())),
        or_none(Some(show_ranges(&lane.missing)).filter(|it| !it.is_empty())),
        or_none(lane.basis.map(|it| it.as_str().to_owned())),
        match lane.missing_contents {
            0 => "-".to_owned(),
            contents => format!("{contents} contents"),
        },
        show_size(lane.saved_bytes),
    ]
}

/// The newest are told; a lane that never answers has all of them.
const RANGES_SHOWN_MAX: usize = 4;

fn show_ranges(ranges: &[RangeInclusive<u64>]) -> String {
    let skipped = ranges.len().saturating_sub(RANGES_SHOWN_MAX);
    let newest = ranges[skipped..].iter().map(show_range);
    let newest = newest.collect::<Vec<_>>().join(",");
    match skipped {
        0 => newest,
        _ => format!("…,{newest}"),
    }
}

fn show_range(range: &RangeInclusive<u64>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    }
}

fn document_of(lane: &LaneState) -> Value {
    json!({
        "pipeline": lane.pipeline,
        "pipelineId": lane.pipeline_id.to_string(),
        "lane": Some(&lane.lane).filter(|it| !it.is_empty()),
        "sent": lane.sent,
        "confirmed": lane.confirmed,
        "missing": lane.missing.iter().map(show_range).collect::<Vec<_>>(),
        "basis": lane.basis.map(ReceiptBasis::as_str),
        "answered": lane.answered,
        "answeredBy": lane.answered_by,
        "missingContents": lane.missing_contents,
        "savedBytes": lane.saved_bytes,
    })
}
