//! `airlift sas`: makes shared access signatures, and explains them.

mod make;
mod show;

use clap::{Args, Subcommand};

use crate::cli::exit::Exit;
use crate::cli::output::Output;

/// Make shared access signatures of Azure, and explain them
#[derive(Args)]
pub(in crate::cli) struct SasArguments {
    #[command(subcommand)]
    command: SasCommand,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "it is made once, by the parser")]
enum SasCommand {
    /// Make a signature for a container or for one object
    ///
    /// The URL with the signature is printed on standard output. It is a secret.
    ///
    /// Example: `airlift sas make https://acme.blob.core.windows.net/drop --account-key file:acme.key --permissions rl --expires 8h`
    Make(make::MakeArguments),
    /// Show what a signature allows, and what it is not enough for
    ///
    /// Example: `airlift sas show file:drop.sas`
    Show(show::ShowArguments),
}

pub(in crate::cli) async fn run(arguments: SasArguments, output: Output) -> anyhow::Result<Exit> {
    match arguments.command {
        SasCommand::Make(arguments) => make::run(arguments, output).await,
        SasCommand::Show(arguments) => show::run(arguments, output).await,
    }
}
