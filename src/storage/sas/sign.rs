//! Makes a service signature for a container or an object, signed with the key of its storage account.
//!
//! Pure: the same request and key give the same signature. The recipe is that of service version 2024-11-04.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::permissions::{Permission, Permissions};
use super::terms::{IpRange, Protocols, format_time};

pub(super) const SERVICE_VERSION: &str = "2024-11-04";

/// All but what RFC 3986 calls unreserved.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What a new signature is to allow.
#[derive(Clone, Debug)]
pub struct SasRequest {
    pub account: String,
    pub container: String,
    /// One object; without it the whole container.
    pub object: Option<String>,
    pub permissions: Permissions,
    /// Without it the signature holds at once, whatever the clocks say.
    pub start: Option<Timestamp>,
    pub expires: Timestamp,
    pub protocols: Protocols,
    pub ip: Option<IpRange>,
}

/// Why a signature cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CannotSign {
    #[error("the account key is not base64, as Azure gives it")]
    AccountKey,
    #[error("a signature for one object cannot allow {0}")]
    NotForObjects(Permission),
    #[error("it would end at {expires}, before it begins at {start}")]
    EndsFirst {
        start: Timestamp,
        expires: Timestamp,
    },
    #[error("an account key cannot sign {0}: only a user delegation key can")]
    NotByAccountKey(Permission),
    #[error("a user delegation key cannot sign {0}")]
    NotByDelegationKey(Permission),
}

impl SasRequest {
    /// What holds whoever signs.
    pub fn check(&self) -> Result<(), CannotSign> {
        if self.object.is_some() && self.permissions.contains(Permission::List) {
            return Err(CannotSign::NotForObjects(Permission::List));
        }
        if self.object.is_some() && self.permissions.contains(Permission::Filter) {
            return Err(CannotSign::NotForObjects(Permission::Filter));
        }
        match self.start {
            Some(start) if start >= self.expires => Err(CannotSign::EndsFirst {
                start,
                expires: self.expires,
            }),
            _ => Ok(()),
        }
    }

    fn resource(&self) -> &'static str {
        match self.object {
            Some(_) => "b",
            None => "c",
        }
    }

    /// The container or object as the service's recipe names it: nothing in it is encoded.
    fn canonical(&self) -> String {
        let container = format!("/blob/{}/{}", self.account, self.container);
        match &self.object {
            Some(object) => format!("{container}/{object}"),
            None => container,
        }
    }
}

/// Signs with the account's key. The result is a URL's query, without `?`.
pub fn sign_with_account_key(
    request: &SasRequest,
    account_key: &SecretString,
) -> Result<SecretString, CannotSign> {
    // The POSIX permissions of a hierarchical namespace belong to somebody; an account key is nobody.
    for permission in [Permission::Ownership, Permission::Permissions] {
        if request.permissions.contains(permission) {
            return Err(CannotSign::NotByAccountKey(permission));
        }
    }
    request.check()?;
    let signature = sign_text(&string_to_sign(request), account_key)?;
    Ok(query(request, &signature))
}

/// The signature of a text by the account's key, in base64.
pub(super) fn sign_text(text: &str, account_key: &SecretString) -> Result<String, CannotSign> {
    let key = STANDARD
        .decode(account_key.expose_secret().trim())
        .ok()
        .filter(|key| !key.is_empty())
        .ok_or(CannotSign::AccountKey)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    Ok(STANDARD.encode(hmac::sign(&key, text.as_bytes()).as_ref()))
}

/// Sixteen fields, one a line: sp, st, se, resource, si, ip, spr, sv, sr, snapshot, scope, and five headers.
fn string_to_sign(request: &SasRequest) -> String {
    let fields = [
        request.permissions.to_string(),
        request.start.map(format_time).unwrap_or_default(),
        format_time(request.expires),
        request.canonical(),
        String::new(),
        request.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        request.protocols.parameter().to_owned(),
        SERVICE_VERSION.to_owned(),
        request.resource().to_owned(),
    ];
    let unused = vec![String::new(); 7];
    [fields.as_slice(), &unused].concat().join("\n")
}

fn query(request: &SasRequest, signature: &str) -> SecretString {
    let pairs = [
        ("sv", SERVICE_VERSION.to_owned()),
        ("sr", request.resource().to_owned()),
        ("sp", request.permissions.to_string()),
        ("st", request.start.map(format_time).unwrap_or_default()),
        ("se", format_time(request.expires)),
        ("spr", request.protocols.parameter().to_owned()),
        (
            "sip",
            request.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        ),
        ("sig", signature.to_owned()),
    ];
    let given = pairs.iter().filter(|(_, value)| !value.is_empty());
    let encoded =
        given.map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, RESERVED)));
    SecretString::from(encoded.collect::<Vec<_>>().join("&"))
}
