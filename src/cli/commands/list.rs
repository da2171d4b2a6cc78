//! `airlift list`: repositories of a registry, or the tags of a repository with what they point to.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::{Output, table};
use crate::cli::registry_args::RegistryArguments;
use crate::oci::InvalidReference;
use crate::pipeline::{ListTarget, ListedTag, list_repositories, list_tags};

/// List repositories, or the tags of one
///
/// Tags are listed with digest, platforms and age, which takes a few small requests for each.
///
/// Example: airlift list r.example/apps/web
#[derive(Args)]
pub(in crate::cli) struct ListArguments {
    /// `REGISTRY[/REPOSITORY]` or `oci:DIR`
    #[arg(value_name = "REGISTRY[/REPOSITORY]")]
    target: String,

    #[command(flatten)]
    registries: RegistryArguments,
}

pub(in crate::cli) async fn run(arguments: ListArguments, output: Output) -> anyhow::Result<Exit> {
    let connections = arguments.registries.connect().await?;
    let target: ListTarget = arguments
        .target
        .parse()
        .map_err(|error: InvalidReference| {
            UsageError::new(error.to_string())
                .hint("expected `REGISTRY`, `REGISTRY/REPOSITORY` or `oci:DIR`")
        })?;
    if let ListTarget::Repositories { host } = &target {
        let names = list_repositories(host, &connections).await?;
        let text: Vec<String> = names.iter().map(ToString::to_string).collect();
        output.print(
            &text.join("\n"),
            &json!({ "registry": host, "repositories": names }),
        )?;
        return Ok(Exit::Done);
    }
    let tags = list_tags(&target, &connections).await?;
    print_tags(&tags, output)
}

fn print_tags(tags: &[ListedTag], output: Output) -> anyhow::Result<Exit> {
    let now = Timestamp::now();
    let mut rows = vec![
        ["NAME", "DIGEST", "PLATFORMS", "AGE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut documents: Vec<Value> = Vec::new();
    let mut exit = Exit::Done;
    for tag in tags {
        match &tag.found {
            Ok(found) => {
                let platforms: Vec<String> =
                    found.platforms.iter().map(ToString::to_string).collect();
                rows.push(vec![
                    tag.name.clone(),
                    found.digest.to_string(),
                    platforms.join(","),
                    found
                        .created
                        .as_deref()
                        .map_or_else(String::new, |text| show_age(text, now)),
                ]);
                documents.push(json!({
                    "name": tag.name, "digest": found.digest, "mediaType": found.media_type,
                    "platforms": platforms, "created": found.created,
                }));
            }
            Err(reason) => {
                exit = Exit::PartlyFailed;
                rows.push(vec![tag.name.clone(), format!("failed: {reason}")]);
                documents.push(json!({ "name": tag.name, "error": reason }));
            }
        }
    }
    output.print(&table(&rows), &json!({ "tags": documents }))?;
    Ok(exit)
}

/// `3d`, `5h`, `2y`: the largest unit that fits.
fn show_age(created: &str, now: Timestamp) -> String {
    const UNITS: [(&str, i64); 5] = [
        ("y", 31_557_600),
        ("d", 86_400),
        ("h", 3_600),
        ("m", 60),
        ("s", 1),
    ];
    let Ok(created) = created.parse::<Timestamp>() else {
        return String::new();
    };
    // Images made reproducibly say the start of the epoch, or before: that is no age.
    if created.as_second() <= 0 {
        return String::new();
    }
    let seconds = now.as_second() - created.as_second();
    let unit = UNITS.iter().find(|(_, length)| seconds >= *length);
    unit.map_or_else(
        || "now".to_owned(),
        |(unit, length)| format!("{}{unit}", seconds / length),
    )
}
