//! Import of export of G is G, for random graphs, with and without the referrers API at either end.

use std::collections::{BTreeMap, BTreeSet};

use airlift::content::{Document, Source};
use airlift::oci::{Digest, Manifest, Repository, media_type};

use super::Journey;
use super::journey::{put_lookup_tables, references, referrers_of};
use crate::support::artifacts::{Graph, Mix, arbitrary_graph_of};
use crate::support::registry::{Referrers, Registry};
use crate::support::snapshot::{Snapshot, assert_same, without_lookup_tables};

const GRAPHS: u64 = 40;

/// A registry that holds the graph, and finds referrers in one way or the other.
pub(crate) fn source_of(graph: &Graph, referrers: Referrers) -> Registry {
    let registry = Registry::with(|behaviour| behaviour.referrers = referrers);
    registry.seed(&graph.memory);
    if referrers == Referrers::Unsupported {
        put_lookup_tables(&registry);
    }
    registry
}

/// Fails unless `target` holds what the graph holds, nothing else, and finds every referrer.
pub(crate) async fn assert_arrived(journey: &Journey, graph: &Graph, target: &Registry) {
    let expected = graph.memory.snapshot();
    target.assert_no_violation();
    assert_eq!(target.missing_content(), [""; 0], "{graph:?}");
    assert_same(&without_tables(&target.snapshot(), &expected), &expected);
    assert_referrers_are_listed(journey, &expected, target).await;
}

/// `found` without the lookup tables of the referrers tag schema, those that were merged over included.
pub(crate) fn without_tables(found: &Snapshot, expected: &Snapshot) -> Snapshot {
    let (tags, mut contents) = without_lookup_tables(found);
    let referrers = referrers_of(expected);
    contents.retain(|key, bytes| expected.1.contains_key(key) || !is_table(&referrers, bytes));
    (tags, contents)
}

/// An index of nothing but referrers of one subject.
fn is_table(referrers: &BTreeMap<(Repository, Digest), Vec<Document>>, bytes: &[u8]) -> bool {
    let Ok(index) = Manifest::parse(bytes, media_type::OCI_INDEX) else {
        return false;
    };
    let is_listed = |documents: &Vec<Document>| {
        let digests = documents.iter().map(|document| &document.descriptor.digest);
        let digests: BTreeSet<&Digest> = digests.collect();
        let mut children = index.children.iter();
        children.all(|child| digests.contains(&child.descriptor.digest))
    };
    !index.children.is_empty() && referrers.values().any(is_listed)
}

async fn assert_referrers_are_listed(journey: &Journey, expected: &Snapshot, target: &Registry) {
    let client = journey.connections().registry(&target.address()).unwrap();
    for ((repository, subject), documents) in referrers_of(expected) {
        let found = client.referrers(&repository, &subject).await.unwrap();
        let found: BTreeSet<Digest> = found.into_iter().map(|r| r.descriptor.digest).collect();
        let wanted: BTreeSet<Digest> = documents
            .into_iter()
            .map(|document| document.descriptor.digest)
            .collect();
        assert_eq!(found, wanted, "referrers of `{subject}` in `{repository}`");
    }
}

async fn round_trip(seed: u64, at_source: Referrers, at_target: Referrers) {
    eprintln!("seed {seed}, {at_source:?} to {at_target:?}");
    let graph = arbitrary_graph_of(seed, Mix::ALL.small());
    let source = source_of(&graph, at_source);
    let target = Registry::with(|behaviour| behaviour.referrers = at_target);
    let mut journey = Journey::new();
    journey.reads_back = true;
    journey.export(&references(&source, &graph)).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    assert_arrived(&journey, &graph, &target).await;
    assert_eq!(target.open_sessions(), 0, "{graph:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_referrers_api_at_both_ends() {
    for seed in 0..GRAPHS {
        round_trip(seed, Referrers::Served, Referrers::Served).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_referrers_api_at_the_source() {
    for seed in 0..GRAPHS {
        round_trip(seed, Referrers::Served, Referrers::Unsupported).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_referrers_api_at_the_target() {
    for seed in 0..GRAPHS {
        round_trip(seed, Referrers::Unsupported, Referrers::Served).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_referrers_api() {
    for seed in 0..GRAPHS {
        round_trip(seed, Referrers::Unsupported, Referrers::Unsupported).await;
    }
}

/// Large blobs travel in several pieces each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_large_blobs() {
    let has_large = |graph: &Graph| {
        let (_, contents) = graph.memory.snapshot();
        contents.values().any(|bytes| bytes.len() > 8 << 20)
    };
    let seeds = (0..).filter(|seed| has_large(&arbitrary_graph_of(*seed, Mix::ALL)));
    for seed in seeds.take(2) {
        eprintln!("seed {seed}");
        let graph = arbitrary_graph_of(seed, Mix::ALL);
        let source = source_of(&graph, Referrers::Served);
        let target = Registry::start();
        let journey = Journey::new();
        journey.export(&references(&source, &graph)).await.unwrap();
        journey.import(&target.address()).await.unwrap();
        assert_arrived(&journey, &graph, &target).await;
    }
}
