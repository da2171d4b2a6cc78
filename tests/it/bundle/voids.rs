//! Blobs that fail in the middle of an export: a void in the bundle, or no bundle at all.

use std::path::Path;
use std::sync::Arc;

use airlift::content::{Memory, describe};
use airlift::oci::Digest;
use tempfile::tempdir;

use super::road::{Export, import, names_in, plan_imports, trust, verify};
use super::round_trip::runtime;
use super::warped::{Warp, Warped};
use crate::support::artifacts::{Dice, Root, image};

const KEYS: [&str; 1] = ["snakeoil-p256"];
const LAYER_BYTES: usize = 200_000;

/// Two images with a layer of their own, and one that they share.
struct TwoImages {
    memory: Arc<Memory>,
    roots: Vec<Root>,
    /// The layer that only `apps/bad:1` has.
    layer: Digest,
}

fn two_images() -> TwoImages {
    let memory = Memory::new();
    let mut dice = Dice::new(7);
    let shared = dice.noise(5000);
    let mut roots = Vec::new();
    let mut layer = None;
    for name in ["apps/bad", "apps/good"] {
        let repository = name.parse().expect("a repository name");
        let own = dice.noise(LAYER_BYTES);
        layer.get_or_insert(Digest::sha256(&own));
        let document = image(&memory, &repository, "amd64", &[&own, &shared]);
        let tag = "1".parse().expect("a tag");
        memory.put_manifest(&repository, document.clone(), Some(&tag));
        roots.push(Root {
            repository,
            tag: Some(tag),
            digest: document.descriptor.digest,
        });
    }
    TwoImages {
        memory: Arc::new(memory),
        roots,
        layer: layer.expect("two layers were made"),
    }
}

const WARPS: [Warp; 7] = [
    Warp::Refused,
    Warp::BrokenAt(0),
    Warp::BrokenAt(100_000),
    Warp::EndsAt(150_000),
    Warp::Flipped(0),
    Warp::Flipped(199_999),
    Warp::TooLong,
];

fn export(world: &TwoImages, warp: Warp) -> Export<'_> {
    let source = Warped::at(&world.memory, &world.layer, warp);
    Export::new(source, &world.roots).signed(&KEYS)
}

#[test]
fn without_permission_to_go_on_a_failure_publishes_nothing() {
    let world = two_images();
    for warp in WARPS {
        for volume_size in [None, Some(150_000)] {
            let directory = tempdir().expect("a directory");
            let mut export = export(&world, warp);
            export.volume_size = volume_size;
            let failed = runtime().block_on(export.run(directory.path()));
            let error = failed.expect_err("the layer cannot be had");
            assert!(!describe(&error).is_empty());
            assert_eq!(names_in(directory.path()), [""; 0], "{warp:?}");
        }
    }
}

#[test]
fn with_it_everything_else_is_in_the_bundle() {
    let world = two_images();
    for warp in WARPS {
        for volume_size in [None, Some(150_000)] {
            check_rest_is_there(&world, warp, volume_size);
        }
    }
}

fn check_rest_is_there(world: &TwoImages, warp: Warp, volume_size: Option<u64>) {
    let directory = tempdir().expect("a directory");
    let mut export = export(world, warp).continue_on_errors();
    export.volume_size = volume_size;
    let runtime = runtime();
    let report = runtime.block_on(export.run(directory.path())).unwrap();
    assert_eq!(report.exported, [1], "{warp:?}");
    assert_eq!(report.failures[0].0, "source.example/apps/bad:1");
    runtime.block_on(async {
        let policy = trust(&KEYS);
        let verified = verify(directory.path(), &policy).await.unwrap();
        assert!(verified.iter().all(|volume| volume.faults.is_empty()));
        check_imported(world, directory.path()).await;
    });
}

async fn check_imported(world: &TwoImages, directory: &Path) {
    let imported = import(directory, &trust(&KEYS)).await.unwrap();
    let (tags, contents) = imported.snapshot();
    let names: Vec<String> = tags
        .keys()
        .map(|(name, tag)| format!("{name}:{tag}"))
        .collect();
    assert_eq!(names, ["apps/good:1"]);
    assert!(contents.keys().all(|(_, digest)| *digest != world.layer));
    assert!(
        contents
            .keys()
            .all(|(name, _)| name.as_str() == "apps/good")
    );
}

/// A piece is handed on only when the next one is there, so this void begins with real bytes.
#[test]
fn a_blob_that_breaks_in_its_middle_is_a_void_with_the_reason() {
    let memory = Memory::new();
    let large = Dice::new(3).noise(13 << 20);
    let repository = "apps/bad".parse().expect("a repository name");
    let bad = image(&memory, &repository, "amd64", &[&large]);
    let good = image(&memory, &repository, "arm64", &[b"fine"]);
    let roots = [("bad", bad), ("good", good)].map(|(tag, document)| Root {
        repository: repository.clone(),
        tag: tag.parse().ok(),
        digest: document.descriptor.digest,
    });
    let layer = Digest::sha256(&large);
    let source = Warped::at(&Arc::new(memory), &layer, Warp::BrokenAt(10 << 20));
    let directory = tempdir().expect("a directory");
    runtime().block_on(async {
        let export = Export::new(source, &roots).signed(&KEYS);
        export
            .continue_on_errors()
            .run(directory.path())
            .await
            .unwrap();
        let policy = trust(&KEYS);
        let verified = verify(directory.path(), &policy).await.unwrap();
        assert_eq!((verified[0].faults.len(), verified[0].voids), (0, 1));
        let plan = plan_imports(directory.path(), &policy)
            .await
            .unwrap()
            .remove(0);
        let void = &plan.bundle.inventory().voids[0];
        assert_eq!((&void.digest, void.size), (&layer, 13 << 20));
        assert!(void.reason.contains("the connection broke"));
        assert_eq!(plan.plan.artifacts.len(), 1);
        let (tags, _) = import(directory.path(), &policy).await.unwrap().snapshot();
        assert_eq!(tags.len(), 1);
    });
}

#[test]
fn an_export_of_which_nothing_is_whole_publishes_nothing() {
    let world = two_images();
    let directory = tempdir().expect("a directory");
    let source = Warped::at(&world.memory, &world.layer, Warp::Refused);
    let export = Export::new(source, &world.roots[..1]).continue_on_errors();
    let error = runtime()
        .block_on(export.run(directory.path()))
        .unwrap_err();
    assert!(describe(&error).contains("the source is tired"), "{error}");
    assert_eq!(names_in(directory.path()), [""; 0]);
}
