//! `airlift receipts import`: receipts brought home.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::container_args::{locate, parse_container};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, table};
use crate::cli::receipt_args::ReceiptTrustArguments;
use crate::cli::state_args::{open_ledger, who};
use crate::content::{Error, ErrorKind, describe};
use crate::history::Recorded;
use crate::pipeline::{VerifiedReceipt, find_receipts, record_receipt};
use crate::storage::{ContainerReference, Purpose};

#[derive(Args)]
pub(super) struct ImportArguments {
    /// Receipts, or containers of them
    #[arg(value_name = "RECEIPT|CONTAINER", required = true, value_parser = parse_container)]
    places: Vec<ContainerReference>,

    /// The state directory of the exports
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,

    #[command(flatten)]
    trust: ReceiptTrustArguments,
}

/// What became of one receipt.
struct Taken {
    place: String,
    verified: Option<VerifiedReceipt>,
    came_of: Result<Recorded, Error>,
}

pub(super) async fn run(arguments: ImportArguments, output: Output) -> anyhow::Result<Exit> {
    let keys = arguments.trust.required()?;
    let ledger = open_ledger(&arguments.state).await?;
    let (who, now) = (who().await, Timestamp::now());
    let places = locate(&arguments.places, Purpose::Import).await?;
    let (mut verified, mut taken) = (Vec::new(), Vec::new());
    for found in find_receipts(&places).await? {
        let place = found.shown.clone();
        match found.verify(&keys, now) {
            Ok(receipt) => verified.push(receipt),
            Err(error) => taken.push(Taken {
                place,
                verified: None,
                came_of: Err(error),
            }),
        }
    }
    verified.sort_by_key(|(_, it)| it.receipt.created);
    for (place, verified) in verified {
        let recorded = record_receipt(&ledger, (&place, &verified), &who, now).await;
        taken.push(Taken {
            came_of: recorded,
            verified: Some(verified),
            place,
        });
    }
    let rows: Vec<Vec<String>> = taken.iter().map(row_of).collect();
    let heads = ["RECEIPT", "LANE", "PIPELINE", "SEQUENCE", "RESULT"];
    let mut table_rows = vec![heads.map(str::to_owned).to_vec()];
    table_rows.extend(rows);
    let documents: Vec<Value> = taken.iter().map(document_of).collect();
    let text = match taken.is_empty() {
        true => "there is no receipt".to_owned(),
        false => table(&table_rows),
    };
    output.print(&text, &json!({ "receipts": documents }))?;
    for note in taken.iter().filter_map(note_on) {
        Output::warn(&note);
    }
    Ok(exit_of(&taken))
}

/// A receipt that is not genuine is worse than one that means somebody else.
fn exit_of(taken: &[Taken]) -> Exit {
    let errors = || taken.iter().filter_map(|it| it.came_of.as_ref().err());
    if errors().any(|error| error.kind() == ErrorKind::Unverified) {
        return Exit::Unverified;
    }
    match errors().next() {
        Some(_) => Exit::PartlyFailed,
        None => Exit::Done,
    }
}

fn word_of(came_of: &Result<Recorded, Error>) -> &'static str {
    match came_of {
        Ok(Recorded::New { .. }) => "new",
        Ok(Recorded::Repeated) => "repeated",
        Ok(Recorded::Older { .. }) => "older",
        Err(_) => "refused",
    }
}

fn row_of(taken: &Taken) -> Vec<String> {
    let of =
        |get: fn(&VerifiedReceipt) -> String| taken.verified.as_ref().map_or("-".to_owned(), get);
    let result = match &taken.came_of {
        Ok(Recorded::New { confirmed, .. }) => format!("new, {confirmed} contents confirmed"),
        Ok(Recorded::Repeated) => "taken in before".to_owned(),
        Ok(Recorded::Older { newest }) => format!("older than that of {newest}: changes nothing"),
        Err(_) => "refused".to_owned(),
    };
    vec![
        taken.place.clone(),
        of(|it| it.receipt.lane.clone()),
        of(|it| it.receipt.pipeline.name.clone()),
        of(|it| {
            it.receipt
                .sequence
                .map_or("-".to_owned(), |it| it.to_string())
        }),
        result,
    ]
}

/// What a person should know.
fn note_on(taken: &Taken) -> Option<String> {
    let place = &taken.place;
    match &taken.came_of {
        Err(error) => Some(describe(error)),
        Ok(Recorded::New { foreign, .. }) if *foreign > 0 => Some(format!(
            "`{place}` tells of {foreign} contents that do not count: its bundle did not have them, or they were \
             reported missing since"
        )),
        Ok(Recorded::New { has_gap: true, .. }) => Some(format!(
            "`{place}` does not follow the lane's newest receipt: one in between has not come"
        )),
        Ok(_) => None,
    }
}

fn document_of(taken: &Taken) -> Value {
    let receipt = taken.verified.as_ref().map(|it| &it.receipt);
    let (confirmed, foreign, has_gap) = match &taken.came_of {
        Ok(Recorded::New {
            confirmed,
            foreign,
            has_gap,
        }) => (*confirmed, *foreign, *has_gap),
        _ => (0, 0, false),
    };
    json!({
        "place": taken.place,
        "lane": receipt.map(|it| &it.lane),
        "pipeline": receipt.map(|it| &it.pipeline.name),
        "sequence": receipt.and_then(|it| it.sequence),
        "signer": taken.verified.as_ref().map(|it| it.signer.to_string()),
        "result": word_of(&taken.came_of),
        "confirmed": confirmed,
        "foreign": foreign,
        "gap": has_gap,
        "reason": taken.came_of.as_ref().err().map(|error| describe(error)),
    })
}
