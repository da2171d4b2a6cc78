//! What is meant: references that commands which read from sources have, on the command line and from files.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::failure::UsageError;
use crate::pipeline::{InvalidSource, SourceReference};

#[derive(Args)]
pub(super) struct ReferenceArguments {
    /// `REGISTRY/REPOSITORY[:TAG|@DIGEST]`, `REGISTRY/GLOB` or `oci:DIR[:NAME]`; without a tag, all tags that the
    /// selection takes
    #[arg(value_name = "REFERENCE")]
    references: Vec<String>,

    /// Read more references from a file, or from standard input (`-`), one a line; `#` begins a comment
    #[arg(long, value_name = "FILE")]
    from_file: Vec<PathBuf>,
}

impl ReferenceArguments {
    /// Nothing was given, not even an empty file.
    pub(super) fn is_empty(&self) -> bool {
        self.references.is_empty() && self.from_file.is_empty()
    }

    pub(super) fn read(&self) -> anyhow::Result<Vec<SourceReference>> {
        let mut texts = self.references.clone();
        for path in &self.from_file {
            let text = read_file(path)?;
            let lines = text
                .lines()
                .map(|line| line.split('#').next().unwrap_or_default().trim());
            texts.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
        }
        let parse = |text: &String| {
            text.parse()
                .map_err(|error: InvalidSource| UsageError::new(error.to_string()).into())
        };
        texts.iter().map(parse).collect()
    }
}

fn read_file(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        return io::read_to_string(io::stdin()).context("cannot read standard input");
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}
