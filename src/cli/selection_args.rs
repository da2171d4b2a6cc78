//! Rules for tags: flags that every command with a selection has, named as the keys of the configuration file.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::duration::parse_duration;
use super::failure::UsageError;
use crate::content::{OnError, ReferrerPolicy};
use crate::oci::Platform;
use crate::pipeline::TagSelection;
use crate::selection::{
    NEWEST_MAX, Newest, NewestBy, RepositoryPattern, Rules, TagPattern, VersionRange,
};

/// The heading of these flags.
pub(super) const SELECTION: &str = "Selection, of tags that are not named one by one";

#[derive(Args)]
#[command(next_help_heading = SELECTION)]
pub(super) struct SelectionArguments {
    /// Leave these repositories out, such as `**/*-dev`
    #[arg(long, value_name = "GLOB")]
    exclude_repositories: Vec<RepositoryPattern>,

    /// Take only tags that match from end to end; a group `(?<version>…)` says where the version is
    #[arg(long, value_name = "REGEX")]
    tags: Option<TagPattern>,

    /// Leave tags that match from end to end
    #[arg(long, value_name = "REGEX")]
    exclude_tags: Option<TagPattern>,

    /// Take only versions in this range, such as `>=1.25, <2`
    #[arg(long, value_name = "RANGE")]
    versions: Option<VersionRange>,

    /// Of each repository take the newest N that are left, at most 1000; 0 takes nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(NEWEST_MAX)))]
    newest: Option<u32>,

    /// What newest means; `version` reads no manifest for it, and takes only tags that are versions
    #[arg(
        long,
        value_name = "BY",
        default_value = "created",
        requires = "newest"
    )]
    newest_by: NewestByArgument,

    /// Of each minor version take the newest that is left
    #[arg(long)]
    newest_patch: bool,

    /// Take only what was created at least so long ago, such as `72h`
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    min_age: Option<Duration>,

    /// Take only what was created at most so long ago, such as `90d`
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_age: Option<Duration>,

    /// Take only artifacts of this type, such as `application/vnd.cncf.helm.config.v1+json`
    #[arg(long, value_name = "TYPE")]
    artifact_type: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum NewestByArgument {
    Created,
    Version,
}

impl SelectionArguments {
    /// The selection that was asked for. Ages are counted from now.
    pub(super) fn build(
        &self,
        platforms: &[Platform],
        referrers: ReferrerPolicy,
        on_error: OnError,
    ) -> anyhow::Result<TagSelection> {
        if let (Some(least), Some(most)) = (self.min_age, self.max_age)
            && least > most
        {
            return Err(UsageError::new(
                "nothing has at least `--min-age` and at most `--max-age`",
            )
            .into());
        }
        let rules = Rules {
            tags: self.tags.clone(),
            exclude_tags: self.exclude_tags.clone(),
            versions: self.versions.clone(),
            platforms: Vec::new(),
            artifact_types: self.artifact_type.clone(),
            min_age: self.min_age,
            max_age: self.max_age,
            takes_newest_patch_only: self.newest_patch,
            newest: self.newest.map(|count| Newest {
                count,
                by: self.newest_by.into(),
            }),
        };
        Ok(TagSelection {
            exclude_repositories: self.exclude_repositories.clone(),
            rules: Rules {
                platforms: platforms.to_vec(),
                ..rules
            },
            referrers,
            on_error,
            now: Timestamp::now(),
            memory: None,
        })
    }
}

impl From<NewestByArgument> for NewestBy {
    fn from(by: NewestByArgument) -> Self {
        match by {
            NewestByArgument::Created => Self::Created,
            NewestByArgument::Version => Self::Version,
        }
    }
}
