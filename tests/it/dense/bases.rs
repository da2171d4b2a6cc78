//! Bases that are not what the exporter thinks: nothing is published, what is missing is told, and a repair that brings
//! exactly that lets the bundle in.

use std::path::Path;

use airlift::content::{Error, ErrorKind, Memory, describe};
use airlift::history::Basis;
use airlift::oci::{Digest, Repository};
use airlift::pipeline::MissingContents;

use super::world::{Thin, World, missing_of};
use crate::support::artifacts::{Dice, edit, gzip, image, tar_of};

pub(super) fn repository() -> Repository {
    "apps/web".parse().unwrap()
}

/// A layer in one of its versions; each is edited from the one before.
pub(super) fn layer(version: u64) -> Vec<u8> {
    let mut plain = tar_of(&mut Dice::new(5), 8, 20_000);
    for number in 1..=version {
        edit(&mut Dice::new(number), &mut plain);
    }
    gzip(&plain, 6)
}

/// Moves the tag to the image whose layer has this version.
pub(super) fn move_tag(world: &World, version: u64) {
    let memory = Memory::new();
    let document = image(&memory, &repository(), "amd64", &[&layer(version)]);
    let tag = "1.4".parse().unwrap();
    memory.put_manifest(&repository(), document, Some(&tag));
    world.source.seed(&memory);
}

pub(super) fn references(world: &World) -> Vec<String> {
    vec![format!("{}/{}:1.4", world.source.address(), repository())]
}

/// Digest of the layer that the target has, and that the next one is described by.
pub(super) fn base() -> Digest {
    Digest::sha256(&layer(0))
}

/// The target has the first version and has said so, and a delta to the second is in the container.
async fn with_delta() -> World {
    let world = World::new();
    move_tag(&world, 0);
    world.travel(&references(&world), Thin::Delta).await;
    move_tag(&world, 1);
    world
        .export(&references(&world), Thin::Delta)
        .await
        .unwrap();
    world
}

/// Imports the bundle, which must not come in; says why.
async fn refuse(world: &World, path: &Path) -> Error {
    let before = world.target.snapshot();
    let error = world.import_from(path).await.map(drop).unwrap_err();
    let after = world.target.snapshot();
    assert_eq!(after.0, before.0, "tags have moved");
    let manifests = |contents: &crate::support::snapshot::Contents| {
        let texts = contents.values().filter(|it| it.starts_with(b"{\"schema"));
        texts.count()
    };
    assert_eq!(manifests(&after.1), manifests(&before.1));
    world.assert_spool_is_empty();
    error
}

fn assert_misses_the_base(missing: &MissingContents) {
    let content = match missing.missing.as_slice() {
        [content] => content,
        other => panic!("{other:?}"),
    };
    assert_eq!(content.digest, base());
    assert_eq!(content.size, layer(0).len() as u64);
    assert_eq!(content.repositories, [repository()]);
    assert_eq!(content.sequence, Some(1));
    assert_eq!(missing.sequence, Some(2));
    assert_eq!(missing.pipeline.as_deref(), Some("plant"));
}

/// What was done to the base; then the whole way back to a target that has the second version.
async fn check_base(harm: impl Fn(&World)) {
    let world = with_delta().await;
    harm(&world);
    let delta = world.newest();
    // Again and again, and the list is always the same.
    for _ in 0..2 {
        let error = refuse(&world, &delta).await;
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        assert_misses_the_base(missing_of(&error).expect("it says what is missing"));
        let list = world.missing_list();
        assert_misses_the_base(&list);
        assert_eq!(list.lane.as_deref(), Some("north"));
    }
    let list = world.missing_list();
    let report = world.repair(&references(&world), &list).await.unwrap();
    assert_eq!(report[0].moved_bytes, layer(0).len() as u64);
    let repair = world.newest();
    for _ in 0..2 {
        world.import_from(&repair).await.unwrap();
    }
    world.import_from(&delta).await.unwrap();
    assert!(world.missing_lists().is_empty(), "it is fulfilled");
    world.target.assert_no_violation();
    assert_eq!(world.target.missing_content(), [""; 0]);
    assert_eq!(world.target.snapshot().0, world.source.snapshot().0);
    world.bring_receipts(&world.receipts()).await.unwrap();
    let lane = world.near_ledger().await.list_lanes().await.unwrap();
    let lane = lane.first().unwrap();
    assert_eq!(
        (lane.confirmed, &*lane.missing, lane.missing_contents),
        (Some(3), &[][..], 0)
    );
    // And the lane goes on with what it has now.
    move_tag(&world, 2);
    world.travel(&references(&world), Thin::Delta).await;
    world.target.assert_no_violation();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_is_gone() {
    check_base(|world| world.target.forget(&repository(), &base())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_only_seems_to_be_there() {
    check_base(|world| world.target.lose(&repository(), &base())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_with_a_damaged_byte() {
    for place in [20, 400, layer(0).len() / 2, layer(0).len() - 3] {
        check_base(|world| {
            let mut bytes = layer(0);
            bytes[place] ^= 0x20;
            world.target.replace_blob(&repository(), &base(), bytes);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_is_something_else() {
    let size = layer(0).len();
    let others = [
        vec![7; size],
        gzip(&vec![0; 4 << 20], 9),
        layer(1),
        Vec::new(),
        layer(0)[..size / 2].to_vec(),
        [layer(0), vec![0; 600]].concat(),
    ];
    for other in others {
        check_base(|world| {
            let other = other.clone();
            world.target.replace_blob(&repository(), &base(), other);
        })
        .await;
    }
}

/// A base that stands where the lane has never been says the same as one that is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_of_somebody_else_is_missing() {
    let world = with_delta().await;
    let other: Repository = "other/place".parse().unwrap();
    world
        .target
        .put_blob(&other, "application/octet-stream", layer(0));
    world.target.forget(&repository(), &base());
    let elsewhere = refuse(&world, &world.newest()).await;
    world.target.forget(&other, &base());
    let nowhere = refuse(&world, &world.newest()).await;
    let text = |error: &Error| crate::road::text_of(error);
    assert_eq!(text(&elsewhere), text(&nowhere));
}

/// What this lane has not filled does not count, though its name is the right one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_another_lane_has_brought_is_missing() {
    let world = with_delta().await;
    std::fs::rename(world.far(), world.far().with_extension("of-another-lane")).unwrap();
    let error = refuse(&world, &world.newest()).await;
    let missing = missing_of(&error).expect("it says what is missing");
    // And the config, which is that of the first version.
    assert_eq!(missing.missing.len(), 2);
    assert!(missing.missing.iter().any(|it| it.digest == base()));
    let mut options = world.import_options();
    options.assumed_within.listed = vec!["apps/*".parse().unwrap()];
    world.import_with(&world.newest(), &options).await.unwrap();
}

/// Blobs that are left out whole are looked for as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_that_was_left_out_and_is_gone() {
    let world = World::new();
    move_tag(&world, 0);
    world.travel(&references(&world), Thin::Incremental).await;
    // The same layer below another tag.
    let memory = Memory::new();
    let document = image(&memory, &repository(), "arm64", &[&layer(0)]);
    let tag = "1.4".parse().unwrap();
    memory.put_manifest(&repository(), document, Some(&tag));
    world.source.seed(&memory);
    let references = references(&world);
    world.export(&references, Thin::Incremental).await.unwrap();
    world.target.forget(&repository(), &base());
    let bundle = world.newest();
    let error = refuse(&world, &bundle).await;
    assert_misses_the_base(missing_of(&error).expect("it says what is missing"));
    let list = world.missing_list();
    world.repair(&references, &list).await.unwrap();
    world.import_newest().await.unwrap();
    world.import_from(&bundle).await.unwrap();
    assert_eq!(world.target.missing_content(), [""; 0]);
}

/// What a repair has brought is lost again before the bundle that needs it comes in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_is_gone_again_is_brought_again() {
    let world = with_delta().await;
    let delta = world.newest();
    for round in 0..2 {
        world.target.forget(&repository(), &base());
        refuse(&world, &delta).await;
        let list = world.missing_list();
        world.repair(&references(&world), &list).await.unwrap();
        assert_eq!(world.objects().len(), 3 + round);
        world.import_newest().await.unwrap();
    }
    world.import_from(&delta).await.unwrap();
    assert_eq!(world.target.missing_content(), [""; 0]);
}

/// The list is a wish of the far side: what was never sent is not exported for it, and neither is it confirmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_wishes_for_what_was_never_sent() {
    let world = with_delta().await;
    world.target.forget(&repository(), &base());
    refuse(&world, &world.newest()).await;
    let list = world.missing_list();
    // The manifest was sent, and is no blob; the layer of the source was never sent.
    let secret = world
        .source
        .put_blob(&repository(), "text/plain", "a secret of the source");
    let (tags, _) = world.source.snapshot();
    let manifest = tags.values().next().unwrap().clone();
    let before = world.objects();
    for digest in [secret.digest, manifest] {
        let mut wish = list.clone();
        wish.missing[0].digest = digest;
        let error = world.repair(&references(&world), &wish).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
    for change in [
        |list: &mut MissingContents| list.pipeline = Some("other".to_owned()),
        |list: &mut MissingContents| list.lane = Some("south".to_owned()),
        |list: &mut MissingContents| list.missing.clear(),
    ] {
        let mut wish = list.clone();
        change(&mut wish);
        let error = world.repair(&references(&world), &wish).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
    assert_eq!(world.objects(), before);
}

/// Debian's registry is one of these. A receipt would make the next delta count on the same bytes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_keeps_damaged_bytes_is_told_and_nothing_is_confirmed() {
    let world = with_delta().await;
    let mut bytes = layer(0);
    bytes[400] ^= 0x20;
    world.target.replace_blob(&repository(), &base(), bytes);
    world.target.keep(&repository(), &base());
    refuse(&world, &world.newest()).await;
    let list = world.missing_list();
    world.repair(&references(&world), &list).await.unwrap();
    let error = refuse(&world, &world.newest()).await;
    assert!(
        describe(&error).contains("delete the blob there"),
        "{error:?}"
    );
    world.bring_receipts(&world.receipts()).await.unwrap();
    let lane = world.near_ledger().await.list_lanes().await.unwrap();
    assert_eq!(lane.first().unwrap().confirmed, Some(1));
}

/// Nobody has signed a list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_wishes_for_a_content_twice() {
    let world = with_delta().await;
    world.target.forget(&repository(), &base());
    refuse(&world, &world.newest()).await;
    let path = world.missing_lists().remove(0);
    let mut list: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let wishes = list["missing"].as_array_mut().unwrap();
    wishes.extend(wishes.clone());
    std::fs::write(&path, list.to_string()).unwrap();
    let wish = MissingContents::read(&path).unwrap();
    world.repair(&references(&world), &wish).await.unwrap();
    world.import_newest().await.unwrap();
}

/// Who gives no lane to an import writes a list without one; the audience of the export then says which lane it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_without_a_lane_takes_the_base_out_of_what_the_only_lane_has() {
    let world = with_delta().await;
    world.bring_receipts(&world.receipts()).await.unwrap();
    world.target.forget(&repository(), &base());
    refuse(&world, &world.newest()).await;
    let mut list = world.missing_list();
    list.lane = None;
    world.repair(&references(&world), &list).await.unwrap();
    let ledger = world.near_ledger().await;
    let pipeline = ledger.find_pipeline("plant").await.unwrap().unwrap();
    let lanes = ["north".to_owned()];
    let known = ledger.list_known(&pipeline.id, &lanes, Basis::Confirmed);
    assert!(!known.await.unwrap().contains_key(&base()));
}
