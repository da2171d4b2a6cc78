//! `airlift config import-acr`: the pipelines of ACR Transfer as a configuration file.
//!
//! ACR Transfer signs nothing. What is written signs and trusts, with keys that are still to be made: whoever takes
//! the pipelines over decides about them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::Output;
use crate::config::{AcrDirection, AcrOption, AcrPipeline, InvalidAcr, parse_acr};

#[derive(Args)]
pub(super) struct ImportAcrArguments {
    /// What `az acr export-pipeline show|list`, `az acr import-pipeline show|list` or an ARM export wrote; `-` is
    /// standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Where the keys that sign and verify will be
    #[arg(long, value_name = "DIR", default_value = "/etc/airlift/keys")]
    keys: PathBuf,
}

pub(super) fn run(arguments: &ImportAcrArguments, output: Output) -> anyhow::Result<Exit> {
    let shown = arguments.file.display();
    let text = match arguments.file == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?,
        false => std::fs::read_to_string(&arguments.file)
            .with_context(|| format!("cannot read `{shown}`"))?,
    };
    let pipelines = parse_acr(&text).map_err(|error| {
        let usage = UsageError::new(format!("`{shown}`: {error}"));
        match error {
            InvalidAcr::Expression { .. } | InvalidAcr::Nothing => usage.hint(
                "give what is deployed: `az acr export-pipeline list --resource-group G --registry R`, and the same of `import-pipeline`",
            ),
            _ => usage,
        }
    })?;
    let toml = write_configuration(&pipelines, &arguments.keys);
    output.print(
        &toml,
        &json!({ "pipelines": pipelines.len(), "toml": toml }),
    )?;
    let keys = arguments.keys.display();
    Output::note(&format!(
        "ACR Transfer signs nothing, airlift does: make a key for each pipeline (`airlift key generate --out {keys}/NAME.key`), keep it on the exporting side, and bring its `.pub` to the importing one"
    ));
    Ok(Exit::Done)
}

/// The whole file: registries and containers once, then the pipelines.
fn write_configuration(pipelines: &[AcrPipeline], keys: &Path) -> String {
    let mut text = String::from("state = \"/var/lib/airlift\"\n");
    let mut written = BTreeSet::new();
    for pipeline in pipelines {
        let registry = name_of(&pipeline.registry);
        if written.insert(format!("registry.{registry}")) {
            let address = quote(&format!("{}.azurecr.io", pipeline.registry.to_lowercase()));
            text.push_str(&format!("\n[registry.{registry}]\naddress = {address}\n"));
        }
        let container = container_name(pipeline);
        if written.insert(format!("container.{container}")) {
            let url = quote(&pipeline.container);
            text.push_str(&format!("\n[container.{container}]\nurl = {url}\n"));
            if let Some(vault) = &pipeline.key_vault {
                let secret = quote(&format!("azure-key-vault:{vault}"));
                text.push_str(&format!("credential = {secret}\n"));
            }
        }
    }
    for pipeline in pipelines {
        text.push_str(&write_pipeline(pipeline, keys));
    }
    text
}

fn write_pipeline(pipeline: &AcrPipeline, keys: &Path) -> String {
    let name = name_of(&pipeline.name);
    let registry = quote(&name_of(&pipeline.registry));
    let container = quote(&container_name(pipeline));
    let key = keys.join(format!("{name}.key")).display().to_string();
    let has = |option| pipeline.options.contains(&option);
    match pipeline.direction {
        AcrDirection::Export => format!(
            "\n[export.{name}]\nregistry = {registry}\ncontainer = {container}\nsign-key = [{}]\noverwrite-blobs = {}\ncontinue-on-errors = {}\n",
            quote(&key),
            has(AcrOption::OverwriteBlobs),
            has(AcrOption::ContinueOnErrors),
        ),
        AcrDirection::Import => format!(
            "\n[import.{name}]\ncontainer = {container}\ntarget = {registry}\ntrust = [{}]\nsource-trigger = {}\nexisting = \"{}\"\ncontinue-on-errors = {}\ndelete-source = {}\n",
            quote(&format!("{key}.pub")),
            pipeline.has_source_trigger,
            match has(AcrOption::OverwriteTags) {
                true => "overwrite",
                false => "fail",
            },
            has(AcrOption::ContinueOnErrors),
            has(AcrOption::DeleteSourceBlobOnSuccess),
        ),
    }
}

/// Storage account and container; with another secret it is another section.
fn container_name(pipeline: &AcrPipeline) -> String {
    let url = pipeline.container.trim_start_matches("https://");
    let (host, path) = url.split_once('/').unwrap_or((url, ""));
    let account = host.split('.').next().unwrap_or_default();
    let direction = match pipeline.direction {
        AcrDirection::Export => "out",
        AcrDirection::Import => "in",
    };
    name_of(&format!("{account}-{path}-{direction}"))
}

/// A name as sections have them.
fn name_of(text: &str) -> String {
    let is_kept = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let letters = text.to_lowercase();
    let name: String = letters
        .chars()
        .map(|c| if is_kept(c) { c } else { '-' })
        .take(60)
        .collect();
    name.trim_matches(['-', '_']).to_owned()
}

fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
