//! Which configuration file is in force.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use clap::Args;

use super::configured::Configuration;
use super::failure::UsageError;
use crate::config::{InvalidConfiguration, find_configuration};

tokio::task_local! {
    static IN_FORCE: InForce;
}

/// The configuration of a daemon. A file that was changed is not in force before the daemon has taken it up.
#[derive(Clone)]
pub(super) struct InForce(Arc<RwLock<Arc<Configuration>>>);

impl InForce {
    pub(super) fn new(configuration: Configuration) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(configuration))))
    }

    pub(super) fn current(&self) -> Arc<Configuration> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn replace(&self, configuration: Configuration) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(configuration);
    }

    /// For what the future does, no file is read.
    pub(super) async fn lead<F: Future>(&self, future: F) -> F::Output {
        IN_FORCE.scope(self.clone(), future).await
    }
}

#[derive(Args, Clone)]
pub(super) struct ConfigArgument {
    /// The configuration file; without it `/etc/airlift/airlift.toml`, where there is one
    #[arg(long, value_name = "FILE", env = "AIRLIFT_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigArgument {
    pub(super) fn path(&self) -> Option<PathBuf> {
        find_configuration(self.config.as_deref())
    }

    /// The configuration in force; without a file there is none.
    pub(super) fn read(&self) -> Result<Option<Arc<Configuration>>, InvalidConfiguration> {
        if let Ok(in_force) = IN_FORCE.try_with(InForce::current) {
            return Ok(Some(in_force));
        }
        let path = self.path();
        let read = path.as_deref().map(Configuration::read).transpose()?;
        Ok(read.map(Arc::new))
    }

    /// The configuration in force, for commands that are nothing without one.
    pub(super) fn require(&self) -> anyhow::Result<Configuration> {
        let Some(path) = self.path() else {
            let error = UsageError::new("there is no configuration file")
                .hint("name it with `--config FILE` or `AIRLIFT_CONFIG`, or put it at `/etc/airlift/airlift.toml`");
            return Err(error.into());
        };
        Ok(Configuration::read(Path::new(&path))?)
    }
}
