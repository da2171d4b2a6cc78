//! How a container of an account is reached: its address, who asks, and the SDK's client over a wire of ours.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport};
use azure_core::time::Duration;
use azure_storage_blob::{BlobContainerClient, BlobContainerClientOptions};
use secrecy::SecretString;
use url::Url;

use super::identity::Identity;
use super::sign::ContainerSigner;
use super::wire::{Signature, SigningWire};
use crate::content::Result;
use crate::storage::credential::Credential;
use crate::storage::http;
use crate::storage::reference::AzureReference;

const RETRIES_MAX: u32 = 6;
const RETRY_TIMEOUT: Duration = Duration::seconds(120);

/// Everything that a client of one container is made of.
pub(super) struct Access {
    url: Url,
    http: reqwest::Client,
    pub(super) signature: Arc<Signature>,
    tokens: Option<Arc<dyn TokenCredential>>,
}

impl Access {
    pub(super) fn choose(reference: &AzureReference, credential: Credential) -> Result<Self> {
        let http = http::client(Some(&reference.endpoint))?;
        let mut url = reference.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(&reference.container);
        }
        let typed = reference.sas.as_ref();
        let identity = Identity::choose(&url, typed, credential, |key| {
            ContainerSigner::new(key, reference).map(Signature::Key)
        })?;
        Ok(Self {
            url,
            http,
            signature: Arc::new(identity.signature),
            tokens: identity.tokens,
        })
    }

    pub(super) fn connect(&self) -> azure_core::Result<BlobContainerClient> {
        let retry = ExponentialRetryOptions {
            max_retries: RETRIES_MAX,
            max_total_elapsed: RETRY_TIMEOUT,
            ..ExponentialRetryOptions::default()
        };
        self.connect_over(self.wire(), RetryOptions::exponential(retry))
    }

    /// A client that lets the service copy from a blob whose whole URL only the wire knows. It tries nothing twice:
    /// the SDK cannot tell a service that is busy from one that does not reach the source.
    pub(super) fn connect_copying(
        &self,
        source: &SecretString,
    ) -> azure_core::Result<BlobContainerClient> {
        let wire = self.wire().copying_from(source.clone());
        self.connect_over(wire, RetryOptions::none())
    }

    fn wire(&self) -> SigningWire {
        SigningWire::new(self.http.clone(), Arc::clone(&self.signature))
    }

    fn connect_over(
        &self,
        wire: SigningWire,
        retry: RetryOptions,
    ) -> azure_core::Result<BlobContainerClient> {
        let options = BlobContainerClientOptions {
            client_options: ClientOptions {
                retry,
                transport: Some(Transport::new(Arc::new(wire))),
                ..ClientOptions::default()
            },
            ..BlobContainerClientOptions::default()
        };
        BlobContainerClient::new(self.url.clone(), self.tokens.clone(), Some(options))
    }
}
