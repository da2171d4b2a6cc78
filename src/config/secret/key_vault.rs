//! Secrets in an Azure key vault, read with the identity that this machine has.
//!
//! A token is asked for only with the vault's own domain as its audience: the service's library compares the two.

use std::fmt;

use azure_core::http::Url;
use azure_security_keyvault_secrets::models::SecretClientGetSecretOptions;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};

use super::InvalidSecretReference;
use crate::config::entra::{azure_client_options, entra_credential};
use crate::content::{Error, ErrorKind, Result};

/// Where Azure and its national clouds have their vaults.
const VAULT_DOMAINS: [&str; 3] = [
    ".vault.azure.net",
    ".vault.azure.cn",
    ".vault.usgovcloudapi.net",
];
/// One more vault, as `HOST[:PORT]`, such as that of an Azure Stack.
const OWN_VAULT: &str = "AIRLIFT_KEY_VAULT_HOST";

/// One secret of one vault, and one version of it where it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultSecret {
    vault: Url,
    name: String,
    version: Option<String>,
}

impl VaultSecret {
    pub(super) fn parse(text: &str) -> Result<Self, InvalidSecretReference> {
        let mut vault = Url::parse(text).map_err(|_| InvalidSecretReference::KeyVault)?;
        let is_bare = vault.username().is_empty()
            && vault.password().is_none()
            && vault.query().is_none()
            && vault.fragment().is_none();
        if vault.scheme() != "https" || !is_bare {
            return Err(InvalidSecretReference::KeyVault);
        }
        let segments: Vec<&str> = vault.path_segments().into_iter().flatten().collect();
        let (name, version) = match segments[..] {
            ["secrets", name] | ["secrets", name, ""] => (name, None),
            ["secrets", name, version] => (name, Some(version)),
            _ => return Err(InvalidSecretReference::KeyVault),
        };
        let is_name = |text: &str| {
            let is_known = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !text.is_empty() && text.chars().all(is_known)
        };
        if !is_name(name) || version.is_some_and(|version| !is_name(version)) {
            return Err(InvalidSecretReference::KeyVault);
        }
        let (name, version) = (name.to_owned(), version.map(str::to_owned));
        vault.set_path("/");
        Ok(Self {
            vault,
            name,
            version,
        })
    }

    /// Host and port, where the port is not the usual one.
    fn host(&self) -> String {
        let host = self.vault.host_str().unwrap_or_default();
        match self.vault.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Whether Azure has its vaults there, or the operator has named the host as one.
    pub(super) fn is_at_vault(&self, own: Option<&str>) -> bool {
        let host = self.host();
        let is_azure = VAULT_DOMAINS.iter().any(|domain| {
            host.strip_suffix(domain)
                .is_some_and(|name| !name.is_empty())
        });
        is_azure || own.is_some_and(|own| own.eq_ignore_ascii_case(&host))
    }

    pub(super) async fn fetch(&self) -> Result<String> {
        let own = std::env::var(OWN_VAULT).ok();
        if !self.is_at_vault(own.as_deref()) {
            let host = self.host();
            let message = format!(
                "`{host}` is no host of Azure key vaults; if it is a vault, set `{OWN_VAULT}={host}`"
            );
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let failed = |cause: azure_core::Error| self.refuse(cause);
        let options = SecretClientOptions {
            client_options: azure_client_options()?,
            ..SecretClientOptions::default()
        };
        let credential = entra_credential()?;
        let client =
            SecretClient::new(self.vault.as_str(), credential, Some(options)).map_err(failed)?;
        let options = SecretClientGetSecretOptions {
            secret_version: self.version.clone(),
            ..SecretClientGetSecretOptions::default()
        };
        let answer = client
            .get_secret(&self.name, Some(options))
            .await
            .map_err(failed)?;
        let secret = answer.into_model().map_err(failed)?;
        secret.value.ok_or_else(|| {
            Error::new(
                ErrorKind::Failed,
                format!("the secret `{self}` has no value"),
            )
        })
    }

    fn refuse(&self, cause: azure_core::Error) -> Error {
        use azure_core::error::ErrorKind as Azure;
        let kind = match cause.kind() {
            Azure::Credential => ErrorKind::Denied,
            Azure::HttpResponse { status, .. } => match u16::from(*status) {
                401 | 403 => ErrorKind::Denied,
                404 => ErrorKind::NotFound,
                408 | 429 | 500.. => ErrorKind::Temporary { retry_after: None },
                _ => ErrorKind::Failed,
            },
            Azure::Io | Azure::Connection => ErrorKind::Temporary { retry_after: None },
            _ => ErrorKind::Failed,
        };
        let message = format!("cannot read the secret `{self}`");
        Error::new(kind, message).with_cause(cause)
    }
}

impl fmt::Display for VaultSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}secrets/{}", self.vault, self.name)?;
        self.version
            .as_ref()
            .map_or(Ok(()), |version| write!(f, "/{version}"))
    }
}
