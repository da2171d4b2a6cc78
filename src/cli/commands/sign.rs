//! `airlift sign`: one more signature, beside the bundle.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::container_args::{locate, parse_container};
use crate::cli::exit::Exit;
use crate::cli::keys::{TrustArguments, read_signing_key};
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::oci::Digest;
use crate::pipeline::{CountersignOptions, countersign};
use crate::storage::{ContainerReference, Purpose};

/// Add a signature beside a bundle, after verifying it
///
/// Of a bundle in several volumes, sign the last one: its inventory names the others.
///
/// Example: airlift sign web.tar.zst --sign-key second.key --trust ops.key.pub --expect sha256:…
#[derive(Args)]
pub(in crate::cli) struct SignArguments {
    /// The volume to sign
    #[arg(value_name = "BUNDLE", value_parser = parse_container)]
    bundle: ContainerReference,

    /// Sign with this PKCS#8 key
    #[arg(long, value_name = "FILE")]
    sign_key: PathBuf,

    /// Refuse unless the inventory has this digest, as the sender told it
    #[arg(long, value_name = "DIGEST")]
    expect: Option<Digest>,

    #[command(flatten)]
    trust: TrustArguments,
}

pub(in crate::cli) async fn run(arguments: SignArguments, output: Output) -> anyhow::Result<Exit> {
    let policy = match arguments.expect {
        // A digest that was told pins the content as firmly as a signature.
        Some(_) => arguments.trust.policy_to_look()?,
        None => arguments.trust.policy()?,
    };
    let key = read_signing_key(&arguments.sign_key)?;
    let place = locate(&[arguments.bundle], Purpose::Sign).await?.remove(0);
    let progress = Progress::new(output, "verifying", "volume");
    let options = CountersignOptions {
        place,
        policy,
        expect: arguments.expect,
        events: progress.events(),
    };
    let signed = countersign(&options, &key).await;
    progress.finish();
    let signed = signed?;
    let signers: Vec<String> = signed.signers.iter().map(ToString::to_string).collect();
    let text = format!(
        "inventory  {}\nsigned by  {}\nnow also   {}\nsignature  {}\n",
        signed.inventory_digest,
        if signers.is_empty() {
            "nobody".to_owned()
        } else {
            signers.join(", ")
        },
        key.public().id(),
        signed.signature,
    );
    let document = json!({
        "inventoryDigest": signed.inventory_digest,
        "signers": signers,
        "keyId": key.public().id().to_string(),
        "signature": signed.signature,
    });
    output.print(&text, &document)?;
    Ok(Exit::Done)
}
