//! Projects and repositories created by the APIs that some registries have beside the specification's.
//!
//! Harbor wants a project for the first segment of a name, ECR the whole repository. Everything is asked for before it
//! is created, so a login that may only push is enough where all is there.
//!
//! **Invariant.** Nothing is changed that is there: no setting of it, and not who may see it.

mod ecr;
mod harbor;

pub use ecr::{Ecr, EcrName};

use super::client::Client;
use super::error::{RegistryError, Result};
use crate::content::{Presence, Provision, ProvisionKind};
use crate::oci::Repository;

/// By which API what is missing is created.
pub enum Creator {
    Harbor,
    Ecr(Box<Ecr>),
}

/// The API has told that the login may not do it.
#[derive(Debug, thiserror::Error)]
pub enum MayNotCreate {
    #[error("the login may not create projects in Harbor")]
    Project(#[source] RegistryError),
    #[error("the AWS identity may not create repositories in ECR")]
    Repository(#[source] RegistryError),
}

impl Creator {
    pub(super) fn provision_of(&self, host: &str, repository: &Repository) -> Result<Provision> {
        let name = repository.as_str();
        match self {
            Self::Ecr(_) => Ok(Provision {
                kind: ProvisionKind::Repository,
                name: name.to_owned(),
            }),
            Self::Harbor => match name.split_once('/') {
                Some((project, _)) => Ok(Provision {
                    kind: ProvisionKind::Project,
                    name: project.to_owned(),
                }),
                None => Err(RegistryError::refused(
                    host,
                    format!(
                        "would get `{name}` outside of every project, so the target has to be `{host}/PROJECT`"
                    ),
                )),
            },
        }
    }

    pub(super) async fn find(&self, client: &Client, provision: &Provision) -> Result<Presence> {
        let found = match self {
            Self::Harbor => harbor::has_project(client, &provision.name).await,
            Self::Ecr(ecr) => ecr.has_repository(&provision.name).await,
        };
        match found {
            Ok(true) => Ok(Presence::There),
            Ok(false) => Ok(Presence::Missing),
            Err(RegistryError::Answer(answer)) if is_denial(&answer) => Ok(Presence::Unknown),
            Err(error) => Err(error),
        }
    }

    /// `false` where it is there meanwhile.
    pub(super) async fn create(&self, client: &Client, provision: &Provision) -> Result<bool> {
        match self {
            Self::Harbor => harbor::create_project(client, &provision.name).await,
            Self::Ecr(ecr) => ecr.create_repository(&provision.name).await,
        }
    }

    /// What a refusal to create means.
    pub(super) fn explain(&self, error: RegistryError) -> Result<MayNotCreate> {
        match (&error, self) {
            (RegistryError::Answer(answer), _) if !is_denial(answer) => Err(error),
            (RegistryError::Answer(_), Self::Harbor) => Ok(MayNotCreate::Project(error)),
            (RegistryError::Answer(_), Self::Ecr(_)) => Ok(MayNotCreate::Repository(error)),
            _ => Err(error),
        }
    }
}

fn is_denial(answer: &super::Answer) -> bool {
    answer.kind() == crate::content::ErrorKind::Denied
}
