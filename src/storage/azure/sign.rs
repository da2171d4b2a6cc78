//! Short-lived signatures made from an account key, one for every request: the SDK knows no keys.
//!
//! They are made and never shown.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use url::Url;

use super::queue::QueueReference;
use crate::content::{Error, ErrorKind, Result};
use crate::storage::AzureReference;
use crate::storage::sas::{
    Permission, Permissions, Protocols, QueueSas, SasRequest, sign_with_account_key,
};

/// A request that has been let in may take longer.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// The key of a storage account, and the container that it is used for.
#[derive(Debug)]
pub(super) struct ContainerSigner {
    key: SecretString,
    account: String,
    container: String,
    protocols: Protocols,
}

impl ContainerSigner {
    pub(super) fn new(key: SecretString, reference: &AzureReference) -> Result<Self> {
        let signer = Self {
            key,
            account: reference.account.clone(),
            container: reference.container.clone(),
            protocols: protocols_of(&reference.endpoint),
        };
        // Everything that can be wrong is wrong with the key, and is told before the first request.
        match signer.sign_for(None, &[Permission::Read], Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(signer),
            None => Err(no_key(&signer.account)),
        }
    }

    /// The query of a signature for the container that is good for a while from `now` on.
    pub(super) fn sign(&self, now: Timestamp) -> Option<SecretString> {
        use Permission::{Create, Delete, List, Read, Write};
        self.sign_for(None, &[Read, Create, Write, Delete, List], now)
    }

    /// The same for one blob, only to read it.
    pub(super) fn sign_to_read(&self, blob: &str, now: Timestamp) -> Option<SecretString> {
        self.sign_for(Some(blob), &[Permission::Read], now)
    }

    fn sign_for(
        &self,
        blob: Option<&str>,
        permissions: &[Permission],
        now: Timestamp,
    ) -> Option<SecretString> {
        let request = SasRequest {
            account: self.account.clone(),
            container: self.container.clone(),
            object: blob.map(str::to_owned),
            permissions: permissions.iter().copied().collect::<Permissions>(),
            start: None,
            expires: now.saturating_add(LIFETIME).ok()?,
            protocols: self.protocols,
            ip: None,
        };
        sign_with_account_key(&request, &self.key).ok()
    }
}

/// The key of a storage account, and the queue that it is used for.
#[derive(Debug)]
pub(super) struct QueueSigner {
    key: SecretString,
    account: String,
    queue: String,
    protocols: Protocols,
}

impl QueueSigner {
    pub(super) fn new(key: SecretString, reference: &QueueReference) -> Result<Self> {
        let signer = Self {
            key,
            account: reference.account.clone(),
            queue: reference.queue.clone(),
            protocols: protocols_of(&reference.url),
        };
        match signer.sign(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(signer),
            None => Err(no_key(&signer.account)),
        }
    }

    /// The query of a signature for the queue's messages that is good for a while from `now` on.
    pub(super) fn sign(&self, now: Timestamp) -> Option<SecretString> {
        let sas = QueueSas {
            account: &self.account,
            queue: &self.queue,
            expires: now.saturating_add(LIFETIME).ok()?,
            protocols: self.protocols,
        };
        sas.sign(&self.key).ok()
    }
}

fn protocols_of(endpoint: &Url) -> Protocols {
    match endpoint.scheme() {
        "http" => Protocols::HttpToo,
        _ => Protocols::HttpsOnly,
    }
}

fn no_key(account: &str) -> Error {
    let message =
        format!("the credential of `{account}` is neither a signature nor an account key");
    Error::new(ErrorKind::Denied, message)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::storage::ContainerReference;

    fn reference(container: &str) -> AzureReference {
        let url = format!("https://acme.blob.core.windows.net/{container}");
        match url.parse() {
            Ok(ContainerReference::Azure(reference)) => reference,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_signature_depends_on_everything_that_it_says() {
        let sign = |key: &str, container: &str, second: i64| {
            let key = SecretString::from(STANDARD.encode(key));
            let signer = ContainerSigner::new(key, &reference(container)).unwrap();
            let signed = signer.sign(Timestamp::from_second(second).unwrap());
            signed.unwrap().expose_secret().to_owned()
        };
        let signed = sign("key", "drop", 0);
        assert!(signed.contains("se=1970-01-01T01%3A00%3A00Z"), "{signed}");
        let others = [
            sign("other", "drop", 0),
            sign("key", "other", 0),
            sign("key", "drop", 1),
        ];
        assert!(others.iter().all(|other| *other != signed));
        assert_eq!(sign("key", "drop", 0), signed);
    }

    #[test]
    fn what_is_no_key_is_told_without_it() {
        let key = SecretString::from("NOT-A-KEY!");
        let error = ContainerSigner::new(key, &reference("drop")).unwrap_err();
        assert!(!format!("{error:?}").contains("NOT-A-KEY"), "{error:?}");
    }
}
