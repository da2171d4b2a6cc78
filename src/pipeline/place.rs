//! Places by the words a person types for them: `REGISTRY/REPOSITORY[:TAG|@DIGEST]`, `REGISTRY/GLOB`,
//! `REGISTRY[/PREFIX]`, `oci:PATH[:NAME]`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use super::creation::RepositoryCreation;
use crate::content::{Error, ErrorKind, Result, Source, Target};
use crate::layout::Layout;
use crate::oci::{InvalidReference, Reference, Repository, refuse_url};
use crate::registry::{Registry, RegistryOptions, is_same_place};
use crate::selection::{InvalidPattern, RepositoryPattern};

const LAYOUT_SCHEME: &str = "oci:";

/// What an export may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceReference {
    Registry(Reference),
    /// The repositories in the catalog of a registry that match.
    Glob {
        registry: String,
        pattern: RepositoryPattern,
    },
    /// A layout directory, and the name within it where one was given.
    Layout {
        path: PathBuf,
        name: Option<String>,
    },
}

/// A text that is no reference to a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
}

impl FromStr for SourceReference {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        let Some(rest) = text.strip_prefix(LAYOUT_SCHEME) else {
            refuse_url(text)?;
            return match text.split_once('/') {
                Some((host, glob)) if RepositoryPattern::is_glob(glob) => Self::glob(host, glob),
                _ => Ok(Self::Registry(text.parse()?)),
            };
        };
        let (path, name) = match rest.split_once(':') {
            Some((path, name)) => (path, Some(name.to_owned())),
            None => (rest, None),
        };
        Ok(Self::Layout {
            path: path.into(),
            name,
        })
    }
}

impl SourceReference {
    fn glob(host: &str, glob: &str) -> Result<Self, InvalidSource> {
        // The grammar of hosts is that of references; any repository serves to ask it.
        let parsed = format!("{host}/x").parse::<Reference>();
        parsed.map_err(|_| InvalidReference::NoRegistry(format!("{host}/{glob}")))?;
        Ok(Self::Glob {
            registry: host.to_owned(),
            pattern: glob.parse()?,
        })
    }
}

/// Where an import delivers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetReference {
    Registry {
        host: String,
        prefix: Option<Repository>,
    },
    Layout {
        path: PathBuf,
    },
}

impl FromStr for TargetReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if let Some(path) = text.strip_prefix(LAYOUT_SCHEME) {
            return Ok(Self::Layout { path: path.into() });
        }
        refuse_url(&format!("{text}/"))?;
        let (host, prefix) = match text.trim_end_matches('/').split_once('/') {
            Some((host, prefix)) => (host, Some(prefix.parse()?)),
            None => (text.trim_end_matches('/'), None),
        };
        // The grammar of hosts is that of references; any repository serves to ask it.
        format!("{host}/x").parse::<Reference>()?;
        Ok(Self::Registry {
            host: host.to_owned(),
            prefix,
        })
    }
}

impl std::fmt::Display for TargetReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry {
                host,
                prefix: Some(prefix),
            } => write!(f, "{host}/{prefix}"),
            Self::Registry { host, prefix: None } => f.write_str(host),
            Self::Layout { path } => write!(f, "oci:{}", path.display()),
        }
    }
}

/// An open place that is both source and target.
#[derive(Clone)]
pub enum Place {
    Registry(Registry),
    Layout(Arc<Layout>),
}

impl Place {
    pub fn as_source(&self) -> Arc<dyn Source> {
        match self {
            Self::Registry(registry) => Arc::new(registry.clone()),
            Self::Layout(layout) => Arc::clone(layout) as Arc<dyn Source>,
        }
    }

    pub fn as_target(&self) -> Arc<dyn Target> {
        match self {
            Self::Registry(registry) => Arc::new(registry.clone()),
            Self::Layout(layout) => Arc::clone(layout) as Arc<dyn Target>,
        }
    }
}

/// Opens places, each registry once, so that tokens and limits are shared.
pub struct Connections {
    options: RegistryOptions,
    /// How the hosts are reached for which that was said apart.
    of_hosts: HashMap<String, RegistryOptions>,
    registries: Mutex<HashMap<String, Registry>>,
    /// What targets are asked to create.
    creation: RepositoryCreation,
}

impl Connections {
    pub fn new(options: RegistryOptions) -> Self {
        Self {
            options,
            of_hosts: HashMap::new(),
            registries: Mutex::default(),
            creation: RepositoryCreation::None,
        }
    }

    /// Says what targets that are opened from now on are asked to create.
    pub fn set_creation(&mut self, creation: RepositoryCreation) {
        self.creation = creation;
    }

    /// Says how one host is reached, in place of what is said for all.
    pub fn set_options(&mut self, host: &str, options: RegistryOptions) {
        self.of_hosts.insert(host.to_owned(), options);
    }

    pub fn registry(&self, host: &str) -> Result<Registry> {
        let mut registries = self
            .registries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(registry) = registries.get(host) {
            return Ok(registry.clone());
        }
        let options = self.options_of(host);
        let registry = Registry::new(host, options.clone()).map_err(|cause| {
            Error::new(cause.kind(), format!("cannot use registry `{host}`")).with_cause(cause)
        })?;
        registries.insert(host.to_owned(), registry.clone());
        Ok(registry)
    }

    /// Another spelling of a host is the same host, where its login would go to the same place.
    fn options_of(&self, host: &str) -> &RegistryOptions {
        let respelled = || {
            let mut of_hosts = self.of_hosts.iter();
            let is_it = |known: &str, options| is_same_place(known, host, options);
            of_hosts.find_map(|(known, options)| is_it(known, options).then_some(options))
        };
        let said = self.of_hosts.get(host).or_else(respelled);
        said.unwrap_or(&self.options)
    }

    /// Opens an existing layout directory.
    pub fn layout(path: &Path) -> Result<Arc<Layout>> {
        Layout::open(path).map(Arc::new)
    }

    /// Opens the target of an import to look at it; `None` where a layout directory does not exist yet.
    pub async fn existing_target(&self, target: &TargetReference) -> Result<Option<Place>> {
        match target {
            TargetReference::Layout { path } if !path.join("index.json").exists() => Ok(None),
            TargetReference::Layout { path } => Ok(Some(Place::Layout(Self::layout(path)?))),
            TargetReference::Registry { .. } => self.target(target).await.map(Some),
        }
    }

    /// Opens the target of an import, making a layout directory where there is none.
    pub async fn target(&self, target: &TargetReference) -> Result<Place> {
        match target {
            TargetReference::Registry { host, .. } => {
                let registry = self.registry(host)?;
                let probed = registry.probe().await;
                probed.map_err(|error| error.on_side("target"))?;
                let creator = self.creation.open(host, self.options_of(host)).await?;
                Ok(Place::Registry(match creator {
                    Some(creator) => registry.with_creator(creator),
                    None => registry,
                }))
            }
            TargetReference::Layout { path } => {
                let layout = Layout::create(path).map_err(|error| error.on_side("target"))?;
                Ok(Place::Layout(Arc::new(layout)))
            }
        }
    }
}

impl TargetReference {
    /// The target's name of a repository. Parsed again, so it cannot leave the prefix.
    pub fn name_of(&self, repository: &Repository) -> Result<Repository> {
        let prefix = match self {
            Self::Registry { prefix, .. } => prefix.as_ref(),
            Self::Layout { .. } => None,
        };
        repository.below(prefix).map_err(|cause| {
            Error::new(
                ErrorKind::Refused,
                format!("target: `{repository}` has no valid name below `{self}`"),
            )
            .with_cause(cause)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Credentials;

    #[test]
    fn a_login_is_found_by_another_spelling_of_its_host_and_by_no_other_host() {
        let mut connections = Connections::new(RegistryOptions::default());
        let login = RegistryOptions {
            credentials: Credentials::Basic {
                username: "alice".to_owned(),
                password: "s3cret".to_owned().into(),
            },
            ..RegistryOptions::default()
        };
        connections.set_options("Registry.Example:443", login);
        let has_login = |host: &str| {
            let credentials = &connections.options_of(host).credentials;
            matches!(credentials, Credentials::Basic { .. })
        };
        for host in [
            "Registry.Example:443",
            "registry.example",
            "registry.example.",
        ] {
            assert!(has_login(host), "{host}");
        }
        for host in [
            "registry.example:80",
            "registry.example:5000",
            "registry.example.evil",
            "evil.registry.example",
        ] {
            assert!(!has_login(host), "{host}");
        }
    }
}
