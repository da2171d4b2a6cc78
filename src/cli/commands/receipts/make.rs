//! `airlift receipts make`: a receipt of what a registry has that was filled otherwise.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::bundle::{AnsweredPipeline, RECEIPT_MEDIA_TYPE, Receipt, SignedReceipt};
use crate::cli::commands::import::parse_target;
use crate::cli::container_args::{open_container, parse_container};
use crate::cli::exit::Exit;
use crate::cli::keys::read_signing_key;
use crate::cli::output::Output;
use crate::cli::receipt_args::check_lane;
use crate::cli::registry_args::RegistryArguments;
use crate::content::{Error, ErrorKind};
use crate::history::PipelineId;
use crate::pipeline::{list_holdings, name_receipt};
use crate::storage::{ContainerReference, Missing, Overwrite, Purpose, write_small};

#[derive(Args)]
pub(super) struct MakeArguments {
    /// `REGISTRY[/PREFIX]` or `oci:DIR`: the target of the lane's imports
    #[arg(value_name = "TARGET")]
    target: String,

    /// The repositories that are told of, by their names at the source; may be repeated
    #[arg(long, value_name = "GLOB", default_value = "**")]
    repository: Vec<String>,

    /// The lane that the target is at the end of
    #[arg(long, value_name = "LANE")]
    lane: String,

    /// The pipeline that is to know of it, by its name at the sender
    #[arg(long, value_name = "NAME")]
    pipeline: String,

    /// The pipeline's id, where it is known: a pipeline of the same name with another id is then not meant
    #[arg(long, value_name = "ID")]
    pipeline_id: Option<PipelineId>,

    /// Sign with this key
    #[arg(long, value_name = "KEY")]
    receipt_key: PathBuf,

    /// Where the receipt is put
    #[arg(long, value_name = "CONTAINER", default_value = ".", value_parser = parse_container)]
    receipts: ContainerReference,

    #[command(flatten)]
    registries: RegistryArguments,
}

pub(super) async fn run(arguments: MakeArguments, output: Output) -> anyhow::Result<Exit> {
    check_lane(&arguments.lane)?;
    let target = parse_target(&arguments.target)?;
    let key = read_signing_key(&arguments.receipt_key)?;
    let connections = arguments.registries.connect().await?;
    let holdings = list_holdings(&target, &arguments.repository, &connections).await?;
    let now = Timestamp::now();
    let receipt = Receipt {
        media_type: RECEIPT_MEDIA_TYPE.to_owned(),
        lane: arguments.lane.clone(),
        pipeline: AnsweredPipeline {
            name: arguments.pipeline.clone(),
            id: arguments.pipeline_id.as_ref().map(ToString::to_string),
        },
        sequence: None,
        inventory: None,
        previous: None,
        created: Timestamp::from_millisecond(now.as_millisecond())?,
        complete: false,
        delivered: holdings.delivered,
    };
    let document = receipt.encode().map_err(|cause| {
        let message = format!("cannot make a receipt of `{target}`");
        Error::new(ErrorKind::Refused, message).with_cause(cause)
    })?;
    let signed = SignedReceipt::sign(document, &key)?;
    let of = (&*arguments.lane, &*arguments.pipeline);
    let name = name_receipt(of, None, &signed.digest());
    let container = open_container(&arguments.receipts, Missing::Create, Purpose::Export).await?;
    let file = signed.to_file().into();
    write_small(&*container, &name, file, Overwrite::Refuse).await?;
    let shown = container.shown(&name);
    let counts = receipt.delivered.iter();
    let contents: usize = counts.map(|it| it.manifests.len() + it.blobs.len()).sum();
    let document = json!({
        "receipt": shown,
        "digest": signed.digest(),
        "lane": receipt.lane,
        "pipeline": receipt.pipeline.name,
        "repositories": receipt.delivered.len(),
        "contents": contents,
        "failures": holdings.failures.iter().map(|(reference, reason)| {
            json!({ "reference": reference, "reason": reason })
        }).collect::<Vec<_>>(),
    });
    let text = format!(
        "{shown}: {contents} contents in {} repositories of `{target}`",
        receipt.delivered.len()
    );
    output.print(&text, &document)?;
    for (reference, reason) in &holdings.failures {
        Output::warn(&format!("`{reference}` is left out: {reason}"));
    }
    Ok(match holdings.failures.is_empty() {
        true => Exit::Done,
        false => Exit::PartlyFailed,
    })
}
