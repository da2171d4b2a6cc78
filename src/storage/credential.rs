//! With what a container or a queue is opened, where its URL holds no signature.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::content::Result;

/// A login that may run out.
#[derive(Debug)]
pub struct TemporaryLogin {
    /// For S3 `ID:SECRET` or `ID:SECRET:TOKEN`.
    pub secret: SecretString,
    pub expires: Option<Timestamp>,
}

/// Who hands out logins, as often as it is asked.
#[async_trait]
pub trait LoginSource: Send + Sync {
    /// For messages, and the same for all that is handed out to one identity.
    fn name(&self) -> &str;

    async fn login(&self) -> Result<TemporaryLogin>;
}

/// Who asks.
pub enum Credential {
    /// Nobody in Azure; elsewhere whoever the provider's usual places name.
    None,
    /// The value of a secret that was named: a signature, or a key.
    Secret(SecretString),
    /// Whoever the source says, until that has run out, and then again; for S3 alone.
    Renewed(Arc<dyn LoginSource>),
    /// Somebody of Entra, for Azure alone.
    Entra(Arc<dyn TokenCredential>),
}

impl Credential {
    pub fn secret(&self) -> Option<&SecretString> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::None | Self::Renewed(_) | Self::Entra(_) => None,
        }
    }
}

impl From<Option<SecretString>> for Credential {
    fn from(secret: Option<SecretString>) -> Self {
        secret.map_or(Self::None, Self::Secret)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Secret(_) => "Secret",
            Self::Renewed(_) => "Renewed",
            Self::Entra(_) => "Entra",
        })
    }
}
