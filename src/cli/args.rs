//! What may be typed: the grammar of the command line, and nothing about what it means.
//!
//! Flag names are the words of the configuration file too. Every flag has a long name and help.

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::commands;
use super::part_args::PART;
use super::registry_args::REGISTRIES;
use super::selection_args::SELECTION;

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
#[command(name = "airlift", version, propagate_version = true)]
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
    #[arg(help_heading = "Output")]
    pub(super) output: Format,

    /// Log level on standard error, such as `debug` or `airlift=debug,reqwest=warn`
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "AIRLIFT_LOG",
        default_value = "warn",
        help_heading = "Output",
        hide_env_values = true
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

/// The whole grammar. Every command's `--help` ends with the exit codes.
pub(super) fn grammar() -> clap::Command {
    Arguments::command()
        .after_help(EXIT_CODES)
        .mut_subcommands(with_exit_codes)
        .mut_subcommand("export", with_short_help)
        .mut_subcommand("promote", with_short_help)
        .mut_subcommand("import", with_part)
        .mut_subcommand("watch", with_part)
        .mut_subcommand("unpack", with_part)
        .mut_subcommand("inspect", with_registries_of_encoders)
        .mut_subcommand("select", |command| {
            command.mut_arg("references", |argument| argument.help(SELECTABLE))
        })
}

/// A selection is among the tags of registries.
const SELECTABLE: &str = "`REGISTRY/REPOSITORY[:TAG|@DIGEST]` or `REGISTRY/GLOB`";

/// The rules have a command of their own, whose short help shows them.
fn with_short_help(command: clap::Command) -> clap::Command {
    let is_rule = |argument: &clap::Arg| argument.get_help_heading() == Some(SELECTION);
    command
        .mut_args(|argument| match is_rule(&argument) {
            true => argument.hide_short_help(true),
            false => argument,
        })
        .after_help("Rules for tags that are not named, such as `--newest`: `airlift select -h`")
}

/// Flags of commands that deliver that few people need.
const RARE: [&str; 5] = [
    "platform_index",
    "private_addresses",
    "min_sequence",
    "receipt_key",
    "receipts",
];

/// Rules are about parts of bundles here, and the long help shows them.
fn with_part(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| match argument.get_help_heading() {
            Some(SELECTION | PART) => argument.help_heading(PART).hide_short_help(true),
            _ if RARE.contains(&argument.get_id().as_str()) => argument.hide_short_help(true),
            _ => argument,
        })
        .after_help("Rules for parts of bundles, for tags and for names at the target: `--help`")
}

/// Bundles are in no registry. Where the configuration file is may be said in the environment, for all commands.
fn with_registries_of_encoders(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| match argument.get_help_heading() {
        Some(REGISTRIES) if argument.get_id() != "config" => argument.conflicts_with("bundles"),
        _ => argument,
    })
}

fn with_exit_codes(command: clap::Command) -> clap::Command {
    command
        .after_long_help(EXIT_CODES)
        .mut_subcommands(with_exit_codes)
}

pub(super) fn parse() -> Result<Arguments, clap::Error> {
    Arguments::from_arg_matches(&grammar().try_get_matches()?)
}

/// Each command tells what it does where its arguments are.
#[derive(Subcommand)]
pub(super) enum Command {
    Export(Box<commands::export::ExportArguments>),
    Transfer(Box<commands::transfer::TransferArguments>),
    Import(Box<commands::import::ImportArguments>),
    Watch(Box<commands::watch::WatchArguments>),
    Serve(commands::serve::ServeArguments),
    Promote(Box<commands::promote::PromoteArguments>),
    Rollback(commands::rollback::RollbackArguments),
    Run(commands::run::RunArguments),
    Runs(commands::runs::RunsArguments),
    Receipts(commands::receipts::ReceiptsArguments),
    Lanes(commands::lanes::LanesArguments),
    History(commands::history::HistoryArguments),
    Audit(commands::audit::AuditArguments),
    List(commands::list::ListArguments),
    Select(Box<commands::select::SelectArguments>),
    Container(commands::container::ContainerArguments),
    Inspect(commands::inspect::InspectArguments),
    Verify(commands::verify::VerifyArguments),
    Unpack(Box<commands::unpack::UnpackArguments>),
    Sign(commands::sign::SignArguments),
    Key(commands::key::KeyArguments),
    Sas(commands::sas::SasArguments),
    MirrorConfig(commands::mirror_config::MirrorConfigArguments),
    Config(commands::config::ConfigArguments),
    Completions(commands::completions::CompletionsArguments),
    Manual(commands::manual::ManualArguments),
}

impl Command {
    /// Whether the command itself answers signals: it has something to give back first, or nothing to say.
    pub(super) fn answers_signals(&self) -> bool {
        match self {
            Self::Watch(arguments) => arguments.is_daemon(),
            Self::Serve(_) => true,
            Self::Runs(arguments) => arguments.is_endless(),
            Self::Run(arguments) => arguments.answers_signals(),
            _ => false,
        }
    }

    /// Whether its lines begin with the time, as those of a watch do.
    pub(super) fn tells_the_time(&self) -> bool {
        matches!(self, Self::Watch(_) | Self::Run(_) | Self::Serve(_)) && self.answers_signals()
    }

    /// Whether a signal is how the command is meant to end.
    pub(super) fn ends_by_signal(&self) -> bool {
        matches!(self, Self::Transfer(arguments) if arguments.ends_by_signal())
    }
}
