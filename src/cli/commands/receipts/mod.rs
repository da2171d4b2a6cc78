//! `airlift receipts`: what far sides have answered, read, brought home, typed in, and made of a registry.

mod code;
mod import;
mod make;
mod show;

use clap::{Args, Subcommand};

use crate::cli::exit::Exit;
use crate::cli::output::Output;

/// Bring home what lanes have delivered, so that the next bundle can leave it out
///
/// An import with `--receipt-key` writes a signed receipt for every bundle of a pipeline. Where only a person may
/// cross, a short code says the same of a bundle that arrived completely.
#[derive(Args)]
pub(in crate::cli) struct ReceiptsArguments {
    #[command(subcommand)]
    command: ReceiptsCommand,
}

#[derive(Subcommand)]
enum ReceiptsCommand {
    /// Show what a receipt says, and whether its signature holds
    ///
    /// Example: airlift receipts show north.receipt --trust north=receipts.pub
    Show(show::ShowArguments),
    /// Take receipts in, from files or a container; each counts once, and only forwards
    ///
    /// Example: airlift receipts import /mnt/usb --trust north=receipts.pub --state /var/lib/airlift
    Import(import::ImportArguments),
    /// Print the code of a bundle that arrived completely, for a person to carry
    ///
    /// Example: airlift receipts code --pipeline plant --state /var/lib/airlift
    Code(code::CodeArguments),
    /// Take in a code that a person has carried over; that the bundle arrived is then that person's word
    ///
    /// Example: airlift receipts confirm 4S2Q8D-0XV7TN-9K3MHA --pipeline plant --lane north --state /var/lib/airlift
    Confirm(code::ConfirmArguments),
    /// Make a receipt of what a registry has that was filled otherwise
    ///
    /// Example: airlift receipts make registry.local/mirror --lane north --pipeline plant --receipt-key receipts.key
    Make(Box<make::MakeArguments>),
}

pub(in crate::cli) async fn run(
    arguments: ReceiptsArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    match arguments.command {
        ReceiptsCommand::Show(show) => show::run(show, output).await,
        ReceiptsCommand::Import(import) => import::run(import, output).await,
        ReceiptsCommand::Code(code) => code::print(code, output).await,
        ReceiptsCommand::Confirm(confirm) => code::confirm(confirm, output).await,
        ReceiptsCommand::Make(make) => make::run(*make, output).await,
    }
}
