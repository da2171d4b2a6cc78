//! What of every bundle an import takes, and what it is called at the target: flags of all commands that deliver,
//! named as the keys of the configuration file.

use clap::Args;

use super::selection_args::SelectionArguments;
use crate::content::{OnError, ReferrerPolicy};
use crate::oci::Platform;
use crate::pipeline::{PartSelection, PlatformIndex, Tailoring};
use crate::selection::{RenameRule, RenameRules, RepositoryPattern};

/// The heading of these flags.
pub(super) const PART: &str = "Selection, of a part of every bundle";
const NAMES: &str = "Names at the target";

#[derive(Args)]
pub(super) struct PartArguments {
    /// Take only these repositories, by their names at the source, such as `apps/**`
    #[arg(long, value_name = "GLOB", help_heading = PART)]
    repositories: Vec<RepositoryPattern>,

    #[command(flatten)]
    selection: SelectionArguments,

    /// Take only images that have one of these platforms, such as `linux/arm64`
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", help_heading = PART)]
    platform: Vec<Platform>,

    /// Rename repositories, the first rule that matches: `PREFIX/=PREFIX/`, `NAME=NAME` or `~REGEX=NAME`
    ///
    /// Prefixes end with `/` or are empty; a regular expression matches whole names, and `$1` or `${name}` are its
    /// groups. Tags stay. The result is put below the prefix of the target.
    ///
    /// Example: --rename library/=mirror/docker.io/ --rename '~team-(.*)/(.*)=$1/$2'
    #[arg(long, value_name = "RULE", help_heading = NAMES, hide_short_help = true)]
    rename: Vec<RenameRule>,
}

impl PartArguments {
    /// Ages are counted from now.
    pub(super) fn tailoring(&self, platform_index: PlatformIndex) -> anyhow::Result<Tailoring> {
        let tags = self
            .selection
            .build(&self.platform, ReferrerPolicy::Carry, OnError::Stop)?;
        let is_everything = self.repositories.is_empty()
            && tags.exclude_repositories.is_empty()
            && tags.rules.is_empty();
        let part = (!is_everything).then(|| {
            Box::new(PartSelection {
                repositories: self.repositories.clone(),
                tags,
            })
        });
        Ok(Tailoring {
            part,
            renames: RenameRules::new(self.rename.clone()),
            platform_index,
        })
    }
}
