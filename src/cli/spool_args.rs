//! Where layers are decompressed while dense bundles are made and delivered.

use std::path::PathBuf;

use clap::Args;

/// The directory for decompressed layers.
#[derive(Args)]
pub(super) struct SpoolArgument {
    /// Decompress layers of dense bundles in this directory, instead of `$TMPDIR` or /var/tmp; the files have no names,
    /// and `--dry-run` tells how much room they take
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    spool: Option<PathBuf>,
}

impl SpoolArgument {
    pub(super) fn directory(&self) -> PathBuf {
        let from_environment = || std::env::var_os("TMPDIR").filter(|it| !it.is_empty());
        match &self.spool {
            Some(directory) => directory.clone(),
            // What /tmp holds is in memory on many systems.
            None => from_environment().map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from),
        }
    }
}
