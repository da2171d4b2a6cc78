//! The generator keeps its own promises: valid, complete, varied, and the same for the same seed.

use std::collections::BTreeSet;

use airlift::content::{Document, fetch_document};
use airlift::oci::{Algorithm, Digest, Pin, Repository, media_type};
use reqwest::{Client, StatusCode};

use super::*;
use crate::support::real::DockerRegistry;
use crate::support::registry::Registry;

#[test]
fn the_same_seed_gives_the_same_graph() {
    for seed in 0..8 {
        let [first, second] = [(); 2].map(|()| arbitrary_graph(seed));
        assert_eq!(first.memory.snapshot(), second.memory.snapshot());
        assert_eq!(first.roots, second.roots);
    }
}

#[test]
fn every_content_has_its_digest_and_every_root_is_there() {
    for seed in 0..64 {
        let graph = arbitrary_graph_of(seed, Mix::ALL.small());
        let (_, contents) = graph.memory.snapshot();
        for ((_, digest), bytes) in &contents {
            assert_eq!(
                *digest,
                Digest::of(digest.algorithm(), bytes),
                "seed {seed}"
            );
        }
        for root in &graph.roots {
            let key = (root.repository.clone(), root.digest.clone());
            assert!(contents.contains_key(&key), "seed {seed}");
        }
    }
}

#[test]
fn all_tags_are_complete() {
    for seed in 0..64 {
        let graph = arbitrary_graph_of(seed, Mix::ALL.small());
        let registry = Registry::start();
        registry.seed(&graph.memory);
        assert_eq!(registry.missing_content(), [""; 0], "seed {seed}");
    }
}

#[test]
fn the_mix_is_rich() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let graph = arbitrary_graph_of(seed, Mix::ALL.small());
        let (tags, contents) = graph.memory.snapshot();
        let repositories: BTreeSet<_> = contents.keys().map(|(name, _)| name).collect();
        seen.extend((repositories.len() > 1).then_some("several repositories"));
        for ((_, digest), bytes) in &contents {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES)]);
            seen.extend((digest.algorithm() == Algorithm::Sha512).then_some("sha512"));
            seen.extend(bytes.is_empty().then_some("zero bytes"));
            seen.extend(
                FEATURES
                    .into_iter()
                    .filter(|feature| text.contains(feature)),
            );
        }
        let cosign = tags
            .keys()
            .any(|(_, tag)| tag.as_str().starts_with("sha256-"));
        seen.extend(cosign.then_some("cosign tag"));
    }
    let expected = FEATURES.len() + 4;
    assert_eq!(seen.len(), expected, "{seen:?}");
}

#[tokio::test]
async fn the_fake_takes_everything() {
    for seed in 0..20 {
        let graph = arbitrary_graph_of(seed, Mix::ALL.small());
        let registry = Registry::start();
        push(&registry.url(), &graph).await;
        let (_, contents) = registry.snapshot();
        assert_eq!(contents, graph.memory.snapshot().1, "seed {seed}");
    }
}

#[tokio::test]
async fn docker_registry_takes_its_mix() {
    let Some(registry) = DockerRegistry::start_or_skip() else {
        return;
    };
    let url = format!("http://{}", registry.address());
    for seed in 0..3 {
        let graph = arbitrary_graph_of(seed, Mix::DOCKER_REGISTRY.small());
        push(&url, &graph).await;
        assert_served(&url, &graph).await;
    }
}

/// Reads everything back, as a blob or as a manifest.
async fn assert_served(url: &str, graph: &Graph) {
    let client = Client::builder().no_proxy().build().unwrap();
    for ((repository, digest), bytes) in graph.memory.snapshot().1 {
        let mut found = Vec::new();
        for kind in ["blobs", "manifests"] {
            let url = format!("{url}/v2/{repository}/{kind}/{digest}");
            let types = media_type::MANIFESTS.join(", ");
            let request = client.get(url).header("accept", types);
            let response = request.send().await.unwrap();
            if response.status() == StatusCode::OK {
                found.push(response.bytes().await.unwrap());
            }
        }
        assert!(found.contains(&bytes), "{graph:?}: {digest}");
    }
}

/// Pushes all of `graph` by digest to the registry at `url`, children before parents.
async fn push(url: &str, graph: &Graph) {
    let client = Client::builder().no_proxy().build().unwrap();
    let (_, contents) = graph.memory.snapshot();
    let mut manifests = Vec::new();
    for ((repository, digest), bytes) in contents {
        let pin = Pin::Digest(digest.clone());
        match fetch_document(&*graph.memory, &repository, &pin).await {
            Ok(document) => manifests.push((repository, document)),
            Err(_) => push_blob(&client, url, &repository, &digest, bytes).await,
        }
    }
    while !manifests.is_empty() {
        let before = manifests.len();
        let mut refusals = String::new();
        let mut refused = Vec::new();
        for (repository, document) in manifests {
            if let Err(refusal) = push_manifest(&client, url, &repository, &document).await {
                refusals.push_str(&refusal);
                refused.push((repository, document));
            }
        }
        manifests = refused;
        assert!(manifests.len() < before, "seed {}: {refusals}", graph.seed);
    }
}

async fn push_blob(
    client: &Client,
    url: &str,
    repository: &Repository,
    digest: &Digest,
    bytes: bytes::Bytes,
) {
    let start = format!("{url}/v2/{repository}/blobs/uploads/");
    let opened = client.post(start).send().await.unwrap();
    let session = opened.headers()["location"].to_str().unwrap();
    let separator = if session.contains('?') { '&' } else { '?' };
    let end = format!("{session}{separator}digest={digest}");
    let stored = client.put(end).body(bytes).send().await.unwrap();
    assert_eq!(stored.status(), StatusCode::CREATED, "{digest}");
}

/// What the registry said, where it did not take the manifest.
async fn push_manifest(
    client: &Client,
    url: &str,
    repository: &Repository,
    document: &Document,
) -> Result<(), String> {
    let descriptor = &document.descriptor;
    let request = client
        .put(format!(
            "{url}/v2/{repository}/manifests/{}",
            descriptor.digest
        ))
        .header("content-type", &*descriptor.media_type)
        .body(document.bytes.clone());
    let response = request.send().await.unwrap();
    if response.status() == StatusCode::CREATED {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&document.bytes);
    Err(format!("{}\n{text}\n", response.text().await.unwrap()))
}

/// Manifests of these graphs are shorter, most blobs are longer.
const TEXT_BYTES: usize = 8 << 10;

const FEATURES: [&str; 9] = [
    "\"subject\"",
    "\"data\"",
    "\"urls\"",
    "\"layers\":[]",
    "\"manifests\":[]",
    "vnd.docker.distribution.manifest.v2+json",
    "vnd.docker.distribution.manifest.list.v2+json",
    "\"artifactType\"",
    "x-unknown-field",
];
