//! Lists: the catalog, tags and referrers, in pages.
//! Specification: distribution-spec, "Listing Tags", "Listing Referrers".

use airlift::content::Document;
use airlift::oci::{Digest, Manifest, Repository, media_type};
use serde_json::{Value, json};

use super::answer::Answer;
use super::behaviour::{Paging, Referrers};
use super::exchange::Exchange;

pub(super) fn catalog(exchange: &Exchange) -> Answer {
    if !exchange.behaviour.catalog {
        return Answer::refusal(404);
    }
    let store = exchange.shared.store();
    let names = store.shelves.keys().map(ToString::to_string).collect();
    let (names, link) = page(exchange, names, |name| name);
    link.applied(Answer::new(200).json(&json!({"repositories": names})))
}

pub(super) fn tags(exchange: &Exchange, repository: &Repository) -> Answer {
    let store = exchange.shared.store();
    let Some(shelf) = store.shelves.get(repository) else {
        return Answer::error(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    let mut tags: Vec<String> = shelf.tags.keys().map(ToString::to_string).collect();
    tags.extend(exchange.behaviour.strange_tags.iter().cloned());
    tags.sort();
    let (tags, link) = page(exchange, tags, |tag| tag);
    link.applied(Answer::new(200).json(&json!({"name": repository.as_str(), "tags": tags})))
}

pub(super) fn referrers(exchange: &Exchange, repository: &Repository, subject: &str) -> Answer {
    match exchange.behaviour.referrers {
        Referrers::Served => {}
        Referrers::Unsupported => return Answer::new(404).body("404 page not found\n"),
        Referrers::Status(status) => return Answer::refusal(status),
    }
    let Ok(subject) = subject.parse::<Digest>() else {
        return Answer::error(400, "DIGEST_INVALID", "the digest is not valid");
    };
    let filter = exchange.query.get("artifactType");
    let store = exchange.shared.store();
    let documents = store.shelves.get(repository).into_iter();
    let entries = documents
        .flat_map(|shelf| shelf.manifests.values())
        .filter_map(|document| entry(document, &subject))
        .filter(|entry| filter.is_none_or(|wanted| entry["artifactType"] == wanted))
        .collect();
    let (entries, link) = page(exchange, entries, |entry: &Value| {
        entry["digest"].as_str().unwrap_or_default()
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": entries,
    });
    let answer = Answer::new(200)
        .json(&index)
        .header("content-type", &media_type::OCI_INDEX);
    let answer = match filter {
        Some(_) => answer.header("oci-filters-applied", &"artifactType"),
        None => answer,
    };
    link.applied(answer)
}

/// The descriptor of `document` in the list of those that refer to `subject`, if it does.
fn entry(document: &Document, subject: &Digest) -> Option<Value> {
    let descriptor = &document.descriptor;
    let manifest = Manifest::parse(&document.bytes, &descriptor.media_type).ok()?;
    if manifest.subject?.digest != *subject {
        return None;
    }
    let mut entry = json!({
        "mediaType": &*descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    });
    if let Some(artifact_type) = manifest.artifact_type {
        entry["artifactType"] = artifact_type.into();
    }
    let document: Value = serde_json::from_slice(&document.bytes).ok()?;
    if let Some(annotations) = document.get("annotations") {
        entry["annotations"] = annotations.clone();
    }
    Some(entry)
}

/// The `Link` header of a page, if another one follows.
struct Link(Option<String>);

impl Link {
    fn applied(self, answer: Answer) -> Answer {
        match self.0 {
            Some(url) => answer.header("link", &format!("<{url}>; rel=\"next\"")),
            None => answer,
        }
    }
}

/// The part of `entries` that the request asks for, behind the entry called `last`.
fn page<T>(exchange: &Exchange, mut entries: Vec<T>, name: impl Fn(&T) -> &str) -> (Vec<T>, Link) {
    let asked = exchange.query.get("n").and_then(|n| n.parse().ok());
    let size = asked
        .unwrap_or(usize::MAX)
        .min(exchange.behaviour.page_size_max);
    if let Some(last) = exchange.query.get("last") {
        entries.retain(|entry| name(entry) > last);
    }
    let goes_on = entries.len() > size;
    entries.truncate(size);
    let last = entries.last().map(name).unwrap_or_default();
    let link = next(exchange, size, last).filter(|_| goes_on);
    (entries, Link(link))
}

fn next(exchange: &Exchange, size: usize, last: &str) -> Option<String> {
    let path = &exchange.path;
    let next = format!("{path}?n={size}&last={last}");
    match &exchange.behaviour.paging {
        Paging::Relative => Some(next),
        Paging::Absolute => Some(format!("{}{next}", exchange.shared.url())),
        Paging::Elsewhere(base) => Some(format!("{base}{next}")),
        Paging::Loop => {
            let last = exchange.query.get("last").unwrap_or_default();
            Some(format!("{path}?n={size}&last={last}"))
        }
        Paging::Silent => None,
    }
}
