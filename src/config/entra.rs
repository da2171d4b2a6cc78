//! Who this machine is for Azure, and how its services are spoken to.
//!
//! What the environment names is used, and nothing else is tried when that fails. Only where it names nothing, the
//! command lines of Azure are asked, and then the machine's own identity. Containers, queues and key vaults, and the
//! making of signatures, all have it from here.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::http::{
    AsyncRawResponse, ClientOptions, ExponentialRetryOptions, HttpClient, Request, RetryOptions,
    Transport,
};
use azure_identity::{
    AzureCliCredential, AzureDeveloperCliCredential, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use tokio::sync::OnceCell;

use crate::content::{Error, ErrorKind, Result};
use crate::http::{self, ConnectionCause, Patience};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const READ_LIMIT: Duration = Duration::from_mins(1);
/// Outside of Azure nobody answers for the machine's identity.
const IDENTITY_LIMIT: Duration = Duration::from_secs(10);
const RETRIES_MAX: u32 = 3;

/// How the libraries of Azure reach their services: with a client that was built before they ask for one, since
/// they end the program where that fails, as without any certificate authority.
pub fn azure_client_options() -> Result<ClientOptions> {
    let client = http::builder()
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(READ_LIMIT)
        .build()
        .map_err(|cause| {
            let message = "cannot prepare connections to Azure";
            Error::new(ErrorKind::Failed, message).with_cause(cause)
        })?;
    Ok(ClientOptions {
        transport: Some(Transport::new(Arc::new(PatientClient {
            client,
            patience: Patience::default(),
        }))),
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            max_retries: RETRIES_MAX,
            ..ExponentialRetryOptions::default()
        }),
        ..ClientOptions::default()
    })
}

/// Tells people when a service keeps them waiting.
#[derive(Debug)]
struct PatientClient {
    client: reqwest::Client,
    patience: Patience,
}

#[async_trait]
impl HttpClient for PatientClient {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let host = request.url().host_str().unwrap_or_default();
        let answer = self.client.execute_request(request);
        let answer = self.patience.wait(host, answer).await;
        match &answer {
            Ok(_) => self.patience.answered(),
            Err(error) => {
                let cause = StdError::source(error).and_then(|it| it.downcast_ref());
                match cause.map(ConnectionCause::of) {
                    Some(cause) => self.patience.failed(host, &cause),
                    None => self.patience.failed(host, &"the connection broke"),
                }
            }
        }
        answer
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The identity of this process: a client secret or workload identity where the environment has one, or that of
/// whoever has logged in with `az` or `azd`, or the machine's.
pub fn entra_credential() -> Result<Arc<dyn TokenCredential>> {
    let client_options = azure_client_options()?;
    let client_id = variable("AZURE_CLIENT_ID");
    let secret = variable("AZURE_CLIENT_SECRET");
    let credential = match (variable("AZURE_TENANT_ID"), client_id, secret) {
        (Some(tenant), Some(client), Some(secret)) => {
            let options = ClientSecretCredentialOptions { client_options };
            let secret = Secret::new(secret);
            ClientSecretCredential::new(&tenant, client, secret, Some(options))
                .map(|it| it as Arc<dyn TokenCredential>)
        }
        _ if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() => {
            let options = WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options },
                ..WorkloadIdentityCredentialOptions::default()
            };
            WorkloadIdentityCredential::new(Some(options)).map(|it| it as Arc<dyn TokenCredential>)
        }
        (_, client, _) if variable("IDENTITY_ENDPOINT").is_some() => {
            machine_identity(client, client_options)
        }
        (_, client, _) => choose_unnamed(client, client_options),
    };
    credential.map_err(|cause| {
        let message = "cannot log in to Azure with what the environment says";
        Error::new(ErrorKind::Denied, message).with_cause(cause)
    })
}

fn machine_identity(
    client_id: Option<String>,
    client_options: ClientOptions,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let options = ManagedIdentityCredentialOptions {
        user_assigned_id: client_id.map(UserAssignedId::ClientId),
        client_options,
    };
    Ok(ManagedIdentityCredential::new(Some(options))?)
}

fn choose_unnamed(
    client_id: Option<String>,
    client_options: ClientOptions,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    Ok(Arc::new(Unnamed {
        people: [
            AzureCliCredential::new(None)?,
            AzureDeveloperCliCredential::new(None)?,
        ],
        machine: machine_identity(client_id, client_options)?,
        found: OnceCell::new(),
    }))
}

/// The identity where nobody has said which: that of a person at work here, else that of the machine. The first that
/// gives a token stays.
#[derive(Debug)]
struct Unnamed {
    people: [Arc<dyn TokenCredential>; 2],
    machine: Arc<dyn TokenCredential>,
    found: OnceCell<Arc<dyn TokenCredential>>,
}

impl Unnamed {
    async fn search(&self, scopes: &[&str]) -> azure_core::Result<Arc<dyn TokenCredential>> {
        for person in &self.people {
            if person.get_token(scopes, None).await.is_ok() {
                return Ok(Arc::clone(person));
            }
        }
        let machine = self.machine.get_token(scopes, None);
        let answer = tokio::time::timeout(IDENTITY_LIMIT, machine).await;
        if let Ok(Ok(_)) = answer {
            return Ok(Arc::clone(&self.machine));
        }
        Err(azure_core::Error::with_message(
            azure_core::error::ErrorKind::Credential,
            "nobody is logged in: there is no `az login`, no managed identity, and no `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`",
        ))
    }
}

#[async_trait]
impl TokenCredential for Unnamed {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let found = self.found.get_or_try_init(|| self.search(scopes)).await?;
        found.get_token(scopes, options).await
    }
}
