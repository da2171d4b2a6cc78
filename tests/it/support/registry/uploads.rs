//! Upload sessions: POST (also with the blob, and mounts), PATCH, PUT, GET and DELETE.
//! Specification: distribution-spec, "Pushing blobs".

use airlift::oci::{Algorithm, Digest, Repository};
use axum::http::Method;

use super::answer::Answer;
use super::auth;
use super::behaviour::Location;
use super::exchange::{Cut, Exchange};
use super::fault::Fault;

/// POST: a mount, a whole blob, or a new session.
pub(super) async fn open(exchange: &mut Exchange, repository: &Repository) -> Result<Answer, Cut> {
    if exchange.method != Method::POST {
        return Ok(Answer::refusal(405));
    }
    if let Some(answer) = mount(exchange, repository) {
        return Ok(answer);
    }
    let id = exchange.shared.store().open_session(repository);
    if exchange.query.get("digest").is_some() && exchange.behaviour.uploads.single_post {
        if let Some(refusal) = too_large(exchange) {
            exchange.drain().await?;
            return Ok(refusal);
        }
        store_body(exchange, &id).await?;
        return Ok(commit(exchange, repository, &id));
    }
    exchange.drain().await?;
    let minimum = exchange.behaviour.uploads.chunk_bytes_min;
    let answer = accepted(exchange, repository, &id, 0);
    Ok(match minimum {
        Some(bytes) => answer.header("oci-chunk-min-length", &bytes),
        None => answer,
    })
}

fn mount(exchange: &Exchange, repository: &Repository) -> Option<Answer> {
    let digest: Digest = exchange.query.get("mount")?.parse().ok()?;
    let from: Repository = exchange.query.get("from")?.parse().ok()?;
    if !exchange.behaviour.mounts || !auth::may_pull(exchange, &from) {
        return None;
    }
    let mut store = exchange.shared.store();
    let bytes = store.blob(&from, &digest)?.clone();
    store.shelf(repository).blobs.insert(digest.clone(), bytes);
    Some(created(repository, &digest))
}

/// Everything with an open session.
pub(super) async fn answer(
    exchange: &mut Exchange,
    repository: &Repository,
    id: &str,
) -> Result<Answer, Cut> {
    let refusal = match offset(exchange, repository, id) {
        Some(offset) => match exchange.method {
            Method::GET => return Ok(status(exchange, repository, id, offset)),
            Method::DELETE => return Ok(cancel(exchange, id)),
            Method::PATCH | Method::PUT => refusal(exchange, repository, id, offset),
            _ => Some(Answer::refusal(405)),
        },
        None => Some(Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")),
    };
    if let Some(refusal) = refusal {
        exchange.drain().await?;
        return Ok(refusal);
    }
    let stored = store_body(exchange, id).await?;
    if exchange.method == Method::PUT {
        return Ok(commit(exchange, repository, id));
    }
    note_short_chunk(exchange, id, stored);
    let offset = offset_of(exchange, id);
    Ok(accepted(exchange, repository, id, offset))
}

/// How much of the session's blob is here; `None` when the request does not address it rightly.
fn offset(exchange: &Exchange, repository: &Repository, id: &str) -> Option<u64> {
    let mut store = exchange.shared.store();
    let session = store.sessions.get(id)?;
    if session.repository != *repository {
        return None;
    }
    let offset = session.bytes.len() as u64;
    let state = exchange.query.get("_state");
    match exchange.behaviour.uploads.location {
        Location::Query if state != Some("given") => None,
        Location::State if state != Some(&offset.to_string()) => {
            store.sessions.remove(id);
            None
        }
        _ => Some(offset),
    }
}

/// Why the body of this PATCH or PUT is not taken.
fn refusal(exchange: &Exchange, repository: &Repository, id: &str, offset: u64) -> Option<Answer> {
    if let Some(refusal) = too_large(exchange) {
        return Some(refusal);
    }
    let length = body_length(exchange);
    let is_put = exchange.method == Method::PUT;
    let is_monolithic = is_put && offset == 0 && length > 0;
    if let (true, Some(status)) = (is_monolithic, exchange.behaviour.uploads.monolithic) {
        return Some(Answer::refusal(status));
    }
    let store = exchange.shared.store();
    let follows_a_short_chunk = store.sessions.get(id)?.had_short_chunk && length > 0;
    drop(store);
    if !starts_at(exchange, offset) || follows_a_short_chunk {
        return Some(position(exchange, repository, id, offset, 416));
    }
    None
}

fn too_large(exchange: &Exchange) -> Option<Answer> {
    let limit = exchange.behaviour.uploads.request_bytes_max?;
    (body_length(exchange) > limit).then(|| Answer::refusal(413))
}

/// What the request says about its body; a stream without length counts as endless.
fn body_length(exchange: &Exchange) -> u64 {
    match exchange.header("content-length") {
        Some(text) => text.parse().unwrap_or(u64::MAX),
        None if exchange.header("transfer-encoding").is_some() => u64::MAX,
        None => 0,
    }
}

/// Whether the request's `Content-Range`, if any, goes on where the session ends.
fn starts_at(exchange: &Exchange, offset: u64) -> bool {
    let Some(range) = exchange.header("content-range") else {
        return true;
    };
    let start = range.split('-').next().unwrap_or_default();
    start.trim_start_matches("bytes ").parse() == Ok(offset)
}

/// Stores the request's body as it arrives, and says how long it was.
async fn store_body(exchange: &mut Exchange, id: &str) -> Result<u64, Cut> {
    let mut room = match exchange.fault {
        Some(Fault::CutUpload(bytes)) => usize::try_from(bytes).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let mut stored = 0;
    while let Some(piece) = exchange.next_piece().await? {
        let taken = piece.slice(..piece.len().min(room));
        room -= taken.len();
        stored += taken.len() as u64;
        let mut store = exchange.shared.store();
        let session = store.sessions.get_mut(id).ok_or(Cut)?;
        session.bytes.extend_from_slice(&taken);
        drop(store);
        if room == 0 {
            return Err(Cut);
        }
    }
    Ok(stored)
}

fn note_short_chunk(exchange: &Exchange, id: &str, stored: u64) {
    let minimum = exchange.behaviour.uploads.chunk_bytes_min.unwrap_or(0);
    if let Some(session) = exchange.shared.store().sessions.get_mut(id) {
        session.had_short_chunk = stored < minimum;
    }
}

fn offset_of(exchange: &Exchange, id: &str) -> u64 {
    let store = exchange.shared.store();
    let session = store.sessions.get(id);
    session.map_or(0, |session| session.bytes.len() as u64)
}

/// Closes the session: the blob is stored if its bytes are those of the digest.
fn commit(exchange: &Exchange, repository: &Repository, id: &str) -> Answer {
    let mut store = exchange.shared.store();
    let Some(session) = store.sessions.remove(id) else {
        return Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
    };
    let digest = exchange.query.get("digest").map(str::parse::<Digest>);
    let Some(Ok(digest)) = digest else {
        return Answer::error(400, "DIGEST_INVALID", "no valid digest given");
    };
    let algorithm = digest.algorithm();
    let is_supported = algorithm == Algorithm::Sha256 || exchange.behaviour.sha512_blobs;
    if !is_supported || Digest::of(algorithm, &session.bytes) != digest {
        let message = "the digest is not that of the content, or not supported";
        return Answer::error(400, "DIGEST_INVALID", message);
    }
    let shelf = store.shelf(repository);
    if !shelf.kept.contains(&digest) {
        shelf.lost.remove(&digest);
        shelf.blobs.insert(digest.clone(), session.bytes.into());
    }
    created(repository, &digest)
}

fn created(repository: &Repository, digest: &Digest) -> Answer {
    Answer::new(201)
        .header("location", &format!("/v2/{repository}/blobs/{digest}"))
        .header("docker-content-digest", &digest)
}

fn accepted(exchange: &Exchange, repository: &Repository, id: &str, offset: u64) -> Answer {
    position(exchange, repository, id, offset, 202)
}

fn status(exchange: &Exchange, repository: &Repository, id: &str, offset: u64) -> Answer {
    position(exchange, repository, id, offset, 204)
}

fn cancel(exchange: &Exchange, id: &str) -> Answer {
    exchange.shared.store().sessions.remove(id);
    Answer::new(204)
}

/// Where the session is, and how much of it. `0-0` means nothing, as at Docker's registry.
fn position(
    exchange: &Exchange,
    repository: &Repository,
    id: &str,
    offset: u64,
    status: u16,
) -> Answer {
    let answer = Answer::new(status)
        .header("range", &format!("0-{}", offset.saturating_sub(1)))
        .header("docker-upload-uuid", &id);
    let path = format!("/v2/{repository}/blobs/uploads/{id}");
    let base = exchange.shared.url();
    match exchange.behaviour.uploads.location {
        Location::Absolute => answer.header("location", &format!("{base}{path}")),
        Location::Relative => answer.header("location", &path),
        Location::Query => answer.header("location", &format!("{base}{path}?_state=given")),
        Location::State => answer.header("location", &format!("{base}{path}?_state={offset}")),
        Location::Missing => answer,
    }
}
