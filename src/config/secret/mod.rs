//! Secrets by reference. A reference names a secret and never is one: it may be shown, and what it names may not.
//!
//! Reading has bounds in size and time, and what could not be read is an error; a secret is never empty.

mod key_vault;
mod program;
#[cfg(test)]
mod tests;

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;
use tokio::io::AsyncReadExt;

use crate::content::{Error, ErrorKind, Result};
use key_vault::VaultSecret;
pub(super) use program::{run as run_program, split_words};

/// More than any key, token or connection string has.
const SECRET_SIZE_MAX_BYTES: u64 = 64 << 10;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretReference {
    /// The value of an environment variable.
    Environment(String),
    /// The content of a file.
    File(PathBuf),
    /// What a program prints: its path or name, and its arguments.
    Program(Vec<String>),
    /// A secret in an Azure key vault.
    KeyVault(VaultSecret),
}

/// Why a text is no reference. It holds the text only where that cannot be a secret typed by mistake.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSecretReference {
    #[error(
        "this names no secret: expected `env:NAME`, `file:PATH`, `exec:PROGRAM ARGUMENT…` or `azure-key-vault:https://VAULT.vault.azure.net/secrets/NAME`"
    )]
    Kind,
    #[error("`env:` needs the name of an environment variable")]
    Variable,
    #[error("`file:` needs a path")]
    Path,
    #[error("`exec:` needs a program")]
    Program,
    #[error("`exec:` has a quote that does not end")]
    Quote,
    #[error(
        "`azure-key-vault:` needs `https://VAULT.vault.azure.net/secrets/NAME[/VERSION]`, without user, query or fragment"
    )]
    KeyVault,
}

impl FromStr for SecretReference {
    type Err = InvalidSecretReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, rest) = text.split_once(':').ok_or(InvalidSecretReference::Kind)?;
        match kind {
            "env" if is_variable_name(rest) => Ok(Self::Environment(rest.to_owned())),
            "env" => Err(InvalidSecretReference::Variable),
            "file" if rest.is_empty() => Err(InvalidSecretReference::Path),
            "file" => Ok(Self::File(PathBuf::from(rest))),
            "exec" => program::split_words(rest).map(Self::Program),
            "azure-key-vault" => VaultSecret::parse(rest).map(Self::KeyVault),
            _ => Err(InvalidSecretReference::Kind),
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            // Arguments may hold what is nobody else's business.
            Self::Program(words) => write!(f, "exec:{}", words[0]),
            Self::KeyVault(secret) => write!(f, "azure-key-vault:{secret}"),
        }
    }
}

impl SecretReference {
    /// The reference as it is typed, arguments included: [`Display`](fmt::Display) leaves them out.
    pub fn write(&self) -> String {
        match self {
            Self::Program(words) => format!("exec:{}", program::join_words(words)),
            other => other.to_string(),
        }
    }

    /// Reads the secret. Line ends around it are not part of it.
    pub async fn resolve(&self) -> Result<SecretString> {
        let value = match self {
            Self::Environment(name) => read_variable(name)?,
            Self::File(path) => read_file(path).await?,
            Self::Program(words) => program::run(words).await?,
            Self::KeyVault(secret) => secret.fetch().await?,
        };
        let value = value.trim_matches(['\r', '\n']);
        if value.is_empty() {
            let message = format!("the secret `{self}` is empty");
            return Err(Error::new(ErrorKind::Failed, message));
        }
        Ok(SecretString::from(value.to_owned()))
    }
}

/// Reads the secret that `reference` names.
pub async fn resolve_secret(reference: &str) -> Result<SecretString> {
    let reference: SecretReference =
        reference.parse().map_err(|cause: InvalidSecretReference| {
            let message = "cannot read the secret that was named";
            Error::new(ErrorKind::Refused, message).with_cause(cause)
        })?;
    reference.resolve().await
}

fn read_variable(name: &str) -> Result<String> {
    use std::env::VarError;
    std::env::var(name).map_err(|cause| {
        let why = match cause {
            VarError::NotPresent => "is not set",
            VarError::NotUnicode(_) => "is not UTF-8",
        };
        let message = format!("the environment variable `{name}` {why}");
        Error::new(ErrorKind::Failed, message)
    })
}

async fn read_file(path: &Path) -> Result<String> {
    let shown = path.display();
    let failed = |cause| Error::io(format!("cannot read the secret in `{shown}`"), cause);
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let status = file.metadata().await.map_err(failed)?;
    if status.is_file() && status.permissions().mode() & 0o004 != 0 {
        tracing::warn!("the secret in `{shown}` can be read by everybody on this machine");
    }
    let mut bytes = Vec::new();
    let mut bounded = file.take(SECRET_SIZE_MAX_BYTES + 1);
    bounded.read_to_end(&mut bytes).await.map_err(failed)?;
    to_text(bytes, &format!("`{shown}`"))
}

/// A secret that is longer than any, or is no text, is not shown as part of the error.
fn to_text(bytes: Vec<u8>, place: &str) -> Result<String> {
    let refused = |why: &str| Error::new(ErrorKind::Refused, format!("{place} {why}"));
    if bytes.len() as u64 > SECRET_SIZE_MAX_BYTES {
        return Err(refused("holds more than a secret can have"));
    }
    String::from_utf8(bytes).map_err(|_| refused("holds no text"))
}
