//! Whether a target registry is asked to create projects or repositories: a flag of commands that push to a registry,
//! named as the key of the configuration file.

use clap::{Args, ValueEnum};
use url::Url;

use super::failure::UsageError;
use crate::pipeline::{RepositoryCreation, TargetReference};

/// Where requests to ECR go instead of the service's own address; the tools of AWS know it by this name too.
const ECR_ENDPOINT: &str = "AWS_ENDPOINT_URL_ECR";

#[derive(Args, Clone)]
pub(super) struct CreationArguments {
    /// By which API projects or repositories are created that the target lacks
    #[arg(
        long,
        value_name = "API",
        default_value = "none",
        hide_short_help = true
    )]
    create_repositories: CreationArgument,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CreationArgument {
    /// The registry makes them by itself, or somebody has made them
    None,
    /// Private projects, with the registry's login
    Harbor,
    /// Repositories of Amazon's ECR, with the machine's keys of AWS
    Ecr,
}

impl CreationArguments {
    pub(super) fn build(&self, target: &TargetReference) -> anyhow::Result<RepositoryCreation> {
        let is_layout = matches!(target, TargetReference::Layout { .. });
        if is_layout && self.create_repositories != CreationArgument::None {
            let error = UsageError::new(format!(
                "`--create-repositories` is for a registry, and `{target}` is a layout"
            ));
            return Err(error.into());
        }
        Ok(match self.create_repositories {
            CreationArgument::None => RepositoryCreation::None,
            CreationArgument::Harbor => RepositoryCreation::Harbor,
            CreationArgument::Ecr => RepositoryCreation::Ecr {
                endpoint: read_ecr_endpoint()?,
            },
        })
    }
}

fn read_ecr_endpoint() -> anyhow::Result<Option<Url>> {
    let Some(text) = std::env::var(ECR_ENDPOINT).ok().filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    let url = text.parse::<Url>().ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| UsageError::new(format!("`{ECR_ENDPOINT}` is not a URL")))?;
    Ok(Some(url))
}
