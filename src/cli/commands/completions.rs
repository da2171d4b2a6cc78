//! `airlift completions`: a completion script, generated from the parser.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::args::Arguments;
use crate::cli::exit::Exit;
use crate::cli::output::{Output, print_bytes};

/// Example: airlift completions bash > /`etc/bash_completion.d/airlift`
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

pub(in crate::cli) fn run(arguments: &CompletionsArguments, _: Output) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "airlift",
        &mut script,
    );
    print_bytes(&script)?;
    Ok(Exit::Done)
}
