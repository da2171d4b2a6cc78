//! `airlift config`: looks at the configuration file, and makes one.

mod check;
mod import_acr;
mod schema;
mod show;

use clap::{Args, Subcommand};

use crate::cli::config_args::ConfigArgument;
use crate::cli::exit::Exit;
use crate::cli::output::Output;

/// Check and show the configuration file
#[derive(Args)]
pub(in crate::cli) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say whether the file is right; every fault is told with its line
    ///
    /// Names, values, schedules and secrets are checked, and nothing is connected to.
    ///
    /// Example: airlift config check --config airlift.toml
    Check(check::CheckArguments),
    /// Print what is in force, defaults included and secrets left out
    ///
    /// Example: airlift config show --config airlift.toml
    Show(ShowArguments),
    /// Print the JSON schema of the file, for editors
    ///
    /// Example: airlift config schema > airlift.schema.json
    Schema,
    /// Write the pipelines of Azure's ACR Transfer as a configuration file
    ///
    /// Example: airlift config import-acr pipelines.json > airlift.toml
    ImportAcr(import_acr::ImportAcrArguments),
}

#[derive(Args)]
struct ShowArguments {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(in crate::cli) async fn run(
    arguments: ConfigArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    match arguments.command {
        ConfigCommand::Check(arguments) => check::run(&arguments, output).await,
        ConfigCommand::Show(arguments) => {
            let configuration = arguments.config.require()?;
            let document = show::document_of(&configuration);
            output.print(&show::text_of(&configuration), &document)?;
            Ok(Exit::Done)
        }
        ConfigCommand::ImportAcr(arguments) => import_acr::run(&arguments, output),
        ConfigCommand::Schema => {
            let schema = schema::write_schema();
            output.print(&serde_json::to_string_pretty(&schema)?, &schema)?;
            Ok(Exit::Done)
        }
    }
}
