//! Manifests and indexes: GET, HEAD, PUT and DELETE, by tag and by digest.
//! Specification: distribution-spec, "Pulling manifests", "Pushing Manifests", "Deleting Manifests".

use airlift::content::{Document, MANIFEST_SIZE_MAX_BYTES};
use airlift::oci::{Algorithm, Descriptor, Digest, Manifest, Pin, Repository};
use axum::http::Method;
use bytes::Bytes;

use super::answer::Answer;
use super::behaviour::Referrers;
use super::exchange::{Cut, Exchange};

pub(super) async fn answer(
    exchange: &mut Exchange,
    repository: &Repository,
    reference: &str,
) -> Result<Answer, Cut> {
    let body = exchange.whole_body().await?;
    let Some(pin) = parse_pin(reference) else {
        return Ok(Answer::error(400, "TAG_INVALID", "neither tag nor digest"));
    };
    Ok(match exchange.method {
        Method::GET | Method::HEAD => get(exchange, repository, &pin),
        Method::PUT => put(exchange, repository, &pin, body).unwrap_or_else(|refusal| refusal),
        Method::DELETE => delete(exchange, repository, &pin),
        _ => Answer::refusal(405),
    })
}

fn parse_pin(reference: &str) -> Option<Pin> {
    if reference.contains(':') {
        return reference.parse().ok().map(Pin::Digest);
    }
    reference.parse().ok().map(Pin::Tag)
}

fn get(exchange: &Exchange, repository: &Repository, pin: &Pin) -> Answer {
    let mut store = exchange.shared.store();
    let shelf = store.shelf(repository);
    let digest = match pin {
        Pin::Digest(digest) => Some(digest.clone()),
        Pin::Tag(tag) => shelf.tags.get(tag).cloned(),
    };
    let document = digest.and_then(|digest| shelf.manifests.get(&digest));
    let is_lost = |document: &Document| {
        exchange.method == Method::GET && shelf.lost.contains(&document.descriptor.digest)
    };
    match document {
        Some(document) if !is_lost(document) => Answer::new(200)
            .header("content-type", &document.descriptor.media_type)
            .header("docker-content-digest", &document.descriptor.digest)
            .header("etag", &format!("\"{}\"", document.descriptor.digest))
            .body(document.bytes.clone()),
        _ => unknown(),
    }
}

fn put(
    exchange: &Exchange,
    repository: &Repository,
    pin: &Pin,
    body: Bytes,
) -> Result<Answer, Answer> {
    let (manifest, document) = check(exchange, pin, body)?;
    let mut store = exchange.shared.store();
    let shelf = store.shelf(repository);
    let behaviour = &exchange.behaviour;
    let missing_blobs = shelf.missing_blobs(&manifest);
    if behaviour.checks_blobs && !missing_blobs.is_empty() {
        let message = format!("blob unknown: {missing_blobs:?}");
        return Err(Answer::error(400, "MANIFEST_BLOB_UNKNOWN", &message));
    }
    let missing_children = shelf.missing_children(&manifest);
    if behaviour.checks_children && !missing_children.is_empty() {
        let message = format!("manifest unknown: {missing_children:?}");
        return Err(Answer::error(400, "MANIFEST_BLOB_UNKNOWN", &message));
    }
    let digest = known_digest(shelf.manifests.values(), &document);
    shelf.manifests.entry(digest.clone()).or_insert(document);
    shelf.lost.remove(&digest);
    if let Pin::Tag(tag) = pin {
        store.tag(repository, tag, &digest, behaviour.watches_completeness);
    }
    Ok(created(exchange, repository, &digest, &manifest))
}

/// The manifest that arrived, if it is one that this registry takes.
fn check(exchange: &Exchange, pin: &Pin, body: Bytes) -> Result<(Manifest, Document), Answer> {
    if let Pin::Tag(tag) = pin
        && let Some(status) = exchange.behaviour.refused_tags.get(tag)
    {
        return Err(Answer::refusal(*status));
    }
    if body.len() as u64 > MANIFEST_SIZE_MAX_BYTES {
        return Err(Answer::error(413, "SIZE_INVALID", "larger than 4 MiB"));
    }
    let media_type = exchange.header("content-type").unwrap_or_default();
    let manifest = Manifest::parse(&body, media_type)
        .map_err(|error| Answer::error(400, "MANIFEST_INVALID", &error.to_string()))?;
    let algorithm = match pin {
        Pin::Digest(digest) => digest.algorithm(),
        Pin::Tag(_) => Algorithm::Sha256,
    };
    let found = Digest::of(algorithm, &body);
    let is_refused = algorithm == Algorithm::Sha512 && !exchange.behaviour.sha512_manifests;
    if is_refused || matches!(pin, Pin::Digest(digest) if *digest != found) {
        let message = "the digest is not that of the content, or not supported";
        return Err(Answer::error(400, "DIGEST_INVALID", message));
    }
    let descriptor = Descriptor::new(&manifest.media_type, found, body.len() as u64);
    Ok((
        manifest,
        Document {
            descriptor,
            bytes: body,
        },
    ))
}

/// By tag a client cannot say the algorithm: bytes that are here by another digest keep that one.
fn known_digest<'a>(
    mut manifests: impl Iterator<Item = &'a Document>,
    document: &Document,
) -> Digest {
    let own = &document.descriptor.digest;
    let known = manifests
        .find(|known| own.algorithm() == Algorithm::Sha256 && known.bytes == document.bytes);
    known.map_or(own, |known| &known.descriptor.digest).clone()
}

fn created(
    exchange: &Exchange,
    repository: &Repository,
    digest: &Digest,
    manifest: &Manifest,
) -> Answer {
    let mut answer = Answer::new(201).header("docker-content-digest", &digest);
    if exchange.behaviour.manifest_location {
        answer = answer.header("location", &format!("/v2/{repository}/manifests/{digest}"));
    }
    match &manifest.subject {
        Some(subject) if exchange.behaviour.referrers != Referrers::Unsupported => {
            answer.header("oci-subject", &subject.digest)
        }
        _ => answer,
    }
}

fn delete(exchange: &Exchange, repository: &Repository, pin: &Pin) -> Answer {
    if !exchange.behaviour.deletes {
        return Answer::refusal(405);
    }
    let mut store = exchange.shared.store();
    let shelf = store.shelf(repository);
    let was_there = match pin {
        Pin::Tag(tag) => shelf.tags.remove(tag).is_some(),
        Pin::Digest(digest) => {
            shelf.tags.retain(|_, tagged| tagged != digest);
            shelf.manifests.remove(digest).is_some()
        }
    };
    if was_there {
        Answer::new(202)
    } else {
        unknown()
    }
}

fn unknown() -> Answer {
    Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown")
}
