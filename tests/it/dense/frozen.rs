//! Bundles of version 2 that were once written: they import for ever, to the same digests, and a repair of what one of
//! them counts on too.
//!
//! They are made where `AIRLIFT_WRITE_FIXTURES` is set, and never over what is there.

use std::fs;
use std::path::{Path, PathBuf};

use airlift::bundle::{MEDIA_TYPE_2, verify_volume};
use airlift::pipeline::open_volumes;

use super::bases::{base, move_tag, references, repository};
use super::world::{Thin, World, missing_of};
use crate::road::trust;
use crate::support::containers::places;

/// In the order in which they were made.
const BUNDLES: [&str; 3] = ["first.tar.zst", "delta.tar.zst", "repair.tar.zst"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/frozen/v2")
}

fn bundle(number: usize) -> PathBuf {
    fixtures().join(BUNDLES[number])
}

/// Writes the bundles of this format version.
async fn freeze() {
    let world = World::new();
    let keep = |number: usize| {
        fs::copy(world.newest(), bundle(number)).unwrap();
    };
    fs::create_dir_all(fixtures()).unwrap();
    move_tag(&world, 0);
    world.travel(&references(&world), Thin::Delta).await;
    keep(0);
    move_tag(&world, 1);
    let references = references(&world);
    world.export(&references, Thin::Delta).await.unwrap();
    keep(1);
    world.target.forget(&repository(), &base());
    world.import_newest().await.map(drop).unwrap_err();
    let missing = world.missing_list();
    world.repair(&references, &missing).await.unwrap();
    keep(2);
}

async fn frozen() {
    if std::env::var_os("AIRLIFT_WRITE_FIXTURES").is_some() && !fixtures().exists() {
        freeze().await;
    }
}

fn digests(world: &World) -> String {
    let (tags, contents) = world.target.snapshot();
    let tags = tags.iter();
    let mut lines: Vec<String> = tags
        .map(|((name, tag), digest)| format!("{name}:{tag} {digest}"))
        .collect();
    lines.extend(
        contents
            .keys()
            .map(|(name, digest)| format!("{name} {digest}")),
    );
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_bundles_of_version_2_import_to_the_same_digests() {
    frozen().await;
    let world = World::new();
    for number in [0, 1] {
        world.import_from(&bundle(number)).await.unwrap();
    }
    assert_eq!(world.target.missing_content(), [""; 0]);
    insta::assert_snapshot!("frozen", digests(&world));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_repair_brings_what_a_frozen_delta_misses() {
    frozen().await;
    let world = World::new();
    world.import_from(&bundle(0)).await.unwrap();
    world.target.forget(&repository(), &base());
    let error = world.import_from(&bundle(1)).await.map(drop).unwrap_err();
    let missing = missing_of(&error).expect("it says what is missing");
    assert_eq!(missing.missing[0].digest, base());
    world.import_from(&bundle(2)).await.unwrap();
    world.import_from(&bundle(1)).await.unwrap();
    assert_eq!(world.target.missing_content(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_bundles_of_version_2_verify_and_say_what_they_are() {
    frozen().await;
    let (volumes, refused) = open_volumes(&places(&fixtures()).await.unwrap(), &trust())
        .await
        .unwrap();
    assert!(refused.is_empty(), "{}", refused[0].name);
    assert_eq!(volumes.len(), BUNDLES.len());
    for volume in &volumes {
        // Whoever reads only version 1 compares this text, and refuses by it.
        assert_eq!(volume.inventory().media_type, MEDIA_TYPE_2);
        let verified = verify_volume(volume, &|_| {}).await.unwrap();
        assert_eq!(verified.faults, []);
    }
}
