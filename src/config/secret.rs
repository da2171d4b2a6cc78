//! Secrets by reference: `env:NAME` and `file:PATH`. A reference names a secret and never is one.

use secrecy::SecretString;

use crate::content::{Error, ErrorKind, Result};

/// Reads the secret that `reference` names. Line ends around it are not part of it.
pub async fn resolve_secret(reference: &str) -> Result<SecretString> {
    let value = match reference.split_once(':') {
        Some(("env", name)) => std::env::var(name).map_err(|_| {
            let message = format!("the environment variable `{name}` is not set");
            Error::new(ErrorKind::Failed, message)
        })?,
        Some(("file", path)) => tokio::fs::read_to_string(path)
            .await
            .map_err(|cause| Error::io(format!("cannot read the secret in `{path}`"), cause))?,
        _ => {
            let message =
                format!("`{reference}` names no secret: expected `env:NAME` or `file:PATH`");
            return Err(Error::new(ErrorKind::Refused, message));
        }
    };
    Ok(SecretString::from(value.trim().to_owned()))
}
