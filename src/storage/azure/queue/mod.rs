//! An Azure Storage Queue that is told of new objects by Event Grid: messages are received, read and removed.
//!
//! A queue is never what decides: what is in a container is known by listing it. A message that was received stays
//! invisible to others for a while, and comes back where nobody removes it. Nothing is tried twice here; who asks
//! does so again.

mod notice;
mod reference;

use std::sync::Arc;
use std::time::Duration;

use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_storage_queue::models::{QueueClientReceiveMessagesOptions, ReceivedMessage};
use azure_storage_queue::{QueueClient, QueueClientOptions};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

pub use self::notice::Notice;
pub use self::reference::{InvalidQueue, QueueReference};
use super::identity::Identity;
use super::sign::QueueSigner;
use super::wire::{Signature, SigningWire};
use crate::content::{Error, ErrorKind, Result};
use crate::storage::credential::Credential;
use crate::storage::reference::AzureReference;
use crate::storage::sas::{SasToken, missing_for_queue};
use crate::storage::{failure, http};

/// The most that the service hands over at once.
pub const MESSAGES_MAX: usize = 32;
/// How long a message that is not removed stays away from everybody.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// A queue, and the container whose objects its messages are about.
pub struct AzureQueue {
    client: QueueClient,
    name: String,
    container: AzureReference,
    visibility: Duration,
}

/// A message that was received, and has still to be removed.
pub struct QueueMessage {
    pub notice: Notice,
    /// How often it was received, this time included.
    pub dequeues: u64,
    id: String,
    receipt: String,
}

impl AzureQueue {
    /// Sends nothing yet.
    pub fn open(
        reference: &QueueReference,
        credential: impl Into<Credential>,
        container: &AzureReference,
        now: Timestamp,
    ) -> Result<Self> {
        let name = reference.to_string();
        let http = http::client(Some(&reference.url))?;
        let typed = reference.sas.as_ref();
        let identity = Identity::choose(&reference.url, typed, credential.into(), |key| {
            QueueSigner::new(key, reference).map(Signature::Queue)
        })?;
        if let Signature::Shared(sas) = &identity.signature {
            require_enough(sas, reference, now)?;
        }
        let wire = SigningWire::new(http, Arc::new(identity.signature));
        let options = QueueClientOptions {
            client_options: ClientOptions {
                retry: RetryOptions::none(),
                transport: Some(Transport::new(Arc::new(wire))),
                ..ClientOptions::default()
            },
            ..QueueClientOptions::default()
        };
        let client = QueueClient::new(reference.url.clone(), identity.tokens, Some(options))
            .map_err(|error| failure::from_azure(format!("cannot open `{name}`"), &error))?;
        Ok(Self {
            client,
            name,
            container: container.clone(),
            visibility: VISIBILITY_TIMEOUT,
        })
    }

    /// Messages that are not removed come back after this time, in whole seconds.
    pub fn with_visibility(mut self, visibility: Duration) -> Self {
        self.visibility = visibility;
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// At most [`MESSAGES_MAX`] messages; none where the queue is empty. It does not wait for any.
    pub async fn receive(&self) -> Result<Vec<QueueMessage>> {
        let told = |error: azure_core::Error| {
            failure::from_azure(format!("cannot receive from `{}`", self.name), &error)
        };
        let options = QueueClientReceiveMessagesOptions {
            number_of_messages: i32::try_from(MESSAGES_MAX).ok(),
            visibility_timeout: i32::try_from(self.visibility.as_secs().max(1)).ok(),
            ..QueueClientReceiveMessagesOptions::default()
        };
        let answer = self.client.receive_messages(Some(options)).await;
        let received = answer.and_then(azure_core::http::Response::into_model);
        let received = received.map_err(told)?.items.unwrap_or_default();
        Ok(received
            .into_iter()
            .filter_map(|it| self.read(it))
            .collect())
    }

    fn read(&self, message: ReceivedMessage) -> Option<QueueMessage> {
        let text = message.message_text.unwrap_or_default();
        Some(QueueMessage {
            notice: Notice::read(&text, &self.container),
            dequeues: u64::try_from(message.dequeue_count?).ok()?,
            id: message.message_id?,
            receipt: message.pop_receipt?,
        })
    }

    /// Removes it; where it has become visible again and was received by somebody else, it is theirs.
    pub async fn remove(&self, message: &QueueMessage) -> Result<()> {
        let removed = self
            .client
            .delete_message(&message.id, &message.receipt, None)
            .await;
        let Err(error) = removed else { return Ok(()) };
        let error = failure::from_azure(format!("cannot remove from `{}`", self.name), &error);
        match error.is_not_found() {
            true => Ok(()),
            false => Err(error),
        }
    }
}

fn require_enough(sas: &SecretString, reference: &QueueReference, now: Timestamp) -> Result<()> {
    let denied = |message: String| Error::new(ErrorKind::Denied, message);
    if sas.expose_secret().is_empty() || !SasToken::is_likely(sas) {
        let message = format!("the query of `{reference}` is not a shared access signature");
        return Err(denied(message));
    }
    let gaps = missing_for_queue(sas, &reference.url, now);
    if gaps.is_empty() {
        return Ok(());
    }
    let message = format!("the shared access signature for `{reference}` is not enough");
    Err(denied(message).with_cause(format!("it {}", gaps.join("; it "))))
}
