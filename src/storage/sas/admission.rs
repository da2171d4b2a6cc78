//! Checks the shared access signature of a container before the container is opened.

use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;

use super::fitness::{Gap, Purpose, missing_for};
use super::token::SasToken;
use crate::content::{Error, ErrorKind, Result};
use crate::storage::reference::ContainerReference;

/// A signature that is not enough for what it is wanted for.
#[derive(Debug)]
pub struct UnfitSas {
    pub container: String,
    pub purpose: Purpose,
    pub gaps: Vec<Gap>,
}

impl fmt::Display for UnfitSas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gaps: Vec<String> = self.gaps.iter().map(ToString::to_string).collect();
        write!(f, "it {}", gaps.join("; it "))
    }
}

impl std::error::Error for UnfitSas {}

/// Refuses a signature that is not enough for the purpose. Other credentials, and places that have no signatures,
/// pass: only their service can judge them.
pub fn check_sas(
    reference: &ContainerReference,
    credential: Option<&SecretString>,
    purpose: Purpose,
    now: Timestamp,
) -> Result<()> {
    let ContainerReference::Azure(azure) = reference else {
        return Ok(());
    };
    let of_secret = credential.filter(|secret| SasToken::is_likely(secret));
    let Some(secret) = of_secret.or(azure.sas.as_ref()) else {
        return Ok(());
    };
    let token = SasToken::parse(secret).map_err(|cause| {
        let message = format!("the query of `{reference}` is not a shared access signature");
        Error::new(ErrorKind::Denied, message).with_cause(cause)
    })?;
    let gaps = missing_for(&token, purpose, Some(&azure.endpoint), now);
    if gaps.is_empty() {
        return Ok(());
    }
    let message =
        format!("the shared access signature for `{reference}` is not enough for {purpose}");
    let cause = UnfitSas {
        container: reference.to_string(),
        purpose,
        gaps,
    };
    Err(Error::new(ErrorKind::Denied, message).with_cause(cause))
}
