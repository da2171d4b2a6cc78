//! `airlift verify`: proves every byte of every volume, and names what is not right.

use clap::Args;
use serde_json::{Value, json};
use std::collections::HashSet;

use crate::bundle::{Bundle, Inventory, Verification, Volume, verify_volume};
use crate::cli::container_args::{locate, parse_container};
use crate::cli::exit::Exit;
use crate::cli::keys::TrustArguments;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::size::{count, show_size};
use crate::content::{Event, describe};
use crate::pipeline::{RefusedObject, open_volumes, sets_of};
use crate::storage::{ContainerReference, Purpose};

/// Prove every byte of a bundle
///
/// The signature is decided upon first; then every header, frame, padding byte and content is compared with
/// what the writer makes of the signed inventory.
///
/// Example: airlift verify /mnt/usb --trust ops.key.pub
#[derive(Args)]
pub(in crate::cli) struct VerifyArguments {
    /// Bundles, or directories of them
    #[arg(value_name = "CONTAINER|BUNDLE", required = true, value_parser = parse_container)]
    bundles: Vec<ContainerReference>,

    #[command(flatten)]
    trust: TrustArguments,
}

pub(in crate::cli) async fn run(
    arguments: VerifyArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    let policy = arguments.trust.policy()?;
    let places = locate(&arguments.bundles, Purpose::Import).await?;
    let (volumes, refused) = open_volumes(&places, &policy).await?;
    let progress = Progress::new(output, "verifying", "volume");
    let events = progress.events();
    if !volumes.is_empty() {
        events(Event::Planned {
            contents: volumes.len(),
            bytes: volumes.iter().map(|volume| volume.stream().size()).sum(),
        });
    }
    let mut lines = String::new();
    let mut documents = Vec::new();
    let mut is_right = refused.is_empty();
    let mut faulty = HashSet::new();
    for refused in &refused {
        lines.push_str(&show_refused(refused));
        documents.push(
            json!({ "path": refused.name, "right": false, "error": describe(&refused.error) }),
        );
    }
    for volume in &volumes {
        let on_bytes = |bytes| events(Event::Moved(bytes));
        let verification = verify_volume(volume, &on_bytes).await?;
        if !verification.faults.is_empty() {
            is_right = false;
            faulty.insert(volume.inventory().set.clone());
        }
        lines.push_str(&show_verification(volume, &verification));
        documents.push(volume_document(volume, &verification));
    }
    progress.finish();
    let mut sets = Vec::new();
    for set in sets_of(volumes) {
        let Inventory { name, set: id, .. } = set[0].inventory().clone();
        let checked = Bundle::assemble(set).and_then(|bundle| {
            Ok(bundle
                .last()
                .admit(&policy)
                .map(|_| bundle.volumes().len())?)
        });
        is_right &= checked.is_ok();
        match &checked {
            Ok(_) if faulty.contains(&id) => {
                lines.push_str(&format!("bundle {name}: complete, and NOT right\n"));
            }
            Ok(volumes) => lines.push_str(&format!(
                "bundle {name}: {}, complete\n",
                count(*volumes, "volume")
            )),
            Err(error) => lines.push_str(&format!("bundle {name}: {}\n", describe(error))),
        }
        sets.push(json!({ "name": name, "complete": checked.is_ok(), "error": checked.err().map(|e| describe(&e)) }));
    }
    output.print(
        &lines,
        &json!({ "right": is_right, "volumes": documents, "bundles": sets }),
    )?;
    Output::hint_at(refused.iter().map(|refused| &refused.error as _));
    Ok(if is_right {
        Exit::Done
    } else {
        Exit::Unverified
    })
}

fn show_refused(refused: &RefusedObject) -> String {
    format!("{}: refused: {}\n", refused.name, describe(&refused.error))
}

fn show_verification(volume: &Volume, verification: &Verification) -> String {
    let name = volume.name();
    if verification.faults.is_empty() {
        let mut text = format!(
            "{name}: right, {} proven in {} entries\n",
            show_size(verification.bytes),
            verification.entries
        );
        if verification.voids > 0 {
            text.push_str(&format!(
                "  {} left void by the export\n",
                count(verification.voids, "blob")
            ));
        }
        if verification.frames_not_made_again > 0 {
            text.push_str(&format!(
                "  {} written by another zstd: content proven, spelling not compared\n",
                count(verification.frames_not_made_again, "frame")
            ));
        }
        return text;
    }
    let faults = verification
        .faults
        .iter()
        .map(|fault| format!("  {}: {}\n", fault.place, fault.what));
    format!("{name}: NOT right\n{}", faults.collect::<String>())
}

fn volume_document(volume: &Volume, verification: &Verification) -> Value {
    let faults: Vec<Value> = verification
        .faults
        .iter()
        .map(|fault| json!({ "place": fault.place, "what": fault.what }))
        .collect();
    json!({
        "path": volume.name(),
        "right": faults.is_empty(),
        "inventoryDigest": volume.inventory_digest(),
        "entries": verification.entries,
        "voids": verification.voids,
        "bytes": verification.bytes,
        "faults": faults,
    })
}
