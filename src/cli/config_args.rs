//! Which configuration file is in force.

use std::path::{Path, PathBuf};

use clap::Args;

use super::configured::Configuration;
use super::failure::UsageError;
use crate::config::{InvalidConfiguration, find_configuration};

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
    pub(super) fn read(&self) -> Result<Option<Configuration>, InvalidConfiguration> {
        let path = self.path();
        path.as_deref().map(Configuration::read).transpose()
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
