//! `airlift container`: what a container holds, and the removal of what interrupted uploads have left.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::container_args::{open_container, parse_container};
use crate::cli::duration::parse_age;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::{Output, table};
use crate::cli::size::{count, show_size};
use crate::cli::state_args::StateArguments;
use crate::pipeline::{
    Cleaning, ContainerListing, JudgedUpload, ObjectRole, UploadOutcome, list_container,
};
use crate::storage::{ContainerReference, Missing, OpenUpload, Purpose, StorageContainer};

/// List what a container holds, and remove what interrupted uploads have left
#[derive(Args)]
pub(in crate::cli) struct ContainerArguments {
    #[command(subcommand)]
    command: ContainerCommand,
}

#[derive(Subcommand)]
enum ContainerCommand {
    /// List the objects of a container, and uploads that are not finished
    ///
    /// Example: airlift container list /mnt/usb
    List(ListArguments),
    /// Remove what uploads have left that were never finished
    ///
    /// What a running process holds is named and left alone, and so is what airlift has not begun.
    ///
    /// Example: airlift container clean /mnt/usb --older-than 7d --dry-run
    Clean(CleanArguments),
}

#[derive(Args)]
struct ListArguments {
    /// A directory or a URL
    #[arg(value_name = "CONTAINER", value_parser = parse_container)]
    container: ContainerReference,

    #[command(flatten)]
    state: StateArguments,
}

#[derive(Args)]
struct CleanArguments {
    /// A directory or a URL
    #[arg(value_name = "CONTAINER", value_parser = parse_container)]
    container: ContainerReference,

    /// Only what has not changed for so long, by the container's clock; `0s` is whatever nobody holds
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_age)]
    older_than: Duration,

    /// Print what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    state: StateArguments,
}

pub(in crate::cli) async fn run(
    arguments: ContainerArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    match arguments.command {
        ContainerCommand::List(arguments) => list(&arguments, output).await,
        ContainerCommand::Clean(arguments) => clean(&arguments, output).await,
    }
}

async fn list(arguments: &ListArguments, output: Output) -> anyhow::Result<Exit> {
    let container = open_container(&arguments.container, Missing::Refuse, Purpose::Look).await?;
    let remembered = arguments
        .state
        .remembered_uploads(&arguments.container)
        .await?;
    let listing = list_container(&*container, remembered.as_ref()).await?;
    if listing.uploads.is_none() {
        Output::note(&format!(
            "{}; {LIFECYCLE}",
            cannot_list_uploads(&*container)
        ));
    }
    output.print(
        &show_listing(&listing),
        &listing_document(&*container, &listing),
    )?;
    Ok(Exit::Done)
}

const LIFECYCLE: &str = "`--state` names those that exports with it have begun, and a lifecycle rule of the \
    bucket that aborts incomplete multipart uploads removes all";

fn cannot_list_uploads(container: &dyn StorageContainer) -> String {
    format!("open uploads of `{}` cannot be listed", container.name())
}

fn show_listing(listing: &ContainerListing) -> String {
    let mut rows = vec![
        ["NAME", "SIZE", "MODIFIED", "WHAT"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(listing.objects.iter().map(|object| {
        vec![
            object.name.clone(),
            show_size(object.size_bytes),
            show_time(object.modified),
            ObjectRole::of(&object.name).as_str().to_owned(),
        ]
    }));
    rows.extend(listing.uploads.iter().flatten().map(|upload| {
        let mut row = row_of(upload);
        row.push(format!("open upload, {}", state_of(upload)));
        row
    }));
    table(&rows)
}

fn row_of(upload: &OpenUpload) -> Vec<String> {
    vec![
        upload.object.clone(),
        upload.size_bytes.map_or_else(String::new, show_size),
        show_time(upload.modified),
    ]
}

fn state_of(upload: &OpenUpload) -> &'static str {
    match upload.is_held {
        true => "held",
        false => "not held",
    }
}

fn show_time(time: Option<Timestamp>) -> String {
    time.map_or_else(String::new, |time| format!("{time:.0}"))
}

fn listing_document(container: &dyn StorageContainer, listing: &ContainerListing) -> Value {
    let objects = listing.objects.iter().map(|object| {
        json!({
            "name": object.name,
            "sizeBytes": object.size_bytes,
            "modified": object.modified.map(|time| time.to_string()),
            "what": ObjectRole::of(&object.name).as_str(),
        })
    });
    let uploads = listing.uploads.as_ref().map(|uploads| {
        let uploads = uploads.iter().map(|upload| {
            let mut document = upload_document(upload);
            document["held"] = upload.is_held.into();
            document
        });
        uploads.collect::<Vec<_>>()
    });
    json!({
        "container": container.name(),
        "objects": objects.collect::<Vec<_>>(),
        "uploads": uploads,
    })
}

fn upload_document(upload: &OpenUpload) -> Value {
    json!({
        "name": upload.object,
        "sizeBytes": upload.size_bytes,
        "modified": upload.modified.map(|time| time.to_string()),
    })
}

async fn clean(arguments: &CleanArguments, output: Output) -> anyhow::Result<Exit> {
    let container = open_to_clean(arguments).await?;
    let remembered = arguments
        .state
        .remembered_uploads(&arguments.container)
        .await?;
    let cleaning = Cleaning {
        container: &*container,
        remembered: remembered.as_ref(),
        older_than: arguments.older_than,
        now: Timestamp::now(),
    };
    let Some(planned) = cleaning.plan().await? else {
        let error = UsageError::new(cannot_list_uploads(&*container)).hint(LIFECYCLE);
        return Err(error.exit(Exit::Failed).into());
    };
    let uploads = match arguments.dry_run {
        true => planned,
        false => cleaning.clean(planned).await?,
    };
    let document = cleaning_document(&*container, &uploads, arguments.dry_run);
    output.print(&show_cleaning(&uploads), &document)?;
    let has_failed = |it: &JudgedUpload| matches!(it.outcome, UploadOutcome::Failed(_));
    match uploads.iter().any(has_failed) {
        true => Ok(Exit::PartlyFailed),
        false => Ok(Exit::Done),
    }
}

/// In a cloud an upload is removed by writing in its place and deleting that.
async fn open_to_clean(arguments: &CleanArguments) -> anyhow::Result<Arc<dyn StorageContainer>> {
    let purpose = match arguments.dry_run {
        true => Purpose::Look,
        false => Purpose::Clean,
    };
    open_container(&arguments.container, Missing::Refuse, purpose).await
}

fn show_cleaning(uploads: &[JudgedUpload]) -> String {
    let mut text = String::new();
    for JudgedUpload { upload, outcome } in uploads {
        let size = upload
            .size_bytes
            .map_or_else(String::new, |size| format!(", {}", show_size(size)));
        let since = upload
            .modified
            .map_or_else(String::new, |time| format!(", last changed {time:.0}"));
        let reason = match outcome.to_string() {
            reason if reason.is_empty() => String::new(),
            reason => format!(": {reason}"),
        };
        let outcome = outcome.as_str();
        text.push_str(&format!(
            "{outcome}: {}{size}{since}{reason}\n",
            upload.object
        ));
    }
    let number = |word: &str| {
        uploads
            .iter()
            .filter(|it| it.outcome.as_str() == word)
            .count()
    };
    let (abandoned, removed) = (number("abandoned"), number("removed"));
    let total = count(uploads.len(), "open upload");
    text.push_str(&match abandoned {
        0 => format!("{total}, {removed} removed"),
        _ => format!("{total}, {abandoned} would be removed"),
    });
    text
}

fn cleaning_document(
    container: &dyn StorageContainer,
    uploads: &[JudgedUpload],
    is_dry_run: bool,
) -> Value {
    let uploads = uploads.iter().map(|JudgedUpload { upload, outcome }| {
        let mut document = upload_document(upload);
        let reason = outcome.to_string();
        document["outcome"] = outcome.as_str().into();
        document["reason"] = (!reason.is_empty()).then_some(reason).into();
        document
    });
    json!({
        "container": container.name(),
        "dryRun": is_dry_run,
        "uploads": uploads.collect::<Vec<_>>(),
    })
}
