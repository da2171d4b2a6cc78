//! Import of export of G equals G, for every G; and the bytes depend on nothing but the plan.

use std::path::Path;

use proptest::prelude::*;
use tempfile::tempdir;
use tokio::runtime::{Builder, Runtime};

use super::road::{Export, Profile, files_in, import, trust, verify};
use super::warped::Warped;
use crate::support::artifacts::{Graph, Mix, arbitrary_graph, arbitrary_graph_of, graphs};
use crate::support::snapshot::assert_same;

const KEYS: [&str; 2] = ["snakeoil-ed25519", "snakeoil-p256"];

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Exports, verifies and imports, and compares everything.
fn check_round_trip(graph: &Graph, profile: Profile, volume_size: Option<u64>) {
    let directory = tempdir().expect("a directory");
    runtime().block_on(async {
        let mut export = Export::of(graph).signed(&KEYS);
        export.profile = profile;
        export.volume_size = volume_size;
        if export.plan().await.unwrap().is_none() {
            // Manifests alone are larger than such a volume.
            return;
        }
        export.run(directory.path()).await.unwrap();
        let policy = trust(&KEYS);
        for verification in verify(directory.path(), &policy).await.unwrap() {
            assert_eq!(verification.faults, [], "{graph:?}");
            assert_eq!(verification.frames_not_made_again, 0);
        }
        let target = import(directory.path(), &policy).await.unwrap();
        assert_same(&target.snapshot(), &graph.memory.snapshot());
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_was_exported_comes_back(
        graph in graphs(Mix::ALL.small()),
        is_guard in any::<bool>(),
        volume_size in prop_oneof![Just(None), (60_000_u64..600_000).prop_map(Some)],
    ) {
        let profile = if is_guard { Profile::Guard } else { Profile::Plain };
        check_round_trip(&graph, profile, volume_size);
    }
}

#[test]
fn large_blobs_cross_frames_and_volumes() {
    let graph = with_large_blobs();
    for profile in [Profile::Plain, Profile::Guard] {
        check_round_trip(&graph, profile, None);
        check_round_trip(&graph, profile, Some(5 << 20));
    }
}

/// The first graph that has a blob of several frames.
fn with_large_blobs() -> Graph {
    let has_large = |graph: &Graph| {
        let (_, contents) = graph.memory.snapshot();
        contents.values().any(|bytes| bytes.len() > 8 << 20)
    };
    (0..1000)
        .map(arbitrary_graph)
        .find(has_large)
        .expect("some graph has one")
}

/// The files of an unsigned export whose source is late in a way that `seed` decides.
fn exported_bytes(graph: &Graph, seed: u64, threads: usize) -> Vec<(String, Vec<u8>)> {
    let directory = tempdir().expect("a directory");
    let source = Warped::late(&graph.memory, seed);
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let export = Export::new(source, &graph.roots).volumes_of(900_000);
        export.run(directory.path()).await.unwrap();
    });
    files_in(directory.path())
}

#[test]
fn the_bytes_do_not_depend_on_what_answers_first() {
    for seed in 0..6 {
        let graph = arbitrary_graph_of(seed, Mix::ALL.small());
        let first = exported_bytes(&graph, 1, 1);
        assert!(!first.is_empty());
        for (late, threads) in [(2, 1), (3, 2), (4, 4)] {
            let again = exported_bytes(&graph, late, threads);
            assert!(first == again, "{graph:?}: another order, other bytes");
        }
    }
}

#[test]
fn an_equal_bundle_that_is_there_ends_the_export() {
    let graph = arbitrary_graph_of(1, Mix::ALL.small());
    let directory = tempdir().expect("a directory");
    let run = |directory: &Path| {
        let export = Export::of(&graph).signed(&KEYS).volumes_of(900_000);
        runtime().block_on(export.run(directory)).unwrap()
    };
    let first = run(directory.path());
    let before = files_in(directory.path());
    let second = run(directory.path());
    assert!(!first.is_unchanged && second.is_unchanged);
    assert_eq!(second.moved_bytes, 0);
    assert_eq!(first.volumes, second.volumes);
    assert!(before == files_in(directory.path()));
}
