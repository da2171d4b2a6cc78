//! What an export leaves out, and how it carries the rest: flags of `export`, named as the keys of the configuration
//! file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::corrections;
use super::failure::UsageError;
use super::spool_args::SpoolArgument;
use crate::bundle::Profile;
use crate::history::Basis;
use crate::pipeline::{Assumes, Dense, References, Thinning};

#[derive(Args)]
pub(super) struct ThinArguments {
    /// How the bundle is stored
    #[arg(long, value_name = "PROFILE", default_value = "plain")]
    profile: ProfileArgument,

    /// Leave out blobs that every lane of `--audience` has confirmed by receipts; importers look for them first
    #[arg(long, requires_all = ["pipeline", "state", "audience"])]
    incremental: bool,

    /// Carry of changed layers only what changed, against those that the lanes have: `--incremental`, and dense
    #[arg(long, requires_all = ["pipeline", "state", "audience"])]
    delta: bool,

    /// Count what was sent and not answered as delivered, where no receipt can come back
    #[arg(long, hide_short_help = true)]
    assume_delivered: bool,

    /// Bring exactly what this list says was missing at the target, which an import has written into its state directory
    #[arg(long, value_name = "FILE", requires_all = ["pipeline", "state", "audience"], hide_short_help = true)]
    pub(super) repair: Option<PathBuf>,

    /// How hard dense bundles are compressed, by zstd; higher is smaller and slower
    #[arg(long, value_name = "LEVEL", default_value_t = 5, hide_short_help = true,
          value_parser = clap::value_parser!(i32).range(1..=19))]
    dense_level: i32,

    #[command(flatten)]
    spool: SpoolArgument,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProfileArgument {
    /// A .tar.zst that is an OCI image layout inside
    Plain,
    /// A .tar without any compression, for content inspection
    Guard,
    /// A .tar.zst of layers that are taken apart, and made again byte for byte by the importer
    Dense,
}

impl ThinArguments {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.delta && self.profile == ProfileArgument::Guard {
            let error =
                UsageError::new("a delta cannot be inspected: `--delta` and `--profile guard`")
                    .hint("leave out whole blobs instead: `--incremental --profile guard`");
            return Err(error.into());
        }
        if self.assume_delivered && !self.incremental && !self.delta {
            let error = UsageError::new(
                "`--assume-delivered` says nothing without `--incremental` or `--delta`",
            );
            return Err(error.into());
        }
        Ok(())
    }

    pub(super) fn profile(&self) -> Profile {
        match self.profile {
            _ if self.delta => Profile::Dense,
            ProfileArgument::Plain => Profile::Plain,
            ProfileArgument::Guard => Profile::Guard,
            ProfileArgument::Dense => Profile::Dense,
        }
    }

    pub(super) fn thinning(&self) -> Thinning {
        let basis = match self.assume_delivered {
            true => Basis::AssumeDelivered,
            false => Basis::Confirmed,
        };
        let dense = (self.profile() == Profile::Dense).then(|| Dense {
            level: self.dense_level,
            spool: self.spool.directory(),
            corrector: corrections::corrector(),
            references: match self.delta {
                true => References::Target,
                false => References::Bundle,
            },
        });
        Thinning {
            assumes: match self.incremental || self.delta {
                true => Assumes::Known(basis),
                false => Assumes::Nothing,
            },
            dense,
        }
    }
}
