//! User delegation: asks the service for a key on behalf of somebody who has logged in, and signs with it.
//!
//! The request needs https. A key lives for a week at most, and a signature ends with its key.

use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::ClientOptions;
use azure_core::time::OffsetDateTime;
use azure_storage_blob::models::KeyInfo;
use azure_storage_blob::{BlobServiceClient, BlobServiceClientOptions};
use azure_storage_sas::{SasBuilder, SasIpRange, SasProtocol};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use url::Url;

use super::permissions::Permission;
use super::sign::{CannotSign, SasRequest};
use super::terms::{IpRange, Protocols};
use crate::content::{Error, ErrorKind, Result};

/// The longest life of a user delegation key, and of what it signs.
pub const DELEGATION_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Asks the account for a key that lives as long as the signature, and signs with it. The result is a URL's query,
/// without `?`.
pub async fn sign_with_delegation_key(
    request: &SasRequest,
    endpoint: &Url,
    credential: Arc<dyn TokenCredential>,
    client: ClientOptions,
    now: Timestamp,
) -> Result<SecretString> {
    let failed = |cause: azure_core::Error| refuse(endpoint, cause);
    let options = BlobServiceClientOptions {
        client_options: client,
        ..BlobServiceClientOptions::default()
    };
    let service = BlobServiceClient::new(endpoint.clone(), Some(credential), Some(options))
        .map_err(failed)?;
    let terms = KeyInfo {
        start: Some(to_azure(request.start.unwrap_or(now))),
        expiry: Some(to_azure(request.expires)),
        ..KeyInfo::default()
    };
    let terms = terms.try_into().map_err(failed)?;
    let answer = service
        .get_user_delegation_key(terms, None)
        .await
        .map_err(failed)?;
    let key = answer.into_model().map_err(failed)?;
    let builder = SasBuilder::new(request.account.as_str(), &key, to_azure(request.expires))
        .map_err(failed)?;
    sign(builder, request).map_err(|cause| {
        let message = format!("cannot sign for the container `{}`", request.container);
        Error::new(ErrorKind::Refused, message).with_cause(cause)
    })
}

fn refuse(endpoint: &Url, cause: azure_core::Error) -> Error {
    use azure_core::error::ErrorKind as Azure;
    let kind = match cause.kind() {
        Azure::Credential => ErrorKind::Denied,
        Azure::HttpResponse { status, .. } if [401, 403].contains(&u16::from(*status)) => {
            ErrorKind::Denied
        }
        Azure::Io | Azure::Connection => ErrorKind::Temporary { retry_after: None },
        _ => ErrorKind::Failed,
    };
    let message = format!("cannot get a user delegation key from `{endpoint}`");
    Error::new(kind, message).with_cause(cause)
}

fn to_azure(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn sign(builder: SasBuilder<'_>, request: &SasRequest) -> Result<SecretString, CannotSign> {
    request.check()?;
    if request.permissions.contains(Permission::Filter) {
        return Err(CannotSign::NotByDelegationKey(Permission::Filter));
    }
    let mut builder = builder.protocol(match request.protocols {
        Protocols::HttpsOnly => SasProtocol::Https,
        Protocols::HttpToo => SasProtocol::HttpsAndHttp,
    });
    if let Some(start) = request.start {
        builder = builder.start(to_azure(start));
    }
    if let Some(ip) = request.ip {
        builder = builder.ip_range(range_of(ip));
    }
    let query = match &request.object {
        Some(object) => sign_object(builder, request, object),
        None => sign_container(builder, request),
    };
    Ok(SecretString::from(query))
}

fn range_of(ip: IpRange) -> SasIpRange {
    if ip.first == ip.last {
        return SasIpRange::Address(ip.first);
    }
    SasIpRange::InclusiveRange {
        start: ip.first,
        end: ip.last,
    }
}

fn sign_container(builder: SasBuilder<'_>, request: &SasRequest) -> String {
    let container = builder.container(&request.container);
    let signed = request
        .permissions
        .iter()
        .fold(container, |it, permission| match permission {
            Permission::Read => it.read(),
            Permission::Add => it.add(),
            Permission::Create => it.create(),
            Permission::Write => it.write(),
            Permission::Delete => it.delete(),
            Permission::DeleteVersion => it.delete_version(),
            Permission::PermanentDelete => it.permanent_delete(),
            Permission::List => it.list(),
            Permission::Tags => it.tags(),
            Permission::Move => it.move_blob(),
            Permission::Execute => it.execute(),
            Permission::Ownership => it.ownership(),
            Permission::Permissions => it.permissions(),
            Permission::Immutability => it.set_immutability_policy(),
            // Refused before: the service's own library cannot say it.
            Permission::Filter => it,
        });
    signed.build()
}

fn sign_object(builder: SasBuilder<'_>, request: &SasRequest, object: &str) -> String {
    let object = builder.blob(&request.container, object);
    let signed = request
        .permissions
        .iter()
        .fold(object, |it, permission| match permission {
            Permission::Read => it.read(),
            Permission::Add => it.add(),
            Permission::Create => it.create(),
            Permission::Write => it.write(),
            Permission::Delete => it.delete(),
            Permission::DeleteVersion => it.delete_version(),
            Permission::PermanentDelete => it.permanent_delete(),
            Permission::Tags => it.tags(),
            Permission::Move => it.move_blob(),
            Permission::Execute => it.execute(),
            Permission::Ownership => it.ownership(),
            Permission::Permissions => it.permissions(),
            Permission::Immutability => it.set_immutability_policy(),
            // Refused before: an object has nothing to list.
            Permission::List | Permission::Filter => it,
        });
    signed.build()
}
