//! Who asks Azure: a shared access signature, an account key, or an identity of Entra.
//!
//! Without a credential the identities are tried that Azure's own tools would find: a workload identity, then the
//! login of `az` or `azd`, then the machine's managed identity. The first that gives a token stays.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as AzureErrorKind;
use azure_core::http::{ClientOptions, Transport};
use azure_identity::{
    ClientAssertionCredentialOptions, DeveloperToolsCredential, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::wire::{Signature, SigningWire};
use crate::content::Result;
use crate::storage::sas::SasToken;

/// The signature of the requests, and the identity whose tokens they carry where there is no signature.
pub(super) struct Identity {
    pub(super) signature: Signature,
    pub(super) tokens: Option<Arc<dyn TokenCredential>>,
}

impl Identity {
    /// What was typed comes first, then the secret that the reference names, then the machine's own identities.
    /// `sign_with` makes the signature of an account's key.
    pub(super) fn choose(
        typed: Option<&SecretString>,
        credential: Option<SecretString>,
        http: &reqwest::Client,
        sign_with: impl FnOnce(SecretString) -> Result<Signature>,
    ) -> Result<Self> {
        let signature = match (typed, credential) {
            (Some(sas), _) => Signature::Shared(sas.clone()),
            (None, Some(secret)) if SasToken::is_likely(&secret) => {
                let sas = secret.expose_secret().trim().trim_start_matches('?');
                Signature::Shared(SecretString::from(sas))
            }
            (None, Some(key)) => sign_with(key)?,
            (None, None) => Signature::None,
        };
        let tokens = match signature {
            Signature::None => Some(Arc::new(MachineIdentity::new(http)) as _),
            _ => None,
        };
        Ok(Self { signature, tokens })
    }
}

/// The identities that a machine may have, and the one that has given a token.
#[derive(Debug)]
struct MachineIdentity {
    http: reqwest::Client,
    found: OnceCell<Arc<dyn TokenCredential>>,
}

impl MachineIdentity {
    fn new(http: &reqwest::Client) -> Self {
        Self {
            http: http.clone(),
            found: OnceCell::new(),
        }
    }

    /// What could be set up, in the order in which it is tried.
    fn candidates(&self) -> Vec<Arc<dyn TokenCredential>> {
        let wire = SigningWire::new(self.http.clone(), Arc::new(Signature::None));
        let client_options = ClientOptions {
            transport: Some(Transport::new(Arc::new(wire))),
            ..ClientOptions::default()
        };
        let workload = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions {
                client_options: client_options.clone(),
            },
            ..WorkloadIdentityCredentialOptions::default()
        };
        let managed = ManagedIdentityCredentialOptions {
            client_options,
            ..ManagedIdentityCredentialOptions::default()
        };
        let mut found: Vec<Arc<dyn TokenCredential>> = Vec::new();
        if let Ok(workload) = WorkloadIdentityCredential::new(Some(workload)) {
            found.push(workload);
        }
        if let Ok(developer) = DeveloperToolsCredential::new(None) {
            found.push(developer);
        }
        if let Ok(managed) = ManagedIdentityCredential::new(Some(managed)) {
            found.push(managed);
        }
        found
    }

    async fn search(&self, scopes: &[&str]) -> azure_core::Result<Arc<dyn TokenCredential>> {
        for candidate in self.candidates() {
            match candidate.get_token(scopes, None).await {
                Ok(_) => return Ok(candidate),
                Err(error) => tracing::debug!(kind = %error.kind(), "no token from an identity"),
            }
        }
        Err(azure_core::Error::with_message(
            AzureErrorKind::Credential,
            "no signature was given, and this machine has no identity in Entra",
        ))
    }
}

#[async_trait]
impl TokenCredential for MachineIdentity {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let found = self.found.get_or_try_init(|| self.search(scopes)).await?;
        found.get_token(scopes, options).await
    }
}
