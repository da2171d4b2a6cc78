//! By which API a target registry is asked to create what is missing, and with which keys.

use std::sync::Arc;

use url::Url;

use super::containers::find_aws_login;
use crate::content::{Error, ErrorKind, Result};
use crate::registry::{Creator, Ecr, EcrName, RegistryOptions};
use crate::storage::find_aws_keys;

/// Whether, and how, projects and repositories that a target lacks are created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RepositoryCreation {
    /// The registry makes them by itself, or somebody has made them.
    #[default]
    None,
    /// Projects, by Harbor's API and with the registry's login.
    Harbor,
    /// Repositories, by Amazon's API and with the machine's keys of AWS.
    Ecr {
        /// Instead of the service's own address.
        endpoint: Option<Url>,
    },
}

impl RepositoryCreation {
    /// Nothing is asked of the API yet.
    pub(super) async fn open(
        &self,
        host: &str,
        options: &RegistryOptions,
    ) -> Result<Option<Creator>> {
        match self {
            Self::None => Ok(None),
            Self::Harbor => Ok(Some(Creator::Harbor)),
            Self::Ecr { endpoint } => {
                let refused = |kind| Error::new(kind, "target: cannot create repositories there");
                let name: EcrName = host
                    .parse()
                    .map_err(|cause| refused(ErrorKind::Refused).with_cause(cause))?;
                let login = find_aws_login().await?;
                let keys = find_aws_keys(&login)?;
                let ecr = Ecr::new(name, endpoint.as_ref(), options.clone(), Arc::clone(&keys));
                let ecr = ecr.map_err(|cause| refused(cause.kind()).with_cause(cause))?;
                Ok(Some(Creator::Ecr(Box::new(ecr))))
            }
        }
    }
}
