//! Bundles of several volumes: sizes that are kept, any order of arrival, and damage that stays where it is.

use std::fs;
use std::path::{Path, PathBuf};

use airlift::bundle::NAME_LENGTH_MAX;
use airlift::content::ErrorKind;
use airlift::pipeline::open_bundles;
use proptest::prelude::*;
use tempfile::{TempDir, tempdir};
use tokio::runtime::{Builder, Runtime};

use crate::bundle::road::{
    Export, Profile, deliver, files_in, import, names_in, plan_imports, plan_opened, trust, verify,
};
use crate::support::artifacts::{Graph, Mix, arbitrary_graph_of, graphs};
use crate::support::command::{Output, airlift};
use crate::support::containers::places;
use crate::support::snapshot::assert_same;

const KEYS: [&str; 2] = ["snakeoil-ed25519", "snakeoil-p256"];
const VOLUME_BYTES: u64 = 200_000;

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A graph that fills several volumes, and the directory with them.
struct Volumes {
    graph: Graph,
    directory: TempDir,
    names: Vec<String>,
}

impl Volumes {
    fn new() -> Self {
        let graph = arbitrary_graph_of(1, Mix::ALL.small());
        let directory = tempdir().expect("a directory");
        let export = Export::of(&graph).signed(&KEYS).volumes_of(VOLUME_BYTES);
        let report = runtime().block_on(export.run(directory.path())).unwrap();
        let names: Vec<String> = report.volumes.into_iter().map(|v| v.object).collect();
        assert!(names.len() > 2, "several volumes");
        Self {
            graph,
            directory,
            names,
        }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.directory.path().join(&self.names[number])
    }

    fn ask(&self, command: &str) -> Output {
        let keys =
            KEYS.map(|key| format!("{}/fixtures/keys/{key}.pub", env!("CARGO_MANIFEST_DIR")));
        let directory = self.directory.path().display().to_string();
        airlift(&[
            command, &directory, "--trust", &keys[0], "--trust", &keys[1],
        ])
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// No volume is larger than asked for, whatever is in it, and whatever it tells of the past; and nobody gets more than they fit on.
    #[test]
    fn no_volume_is_larger_than_asked_for(
        graph in graphs(Mix::ALL.small()),
        is_guard in any::<bool>(),
        is_telling in any::<bool>(),
        size in prop_oneof![30_000_u64..150_000, 150_000_u64..2_000_000],
    ) {
        let directory = tempdir().expect("a directory");
        let mut export = Export::of(&graph).signed(&KEYS).volumes_of(size);
        if is_guard {
            export.profile = Profile::Guard;
        }
        if is_telling {
            export = export.telling();
        }
        let runtime = runtime();
        if runtime.block_on(export.plan()).unwrap().is_none() {
            // Manifests and lists alone need more than that.
            return Ok(());
        }
        let report = runtime.block_on(export.run(directory.path())).unwrap();
        for volume in &report.volumes {
            prop_assert!(volume.size_bytes <= size, "{} of {size}: {graph:?}", volume.size_bytes);
            prop_assert!(volume.object.len() <= NAME_LENGTH_MAX);
        }
        prop_assert_eq!(names_in(directory.path()).len(), report.volumes.len());
    }
}

#[test]
fn volumes_arrive_in_any_order() {
    let volumes = Volumes::new();
    let paths: Vec<PathBuf> = (0..volumes.names.len()).map(|n| volumes.path(n)).collect();
    let policy = trust(&KEYS);
    runtime().block_on(async {
        for turn in 0..paths.len() {
            let mut order = paths.clone();
            order.rotate_left(turn);
            if turn % 2 == 1 {
                order.reverse();
            }
            // One that is named twice is the same volume.
            order.push(order[0].clone());
            let mut named = Vec::new();
            for path in &order {
                named.extend(places(path).await.unwrap());
            }
            let opened = open_bundles(&named, &policy).await.unwrap();
            let plans = plan_opened(opened).await.unwrap();
            assert_eq!(plans.len(), 1);
            let target = std::sync::Arc::new(airlift::content::Memory::new());
            deliver(&plans[0], &target).await.unwrap();
            assert_same(&target.snapshot(), &volumes.graph.memory.snapshot());
        }
    });
}

#[test]
fn every_volume_verifies_alone() {
    let volumes = Volumes::new();
    for number in 0..volumes.names.len() {
        let verified = runtime().block_on(verify(&volumes.path(number), &trust(&KEYS)));
        assert_eq!(verified.unwrap()[0].faults, []);
    }
}

#[test]
fn of_a_damaged_volume_only_that_one_is_named() {
    let volumes = Volumes::new();
    for number in 0..volumes.names.len() {
        let path = volumes.path(number);
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[700] ^= 1;
        fs::write(&path, damaged).unwrap();
        let output = volumes.ask("verify");
        output.assert_code(4);
        for (other, name) in volumes.names.iter().enumerate() {
            let line = |line: &&str| line.contains(name.as_str());
            let said = output
                .stdout
                .lines()
                .find(line)
                .expect("every volume is named");
            let is_right = said.contains(": right");
            assert_eq!(is_right, other != number, "{}", output.stdout);
        }
        fs::write(&path, whole).unwrap();
    }
    volumes.ask("verify").assert_success();
}

#[test]
fn without_a_volume_nothing_is_delivered_and_the_missing_one_is_named() {
    let volumes = Volumes::new();
    let policy = trust(&KEYS);
    for number in 0..volumes.names.len() {
        let path = volumes.path(number);
        let aside = path.with_extension("aside");
        fs::rename(&path, &aside).unwrap();
        let planned = runtime().block_on(plan_imports(volumes.directory.path(), &policy));
        let error = planned.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete);
        let said = airlift::content::describe(&error);
        assert!(
            said.ends_with(&format!("one is missing: {}", number + 1)),
            "{said}"
        );
        fs::rename(&aside, &path).unwrap();
    }
}

#[test]
fn inspect_shows_what_is_there_when_volumes_are_missing() {
    let volumes = Volumes::new();
    fs::remove_file(volumes.path(1)).unwrap();
    let output = volumes.ask("inspect");
    let all = [output.stdout.as_str(), &output.stderr].concat();
    let of = volumes.names.len();
    assert!(all.contains(&format!("{} of {of} here", of - 1)), "{all}");
    let last = volumes.graph.roots.iter().find(|root| root.tag.is_some());
    let root = last.expect("some root has a tag");
    assert!(all.contains(root.repository.as_str()), "{all}");
}

#[test]
fn only_a_damaged_volume_is_brought_again() {
    let volumes = Volumes::new();
    let policy = trust(&KEYS);
    let good = fs::read(volumes.path(0)).unwrap();
    let mut damaged = good.clone();
    damaged.truncate(good.len() - 100);
    fs::write(volumes.path(0), damaged).unwrap();
    runtime().block_on(async {
        let broken = import(volumes.directory.path(), &policy).await;
        assert_eq!(broken.map(drop).unwrap_err().kind(), ErrorKind::Incomplete);
        fs::write(volumes.path(0), good).unwrap();
        let target = import(volumes.directory.path(), &policy).await.unwrap();
        assert_same(&target.snapshot(), &volumes.graph.memory.snapshot());
    });
}

/// The same plan at the same time under two names: two bundles, and not one with a volume too many.
#[test]
fn equal_bundles_of_two_names_are_kept_apart() {
    let volumes = Volumes::new();
    let directory: &Path = volumes.directory.path();
    runtime().block_on(async {
        let mut other = Export::of(&volumes.graph)
            .signed(&KEYS)
            .volumes_of(VOLUME_BYTES);
        other.name = "other";
        other.run(directory).await.unwrap();
        assert_eq!(files_in(directory).len(), 2 * volumes.names.len());
        let plans = plan_imports(directory, &trust(&KEYS)).await.unwrap();
        assert_eq!(plans.len(), 2);
        let target = import(directory, &trust(&KEYS)).await.unwrap();
        assert_same(&target.snapshot(), &volumes.graph.memory.snapshot());
    });
}
