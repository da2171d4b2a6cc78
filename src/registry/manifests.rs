//! Manifests, and whether content is there: raw bytes in both directions, never parsed and never written anew.
//!
//! Specification: distribution-spec, "Pulling manifests", "Checking if content exists", "Pushing Manifests".

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::auth::Scope;
use super::client::{Ask, Client};
use super::error::{RegistryError, Result};
use super::referrers_api::ReferrersApi;
use crate::content::{Document, MANIFEST_SIZE_MAX_BYTES, RawDocument};
use crate::oci::{Descriptor, Digest, Pin, Repository, Tag, media_type};

const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";
const OCI_SUBJECT: &str = "oci-subject";

pub(super) async fn fetch(
    client: &Client,
    repository: &Repository,
    pin: &Pin,
) -> Result<RawDocument> {
    let ask = manifest_ask(client, Method::GET, repository, pin);
    let (headers, bytes) = client.fetch(&ask, MANIFEST_SIZE_MAX_BYTES).await?;
    Ok(RawDocument {
        bytes,
        media_type: content_type(&headers),
        claimed: claimed_digest(&headers),
    })
}

pub(super) fn manifest_ask(
    client: &Client,
    method: Method,
    repository: &Repository,
    pin: &Pin,
) -> Ask {
    let url = client.url(repository, &format!("manifests/{pin}"));
    let mut ask = Ask::new(method, url, Scope::Pull(repository.clone()));
    ask.headers.insert(ACCEPT, accept());
    ask
}

pub(super) fn accept() -> HeaderValue {
    HeaderValue::from_str(&media_type::MANIFESTS.join(", "))
        .expect("media types are made of characters that a header may hold")
}

/// The media type without its parameters; empty where the registry names none.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = text.and_then(|text| text.split(';').next());
    essence.unwrap_or_default().trim().to_ascii_lowercase()
}

/// What the registry says the digest is. Something that is not a digest claims nothing.
pub(super) fn claimed_digest(headers: &HeaderMap) -> Option<Digest> {
    headers
        .get(DOCKER_CONTENT_DIGEST)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Whether the blob or manifest is in `repository`. Only a 404 means that it is not.
pub(super) async fn exists(
    client: &Client,
    repository: &Repository,
    descriptor: &Descriptor,
) -> Result<bool> {
    let digest = &descriptor.digest;
    let ask = if descriptor.is_manifest() {
        manifest_ask(
            client,
            Method::HEAD,
            repository,
            &Pin::Digest(digest.clone()),
        )
    } else {
        let url = client.url(repository, &format!("blobs/{digest}"));
        Ask::new(Method::HEAD, url, Scope::Pull(repository.clone()))
    };
    let response = match client.send(&ask).await {
        Ok(response) => response,
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(error),
    };
    check_claims(client, response.headers(), descriptor)?;
    Ok(true)
}

/// An answer to HEAD that contradicts the descriptor must not pass for the content.
fn check_claims(client: &Client, headers: &HeaderMap, descriptor: &Descriptor) -> Result<()> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = length
        && length != descriptor.size
    {
        return Err(RegistryError::unverified(
            client.host(),
            format!(
                "says that `{}` has {length} bytes, expected {}",
                descriptor.digest, descriptor.size
            ),
        ));
    }
    match claimed_digest(headers) {
        Some(claimed)
            if claimed.algorithm() == descriptor.digest.algorithm()
                && claimed != descriptor.digest =>
        {
            Err(RegistryError::unverified(
                client.host(),
                format!("gave `{claimed}` for `{}`", descriptor.digest),
            ))
        }
        _ => Ok(()),
    }
}

/// Stores the manifest under `pin`: its digest, or a tag.
pub(super) async fn push(
    client: &Client,
    repository: &Repository,
    document: &Document,
    pin: &Pin,
) -> Result<()> {
    let url = client.url(repository, &format!("manifests/{pin}"));
    let mut ask = Ask::new(Method::PUT, url, Scope::Push(repository.clone()));
    let media_type = HeaderValue::from_str(&document.descriptor.media_type).map_err(|_| {
        RegistryError::malformed(client.host(), "the manifest's media type is not one")
    })?;
    ask.headers.insert(CONTENT_TYPE, media_type);
    ask.body = document.bytes.clone();
    let response = client.send(&ask).await?;
    if response.headers().contains_key(OCI_SUBJECT) {
        let apis = &client.habits.referrers;
        apis.set(repository, ReferrersApi::Present);
    }
    let Some(claimed) = claimed_digest(response.headers()) else {
        return Ok(());
    };
    if claimed == Digest::of(claimed.algorithm(), &document.bytes) {
        return Ok(());
    }
    Err(RegistryError::unverified(
        client.host(),
        format!(
            "stored `{claimed}` instead of `{}`",
            document.descriptor.digest
        ),
    ))
}

/// The digest that the header says `tag` stands for; `None` where it says nothing.
pub(super) async fn claim(
    client: &Client,
    repository: &Repository,
    tag: &Tag,
) -> Result<Option<Digest>> {
    let ask = manifest_ask(client, Method::HEAD, repository, &Pin::Tag(tag.clone()));
    let response = client.send(&ask).await?;
    Ok(claimed_digest(response.headers()))
}

/// The digest behind `tag`, from the header where there is one, else from the bytes.
pub(super) async fn resolve(
    client: &Client,
    repository: &Repository,
    tag: &Tag,
) -> Result<Option<Digest>> {
    let claimed = match claim(client, repository, tag).await {
        Ok(claimed) => claimed,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    if claimed.is_some() {
        return Ok(claimed);
    }
    match fetch(client, repository, &Pin::Tag(tag.clone())).await {
        Ok(document) => Ok(Some(Digest::sha256(&document.bytes))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
