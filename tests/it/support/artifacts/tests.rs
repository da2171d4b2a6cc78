//! The generator keeps its own promises: valid, complete, varied, and the same for the same seed.

use std::collections::BTreeSet;

use airlift::oci::{Algorithm, Digest};

use super::*;
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
            let text = String::from_utf8_lossy(bytes);
            seen.extend((digest.algorithm() == Algorithm::Sha512).then_some("sha512"));
            seen.extend(bytes.is_empty().then_some("zero bytes"));
            seen.extend(
                FEATURES
                    .into_iter()
                    .filter(|feature| text.contains(feature)),
            );
        }
        let cosign = tags.keys().any(|(_, tag)| tag.as_str().ends_with(".sig"));
        seen.extend(cosign.then_some("cosign tag"));
    }
    let expected = FEATURES.len() + 4;
    assert_eq!(seen.len(), expected, "{seen:?}");
}

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
