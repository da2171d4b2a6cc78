//! `airlift manual`: manual pages, generated from the parser.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cli::args::grammar;
use crate::cli::exit::Exit;
use crate::cli::output::Output;

/// Write the manual pages
///
/// Example: airlift manual --out /usr/local/share/man/man1
#[derive(Args)]
pub(in crate::cli) struct ManualArguments {
    /// The directory that the pages are written to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(in crate::cli) fn run(arguments: &ManualArguments, output: Output) -> anyhow::Result<Exit> {
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("cannot create `{}`", out.display()))?;
    clap_mangen::generate_to(grammar(), out)
        .with_context(|| format!("cannot write the manual pages to `{}`", out.display()))?;
    output.print(
        &format!("manual pages are in {}", out.display()),
        &serde_json::json!({ "directory": out }),
    )?;
    Ok(Exit::Done)
}
