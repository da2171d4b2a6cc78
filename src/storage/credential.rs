//! With what a container or a queue is opened, where its URL holds no signature.

use std::fmt;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use secrecy::SecretString;

/// Who asks.
pub enum Credential {
    /// Nobody in Azure; elsewhere whoever the provider's usual places name.
    None,
    /// The value of a secret that was named: a signature, or a key.
    Secret(SecretString),
    /// Somebody of Entra, for Azure alone.
    Entra(Arc<dyn TokenCredential>),
}

impl Credential {
    pub fn secret(&self) -> Option<&SecretString> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::None | Self::Entra(_) => None,
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
            Self::Entra(_) => "Entra",
        })
    }
}
