//! `airlift receipts show`: one receipt, in full.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::code::code_of;
use crate::bundle::{KeyId, Receipt};
use crate::cli::container_args::{locate, parse_container};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::receipt_args::ReceiptTrustArguments;
use crate::content::Error;
use crate::oci::Digest;
use crate::pipeline::{FoundReceipt, find_receipts};
use crate::storage::{ContainerReference, Purpose};

#[derive(Args)]
pub(super) struct ShowArguments {
    /// A receipt, or a container of them
    #[arg(value_name = "RECEIPT|CONTAINER", value_parser = parse_container)]
    place: ContainerReference,

    #[command(flatten)]
    trust: ReceiptTrustArguments,
}

/// A receipt, and whose it is known to be.
struct Shown {
    place: String,
    receipt: Receipt,
    digest: Digest,
    signer: Option<KeyId>,
    named: Vec<KeyId>,
}

pub(super) async fn run(arguments: ShowArguments, output: Output) -> anyhow::Result<Exit> {
    let keys = arguments.trust.keys()?;
    let places = locate(std::slice::from_ref(&arguments.place), Purpose::Import).await?;
    let mut all = Vec::new();
    for found in find_receipts(&places).await? {
        let place = found.shown.clone();
        let FoundReceipt { shown, receipt } = found;
        let signed = receipt?;
        let found = FoundReceipt {
            shown,
            receipt: Ok(signed.clone()),
        };
        let (receipt, signer) = if let Some(keys) = &keys {
            let (_, verified) = found.verify(keys, Timestamp::now())?;
            (verified.receipt, Some(verified.signer))
        } else {
            let read = signed.read_unverified().map_err(|cause| {
                Error::unverified(format!("`{place}` is not a receipt")).with_cause(cause)
            });
            (read?, None)
        };
        all.push(Shown {
            place,
            receipt,
            digest: signed.digest(),
            signer,
            named: signed.named_keys().cloned().collect(),
        });
    }
    let text: Vec<String> = all.iter().map(show).collect();
    let receipts: Vec<Value> = all.iter().map(document_of).collect();
    output.print(&text.join("\n"), &json!({ "receipts": receipts }))?;
    if keys.is_none() {
        Output::warn("signatures were not checked: `--trust LANE=FILE` says whose count");
    }
    Ok(Exit::Done)
}

fn show(shown: &Shown) -> String {
    let Shown {
        receipt,
        digest,
        signer,
        ..
    } = shown;
    let named: Vec<String> = shown.named.iter().map(ToString::to_string).collect();
    let signed = match signer {
        Some(signer) => format!("by {signer}, who may answer for this lane"),
        None => format!("not checked; it names {}", named.join(", ")),
    };
    let answers = match (receipt.sequence, &receipt.inventory) {
        (Some(sequence), Some(inventory)) => {
            format!("sequence {sequence}, inventory {}", inventory.short())
        }
        _ => "no bundle: it lists what a registry had".to_owned(),
    };
    let count = |digests: usize| match receipt.complete {
        true => "all of the bundle".to_owned(),
        false => format!("{digests} contents"),
    };
    let digests = receipt.delivered.iter();
    let digests = digests.map(|it| it.manifests.len() + it.blobs.len()).sum();
    let mut lines = vec![
        format!("{} ({})", shown.place, digest.short()),
        format!("  lane       {}", receipt.lane),
        format!("  pipeline   {}", receipt.pipeline.name),
        format!("  answers    {answers}"),
        format!("  made       {}", receipt.created),
        format!("  delivered  {}", count(digests)),
        format!("  signed     {signed}"),
    ];
    if let Some(code) = code_of(receipt) {
        lines.push(format!("  code       {code}"));
    }
    lines.join("\n") + "\n"
}

fn document_of(shown: &Shown) -> Value {
    let Shown { receipt, .. } = shown;
    json!({
        "place": shown.place,
        "digest": shown.digest,
        "signer": shown.signer.as_ref().map(ToString::to_string),
        "keys": shown.named.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "lane": receipt.lane,
        "pipeline": receipt.pipeline.name,
        "pipelineId": receipt.pipeline.id,
        "sequence": receipt.sequence,
        "inventory": receipt.inventory,
        "previous": receipt.previous,
        "created": receipt.created,
        "complete": receipt.complete,
        "delivered": receipt.delivered,
        "code": code_of(receipt).map(|code| code.to_string()),
    })
}
