//! What may be typed: the grammar of the command line, and nothing about what it means.
//!
//! Flag names are the words of the configuration file too. Every flag has a long name and help.

use clap::{Parser, Subcommand, ValueEnum};

use super::commands;

const EXIT_CODES: &str = "\
Exit codes:
  0    everything asked for was done
  1    failed
  2    wrong usage
  3    finished, but some artifacts failed
  4    verification failed: signature, digest, inventory, replay
  5    authentication or permission
  130  interrupted; safe to run again";

/// Carry container images and other OCI artifacts between registries that never see each other.
#[derive(Parser)]
#[command(name = "airlift", version, after_help = EXIT_CODES, propagate_version = true)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,

    /// What is printed on standard output
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Format,

    /// Log level on standard error, such as `debug` or `airlift=debug,reqwest=warn`
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "AIRLIFT_LOG",
        default_value = "warn"
    )]
    pub(super) log: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// One JSON document, with the fields that the README lists
    Json,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Write artifacts of a registry into a signed bundle
    Export(commands::export::ExportArguments),
    /// Verify bundles and deliver them to a registry
    Import(commands::import::ImportArguments),
    /// List repositories, or the tags of one
    List(commands::list::ListArguments),
    /// Show what a bundle holds
    Inspect(commands::inspect::InspectArguments),
    /// Prove every byte of a bundle
    Verify(commands::verify::VerifyArguments),
    /// Turn a bundle into an OCI image layout directory
    Unpack(commands::unpack::UnpackArguments),
    /// Add a signature beside a bundle, after verifying it
    Sign(commands::sign::SignArguments),
    /// Make signing keys, and show them
    Key(commands::key::KeyArguments),
    /// Print a completion script for a shell
    Completions(commands::completions::CompletionsArguments),
    /// Write the manual pages
    Manual(commands::manual::ManualArguments),
}
