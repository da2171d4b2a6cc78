//! A short-lived signature for one container, made from an account key: the SDK knows no keys.
//!
//! A service SAS of version 2024-11-04 for `sr=c`, as Microsoft's "Create a service SAS" describes it. It is made
//! anew for every request, and is never shown.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::content::{Error, ErrorKind, Result};

const SERVICE_VERSION: &str = "2024-11-04";
/// Read, create, write, delete, list.
const PERMISSIONS: &str = "rcwdl";
/// A request that has been let in may take longer.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// The key of a storage account, and the container that it is used for.
#[derive(Debug)]
pub(super) struct ContainerSigner {
    key: SecretSlice<u8>,
    account: String,
    container: String,
}

impl ContainerSigner {
    pub(super) fn new(key: &SecretString, account: &str, container: &str) -> Result<Self> {
        let decoded = STANDARD.decode(key.expose_secret().trim()).map_err(|_| {
            let message =
                format!("the credential of `{account}` is neither a signature nor an account key");
            Error::new(ErrorKind::Denied, message)
        })?;
        Ok(Self {
            key: decoded.into(),
            account: account.to_owned(),
            container: container.to_owned(),
        })
    }

    /// The query of a signature for the container that is good for a while from `now` on.
    pub(super) fn sign(&self, now: Timestamp) -> SecretString {
        let resource = format!("/blob/{}/{}", self.account, self.container);
        self.sign_resource(&resource, "c", PERMISSIONS, now)
    }

    /// The same for one blob, only to read it.
    pub(super) fn sign_to_read(&self, blob: &str, now: Timestamp) -> SecretString {
        let resource = format!("/blob/{}/{}/{blob}", self.account, self.container);
        self.sign_resource(&resource, "b", "r", now)
    }

    fn sign_resource(
        &self,
        resource: &str,
        kind: &str,
        permissions: &str,
        now: Timestamp,
    ) -> SecretString {
        let expiry = now.saturating_add(LIFETIME).unwrap_or(now);
        let expiry = expiry.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        // sp, st, se, resource, si, ip, spr, sv, sr, snapshot, scope, rscc, rscd, rsce, rscl, rsct
        let mut fields = [""; 16];
        fields[0] = permissions;
        fields[2] = &expiry;
        fields[3] = resource;
        fields[7] = SERVICE_VERSION;
        fields[8] = kind;
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.expose_secret());
        let tag = hmac::sign(&key, fields.join("\n").as_bytes());
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        SecretString::from(format!(
            "sv={SERVICE_VERSION}&sr={kind}&sp={permissions}&se={}&sig={}",
            encode(&expiry),
            encode(&STANDARD.encode(tag)),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_depends_on_everything_that_it_says() {
        let sign = |key: &str, container: &str, second: i64| {
            let key = SecretString::from(STANDARD.encode(key));
            let signer = ContainerSigner::new(&key, "acme", container).unwrap();
            let signed = signer.sign(Timestamp::from_second(second).unwrap());
            signed.expose_secret().to_owned()
        };
        let signed = sign("key", "drop", 0);
        assert!(
            signed.contains("se=1970%2D01%2D01T01%3A00%3A00Z"),
            "{signed}"
        );
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
        let error = ContainerSigner::new(&key, "acme", "drop").unwrap_err();
        assert!(!format!("{error:?}").contains("NOT-A-KEY"), "{error:?}");
    }
}
