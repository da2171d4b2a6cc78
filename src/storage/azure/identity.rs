//! Who asks Azure: a shared access signature, an account key, or somebody of Entra.
//!
//! **Invariant.** A token never travels without TLS.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::wire::Signature;
use crate::content::{Error, ErrorKind, Result};
use crate::storage::credential::Credential;
use crate::storage::sas::SasToken;

/// The signature of the requests, and the identity whose tokens they carry where there is no signature.
pub(super) struct Identity {
    pub(super) signature: Signature,
    pub(super) tokens: Option<Arc<dyn TokenCredential>>,
}

impl Identity {
    /// What was typed comes first. `sign_with` makes the signature of an account's key.
    pub(super) fn choose(
        place: &Url,
        typed: Option<&SecretString>,
        credential: Credential,
        sign_with: impl FnOnce(SecretString) -> Result<Signature>,
    ) -> Result<Self> {
        let (signature, tokens) = match (typed, credential) {
            (Some(sas), _) => (Signature::Shared(sas.clone()), None),
            (None, Credential::Secret(secret)) if SasToken::is_likely(&secret) => {
                let sas = secret.expose_secret().trim().trim_start_matches('?');
                (Signature::Shared(SecretString::from(sas)), None)
            }
            (None, Credential::Secret(key)) => (sign_with(key)?, None),
            (None, Credential::Entra(_)) if place.scheme() != "https" => {
                let message = format!(
                    "`{place}` has no signature and no `credential=`, and tokens of Entra travel over https alone"
                );
                return Err(Error::new(ErrorKind::Denied, message));
            }
            (None, Credential::Entra(tokens)) => (Signature::None, Some(tokens)),
            (None, Credential::None | Credential::Renewed(_)) => (Signature::None, None),
        };
        Ok(Self { signature, tokens })
    }
}
