//! How registries are reached: flags that every command with a registry has, and what the configuration file says of
//! each registry.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::config_args::ConfigArgument;
use super::exit::Exit;
use super::failure::UsageError;
use super::origin::Origin;
use super::permissions::{myself, show_people};
use super::refusal::Attempt;
use crate::history::Trigger;
use crate::pipeline::{Connections, SourceReference, TargetReference};
use crate::registry::{Credentials, PrivateAddresses, RegistryOptions, Transport};

/// The heading of these flags.
pub(super) const REGISTRIES: &str = "Registries";

#[derive(Args, Clone)]
#[command(next_help_heading = REGISTRIES)]
pub(super) struct RegistryArguments {
    #[command(flatten)]
    connection: ConnectionArguments,

    #[command(flatten)]
    config: ConfigArgument,
}

/// One way to reach a registry.
#[derive(Args, Clone, PartialEq, Eq)]
pub(super) struct ConnectionArguments {
    /// Speak plain HTTP to registries; loopback needs no flag
    #[arg(long)]
    plain_http: bool,

    /// Trust the certificate authorities in this PEM file, beside the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Vec<PathBuf>,

    /// Whether a public registry may send us to loopback or private addresses
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "refuse",
        hide_short_help = true
    )]
    private_addresses: PrivateAddressesArgument,

    /// Whom to be: what `docker login` left behind, or nobody
    #[arg(long, value_name = "WHO", default_value = "docker")]
    credentials: CredentialsArgument,

    /// Requests in flight to one registry
    #[arg(long, value_name = "N", default_value_t = 8, hide_short_help = true, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrent_requests: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrivateAddressesArgument {
    Refuse,
    Allow,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CredentialsArgument {
    /// `~/.docker/config.json`, podman's `auth.json` and credential helpers
    Docker,
    Anonymous,
}

impl RegistryArguments {
    /// Nothing is asked of any registry yet; logins of the configuration file are read.
    pub(super) async fn connect(&self) -> anyhow::Result<Connections> {
        let connections = Connections::new(self.connection.options()?);
        Ok(match self.config.read()? {
            Some(configuration) => configuration.connect(connections).await?,
            None => connections,
        })
    }

    pub(super) fn config(&self) -> &ConfigArgument {
        &self.config
    }

    /// Refuses to read from registries that whoever asks may not look at, and records it. A schedule asks for nobody.
    pub(super) async fn refuse_unseen(
        &self,
        references: &[SourceReference],
        origin: &Origin,
        attempt: Attempt<'_>,
    ) -> anyhow::Result<()> {
        let Some(configuration) = self.config.read()? else {
            return Ok(());
        };
        if origin.trigger == Some(Trigger::Schedule) {
            return Ok(());
        }
        let somebody = myself().await;
        let unseen = references
            .iter()
            .find_map(|reference| configuration.find_unseen(reference, &somebody));
        let Some(registry) = unseen else {
            return Ok(());
        };
        let (user, name) = (&somebody.user, &registry.name);
        let refusal = UsageError::new(format!("`{user}` may not look at `[registry.{name}]`"))
            .hint(format!(
                "its `may-view` has {}",
                show_people(&registry.section.may_view)
            ))
            .exit(Exit::Denied);
        attempt.record(Some(&configuration), &refusal).await;
        Err(refusal.into())
    }

    /// Refuses to write by hand where only pipelines may, and records it.
    pub(super) async fn refuse_validated(
        &self,
        target: &TargetReference,
        attempt: Attempt<'_>,
    ) -> anyhow::Result<()> {
        let configuration = self.config.read()?;
        let validated = configuration
            .as_ref()
            .and_then(|it| it.find_validated(target));
        let Some(registry) = validated else {
            return Ok(());
        };
        let name = &registry.name;
        let error = UsageError::new(format!(
            "`{target}` is validated (`[registry.{name}]`): it takes content only through pipelines"
        ))
        .hint("`airlift config show` lists the pipelines; `airlift run` runs one")
        .exit(Exit::Denied);
        attempt.record(configuration.as_deref(), &error).await;
        Err(error.into())
    }
}

impl ConnectionArguments {
    pub(super) fn is_plain_http(&self) -> bool {
        self.plain_http
    }

    pub(super) fn options(&self) -> anyhow::Result<RegistryOptions> {
        let authorities = self.ca_file.iter().map(|path| {
            std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
        });
        Ok(RegistryOptions {
            transport: match self.plain_http {
                true => Transport::PlainHttpAllowed,
                false => Transport::HttpsOnly,
            },
            certificate_authorities: authorities.collect::<anyhow::Result<_>>()?,
            private_addresses: match self.private_addresses {
                PrivateAddressesArgument::Refuse => PrivateAddresses::Refuse,
                PrivateAddressesArgument::Allow => PrivateAddresses::Allow,
            },
            credentials: match self.credentials {
                CredentialsArgument::Docker => Credentials::DockerConfig,
                CredentialsArgument::Anonymous => Credentials::Anonymous,
            },
            concurrent_requests_max: usize::from(self.concurrent_requests),
            ..RegistryOptions::default()
        })
    }
}
