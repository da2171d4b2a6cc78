//! `airlift receipts code` and `confirm`: a bundle's arrival as a code, told on one side and typed on the other.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bundle::{InvalidCode, Receipt, ReceiptCode};
use crate::cli::container_args::{locate, parse_container};
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::{Output, table};
use crate::cli::receipt_args::check_lane;
use crate::cli::state_args::{open_ledger, who};
use crate::content::Error;
use crate::history::{CompleteAnswer, Confirmation, ConfirmedPart, ReceiptBasis, Recorded};
use crate::pipeline::find_receipts;
use crate::storage::{ContainerReference, Purpose};

#[derive(Args)]
#[command(group(clap::ArgGroup::new("of").required(true).args(["receipt", "pipeline"])))]
pub(super) struct CodeArguments {
    /// A receipt of a bundle that arrived completely
    #[arg(value_name = "RECEIPT", value_parser = parse_container)]
    receipt: Option<ContainerReference>,

    /// The pipeline, by its name or id, whose bundles were imported here with `--lane` and `--state`
    #[arg(long, value_name = "NAME|ID", requires = "state")]
    pipeline: Option<String>,

    /// Only this lane
    #[arg(long, value_name = "LANE", requires = "pipeline")]
    lane: Option<String>,

    /// The bundle with this number, and not the newest
    #[arg(long, value_name = "N", requires = "pipeline")]
    sequence: Option<u64>,

    /// The state directory of the imports
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct ConfirmArguments {
    /// The code, as the far side shows it; case, spaces and `-` do not matter
    #[arg(value_name = "CODE")]
    code: String,

    /// The pipeline that the bundle is of
    #[arg(long, value_name = "NAME")]
    pipeline: String,

    /// The lane at whose end it has arrived
    #[arg(long, value_name = "LANE")]
    lane: String,

    /// The state directory of the exports
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,
}

/// A bundle that arrived completely, and its code.
struct Coded {
    code: ReceiptCode,
    lane: String,
    pipeline: String,
    sequence: u64,
}

/// Only what is complete has a code.
pub(super) fn code_of(receipt: &Receipt) -> Option<ReceiptCode> {
    let (id, inventory) = (receipt.pipeline.id.as_ref()?, receipt.inventory.as_ref()?);
    let sequence = receipt.sequence.filter(|_| receipt.complete)?;
    Some(ReceiptCode::new(&receipt.lane, id, sequence, inventory))
}

pub(super) async fn print(arguments: CodeArguments, output: Output) -> anyhow::Result<Exit> {
    let coded = match (&arguments.receipt, &arguments.pipeline, &arguments.state) {
        (Some(receipt), _, _) => of_receipts(receipt).await?,
        (None, Some(pipeline), Some(state)) => of_ledger(&arguments, pipeline, state).await?,
        _ => return Err(UsageError::new("`--state` or `AIRLIFT_STATE` is missing").into()),
    };
    if coded.is_empty() {
        let error = Error::not_found("no bundle of this arrived completely, so there is no code");
        return Err(error.into());
    }
    let heads = ["CODE", "LANE", "PIPELINE", "SEQUENCE"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(coded.iter().map(|it| {
        vec![
            it.code.to_string(),
            it.lane.clone(),
            it.pipeline.clone(),
            it.sequence.to_string(),
        ]
    }));
    let documents: Vec<Value> = coded
        .iter()
        .map(|it| {
            json!({
                "code": it.code.to_string(),
                "lane": it.lane,
                "pipeline": it.pipeline,
                "sequence": it.sequence,
            })
        })
        .collect();
    output.print(&table(&rows), &json!({ "codes": documents }))?;
    Ok(Exit::Done)
}

async fn of_receipts(place: &ContainerReference) -> anyhow::Result<Vec<Coded>> {
    let places = locate(std::slice::from_ref(place), Purpose::Import).await?;
    let mut coded = Vec::new();
    for found in find_receipts(&places).await? {
        let shown = found.shown;
        let receipt = found.receipt?.read_unverified().map_err(|cause| {
            Error::unverified(format!("`{shown}` is not a receipt")).with_cause(cause)
        })?;
        coded.extend(code_of(&receipt).map(|code| Coded {
            code,
            lane: receipt.lane.clone(),
            pipeline: receipt.pipeline.name.clone(),
            sequence: receipt.sequence.unwrap_or(0),
        }));
    }
    Ok(coded)
}

/// The newest bundle of each lane and target, or the one with the number.
async fn of_ledger(
    arguments: &CodeArguments,
    pipeline: &str,
    state: &std::path::Path,
) -> anyhow::Result<Vec<Coded>> {
    let ledger = open_ledger(state).await?;
    let mut seen = BTreeSet::new();
    let is_asked_for = |it: &CompleteAnswer| {
        !it.lane.name.is_empty()
            && arguments
                .lane
                .as_ref()
                .is_none_or(|lane| *lane == it.lane.name)
            && arguments
                .sequence
                .is_none_or(|sequence| sequence == it.sequence)
    };
    let complete = ledger.list_complete_answers(pipeline).await?;
    let coded = complete
        .into_iter()
        .filter(is_asked_for)
        .filter(|it| seen.insert((it.lane.name.clone(), it.lane.pipeline.clone())))
        .map(|it| Coded {
            code: ReceiptCode::new(
                &it.lane.name,
                it.lane.pipeline.as_str(),
                it.sequence,
                &it.inventory,
            ),
            lane: it.lane.name,
            pipeline: it.pipeline,
            sequence: it.sequence,
        });
    Ok(coded.collect())
}

pub(super) async fn confirm(arguments: ConfirmArguments, output: Output) -> anyhow::Result<Exit> {
    let ConfirmArguments {
        pipeline,
        lane,
        state,
        ..
    } = &arguments;
    let code: ReceiptCode = arguments.code.parse().map_err(|error: InvalidCode| {
        UsageError::new(error.to_string()).hint("compare it with what the far side shows")
    })?;
    check_lane(lane)?;
    let ledger = open_ledger(state).await?;
    let known = ledger.find_pipeline(pipeline).await?;
    let unknown = || {
        UsageError::new(format!(
            "no pipeline `{pipeline}` is exported with this state directory"
        ))
    };
    let id = known.ok_or_else(unknown)?.id;
    let sent = ledger.list_exported(&id, u32::MAX).await?;
    let is_meant =
        |sequence, inventory| ReceiptCode::new(lane, id.as_str(), sequence, inventory) == code;
    let meant = sent.iter().find(|it| is_meant(it.sequence, &it.inventory));
    let Some(bundle) = meant else {
        let message =
            format!("no bundle of the pipeline `{pipeline}` has this code at the lane `{lane}`");
        return Err(Error::unverified(message).into());
    };
    let now = Timestamp::now();
    let confirmation = Confirmation {
        pipeline: id.clone(),
        pipeline_name: pipeline.clone(),
        lane: lane.clone(),
        basis: ReceiptBasis::Code,
        sequence: bundle.sequence,
        inventory: Some(bundle.inventory.clone()),
        part: ConfirmedPart::All,
        created: now,
        digest: None,
        previous: None,
        source: format!("code {code}"),
        who: who().await,
    };
    let recorded = ledger.record_confirmation(&confirmation, now).await?;
    let (result, confirmed) = match recorded {
        Recorded::New { confirmed, .. } => ("new", confirmed),
        Recorded::Repeated | Recorded::Older { .. } => ("repeated", 0),
    };
    let document = json!({
        "lane": lane,
        "pipeline": pipeline,
        "sequence": bundle.sequence,
        "result": result,
        "confirmed": confirmed,
        "by": confirmation.who,
    });
    let text = match result {
        "new" => format!(
            "sequence {} of `{pipeline}` has arrived at the lane `{lane}`: {confirmed} contents confirmed, by {}",
            bundle.sequence, confirmation.who
        ),
        _ => format!(
            "sequence {} of `{pipeline}` was confirmed for the lane `{lane}` before",
            bundle.sequence
        ),
    };
    output.print(&text, &document)?;
    Ok(Exit::Done)
}
