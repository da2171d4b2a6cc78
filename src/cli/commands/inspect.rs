//! `airlift inspect`: what a bundle holds, from its inventory alone, or which encoders wrote the layers of artifacts.

use clap::Args;
use serde_json::json;

use crate::cli::bundle_report::{set_document, show_set};
use crate::cli::container_args::{locate, parse_container};
use crate::cli::corrections::corrector;
use crate::cli::encoder_report::{encoders_document, show_encoders};
use crate::cli::exit::Exit;
use crate::cli::keys::TrustArguments;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::registry_args::RegistryArguments;
use crate::content::{Error, OnError, ReferrerPolicy};
use crate::pipeline::{
    SourceReference, TagSelection, find_encoders, open_volumes, select, sets_of,
};
use crate::storage::{ContainerReference, Purpose};

/// Show what a bundle holds, or who compressed the layers of an artifact
///
/// Reads the inventory of a bundle and no content. Without `--trust` the signature is not checked, and it says so.
/// With `--encoders` it reads all layers of artifacts instead, and tells what an export with `--profile dense` can
/// make of each.
///
/// Example: airlift inspect web.tar.zst --trust ops.key.pub
#[derive(Args)]
pub(in crate::cli) struct InspectArguments {
    /// Bundles, or directories of them
    #[arg(value_name = "CONTAINER|BUNDLE", required_unless_present = "encoders", value_parser = parse_container)]
    bundles: Vec<ContainerReference>,

    /// Which encoder wrote each layer of these artifacts: `REGISTRY/REPOSITORY[:TAG|@DIGEST]` or `oci:DIR[:NAME]`
    #[arg(long, value_name = "REFERENCE", num_args = 1..,
          conflicts_with_all = ["bundles", "trust", "threshold", "insecure_accept_unsigned"])]
    encoders: Vec<SourceReference>,

    #[command(flatten)]
    trust: TrustArguments,

    #[command(flatten)]
    registries: RegistryArguments,
}

pub(in crate::cli) async fn run(
    arguments: InspectArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    match arguments.encoders.is_empty() {
        true => inspect_bundles(&arguments, output).await,
        false => inspect_encoders(&arguments, output).await,
    }
}

async fn inspect_encoders(arguments: &InspectArguments, output: Output) -> anyhow::Result<Exit> {
    let connections = arguments.registries.connect().await?;
    let selection = TagSelection::all(ReferrerPolicy::Leave, OnError::Stop);
    let selected = select(&arguments.encoders, &connections, &selection).await?;
    let progress = Progress::new(output, "taking apart", "layer");
    let layers = find_encoders(selected, &corrector(), &progress.events()).await;
    progress.finish();
    let layers = layers?;
    output.print(&show_encoders(&layers), &encoders_document(&layers))?;
    Ok(Exit::Done)
}

async fn inspect_bundles(arguments: &InspectArguments, output: Output) -> anyhow::Result<Exit> {
    let policy = arguments.trust.policy_to_look()?;
    let is_checked = !arguments.trust.trust.is_empty();
    if !is_checked && !arguments.trust.insecure_accept_unsigned {
        Output::note("signatures are not checked; give `--trust` to know who made this");
    }
    let places = locate(&arguments.bundles, Purpose::Import).await?;
    let (volumes, refused) = open_volumes(&places, &policy).await?;
    if let Some(refused) = refused.into_iter().next() {
        let message = format!("cannot inspect `{}`", refused.name);
        return Err(Error::from(refused.error).within(message).into());
    }
    let mut text = String::new();
    let mut documents = Vec::new();
    for set in sets_of(volumes) {
        text.push_str(&show_set(&set, is_checked));
        text.push('\n');
        documents.push(set_document(&set, is_checked));
    }
    output.print(&text, &json!({ "bundles": documents }))?;
    Ok(Exit::Done)
}
