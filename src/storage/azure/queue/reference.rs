//! Queues by the words a person types for them. Pure: nothing is opened here.
//!
//! ```text
//! https://ACCOUNT.queue.core.windows.net/QUEUE[?SAS]     Azure Queue Storage
//! https://HOST[:PORT]/ACCOUNT/QUEUE[?SAS]                the same on another host (Azurite, Stack)
//! ```
//!
//! Both may end with `credential=REFERENCE`, which names a secret and is not one. What is printed holds no query.

use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;
use url::Url;

use crate::storage::reference::{decode, split_credential};

/// A queue of a storage account.
#[derive(Clone, Debug)]
pub struct QueueReference {
    /// The queue's URL, without a query.
    pub url: Url,
    pub account: String,
    pub queue: String,
    /// A shared access signature that was typed as the URL's query.
    pub sas: Option<SecretString>,
    pub credential: Option<String>,
}

/// Why a text names no queue. It never holds a query.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidQueue {
    #[error("`{0}` names no queue: expected `https://ACCOUNT.queue.core.windows.net/QUEUE`")]
    NoQueue(String),
    #[error("`{0}` holds a signature, and `credential=` names another one: give one of the two")]
    TwoCredentials(String),
}

impl FromStr for QueueReference {
    type Err = InvalidQueue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let shown = shown.rsplit('@').next().unwrap_or_default();
        let invalid = || InvalidQueue::NoQueue(shown.to_owned());
        let mut url = Url::parse(text).map_err(|_| invalid())?;
        let is_bare = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_bare {
            return Err(invalid());
        }
        let segments = url.path_segments().into_iter().flatten().map(decode);
        let mut segments: Vec<String> = segments.filter(|part| !part.is_empty()).collect();
        let host = url.host_str().unwrap_or_default();
        let account = match host.split_once(".queue.") {
            Some((account, _)) => account.to_owned(),
            None if segments.is_empty() => return Err(invalid()),
            None => segments.remove(0),
        };
        let [queue] = segments.as_slice() else {
            return Err(invalid());
        };
        let (queue, (credential, sas)) = (queue.clone(), split_credential(&url));
        if credential.is_some() && !sas.is_empty() {
            return Err(InvalidQueue::TwoCredentials(shown.to_owned()));
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self {
            url,
            account,
            queue,
            sas: (!sas.is_empty()).then(|| SecretString::from(sas)),
            credential,
        })
    }
}

impl fmt::Display for QueueReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_queue_is_account_and_name() {
        let text = "https://acme.queue.core.windows.net/bundles?sp=p&sig=a%2Bb";
        let queue: QueueReference = text.parse().unwrap();
        assert_eq!((&*queue.account, &*queue.queue), ("acme", "bundles"));
        assert_eq!(
            queue.to_string(),
            "https://acme.queue.core.windows.net/bundles"
        );
        assert_eq!(queue.sas.unwrap().expose_secret(), "sp=p&sig=a%2Bb");
        let local = "http://127.0.0.1:10001/acme/bundles?credential=env:SAS";
        let local: QueueReference = local.parse().unwrap();
        assert_eq!(local.credential.as_deref(), Some("env:SAS"));
        assert_eq!((&*local.account, &*local.queue), ("acme", "bundles"));
    }

    #[test]
    fn what_names_no_queue_is_told_without_its_secrets() {
        for text in [
            "bundles",
            "ftp://h/a/q?sig=SECRET",
            "https://acme.queue.core.windows.net/?sig=SECRET",
            "https://acme.queue.core.windows.net/a/b?sig=SECRET",
            "https://x:SECRET@acme.queue.core.windows.net/q",
            "http://127.0.0.1:1/acme?sig=SECRET",
            "http://127.0.0.1:1/acme/q?sig=SECRET&credential=env:SAS",
        ] {
            let error = text.parse::<QueueReference>().unwrap_err();
            assert!(!error.to_string().contains("SECRET"), "{error}");
        }
    }
}
