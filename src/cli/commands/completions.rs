//! `airlift completions`: a completion script, generated from the parser.

use clap::Args;
use clap_complete::Shell;

use crate::cli::args::grammar;
use crate::cli::exit::Exit;
use crate::cli::output::{Output, print_bytes};

/// Print a completion script for a shell
///
/// Example: airlift completions bash > ~/.local/share/bash-completion/completions/airlift
#[derive(Args)]
pub(in crate::cli) struct CompletionsArguments {
    /// The shell that the script is for
    shell: Shell,
}

pub(in crate::cli) fn run(arguments: &CompletionsArguments, _: Output) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut grammar(), "airlift", &mut script);
    print_bytes(&script)?;
    Ok(Exit::Done)
}
