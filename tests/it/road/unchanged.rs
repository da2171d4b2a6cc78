//! What is there already does not travel: told by the bytes that the registries saw.

use airlift::content::{ArtifactOutcome, Memory};
use airlift::oci::Descriptor;

use super::Journey;
use super::journey::references;
use super::round_trip::{assert_arrived, source_of};
use crate::support::artifacts::{Dice, LAYER, Mix, arbitrary_graph_of, five_nodes, image};
use crate::support::registry::{Referrers, Registry};

#[tokio::test]
async fn an_export_of_unchanged_content_moves_no_blob() {
    let graph = arbitrary_graph_of(3, Mix::ALL.small());
    let source = source_of(&graph, Referrers::Served);
    let journey = Journey::new();
    let first = journey.export(&references(&source, &graph)).await.unwrap();
    assert!(!first.is_unchanged);
    let before = journey.objects();
    source.log().clear();
    let second = journey.export(&references(&source, &graph)).await.unwrap();
    assert!(second.is_unchanged);
    assert_eq!(second.moved_bytes, 0);
    assert_eq!(second.volumes, first.volumes);
    assert_eq!(
        source.log().bytes_downloaded(),
        0,
        "{}",
        source.log().lines()
    );
    assert!(journey.objects() == before, "the object is the same");
}

/// Two artifacts in two repositories share a layer: it is read once.
#[tokio::test]
async fn an_export_reads_a_shared_layer_once() {
    let source = Registry::start();
    let memory = Memory::new();
    let layer = Dice::new(1).noise(300_000);
    let mut references = Vec::new();
    for name in ["apps/web", "apps/db"] {
        let repository = name.parse().unwrap();
        let image = image(&memory, &repository, "amd64", &[&layer]);
        memory.put_manifest(&repository, image, "1".parse().ok().as_ref());
        references.push(format!("{}/{name}:1", source.address()));
    }
    source.seed(&memory);
    Journey::new().export(&references).await.unwrap();
    let path = format!("/blobs/{}", Descriptor::of(LAYER, &layer).digest);
    assert_eq!(
        source.log().count("*", &path),
        1,
        "{}",
        source.log().lines()
    );
}

#[tokio::test]
async fn a_second_import_moves_no_blob_and_no_tag() {
    for at_target in [Referrers::Served, Referrers::Unsupported] {
        let graph = arbitrary_graph_of(3, Mix::ALL.small());
        let source = source_of(&graph, Referrers::Served);
        let target = Registry::with(|behaviour| behaviour.referrers = at_target);
        let journey = Journey::new();
        journey.export(&references(&source, &graph)).await.unwrap();
        journey.import(&target.address()).await.unwrap();
        target.log().clear();
        let reports = journey.import(&target.address()).await.unwrap();
        let log = target.log();
        assert_eq!(log.bytes_uploaded(), 0);
        for method in ["PUT", "POST", "PATCH"] {
            assert_eq!(log.count(method, "/"), 0, "{}", log.lines());
        }
        let copy = &reports[0].copy;
        assert_eq!((copy.pushed_bytes, copy.tags_moved), (0, 0));
        let mut artifacts = reports[0].artifacts.iter();
        assert!(artifacts.all(|artifact| artifact.outcome == ArtifactOutcome::Unchanged));
        assert_arrived(&journey, &graph, &target).await;
    }
}

/// A second tag that shares a layer with the first costs its own bytes only.
#[tokio::test]
async fn an_import_moves_only_what_is_missing() {
    let five = five_nodes();
    let source = Registry::start();
    source.seed(&five.memory);
    let target = Registry::start();
    let reference = |tag: &str| format!("{}/{}:{tag}", source.address(), five.repository);
    let first = Journey::new();
    first.export(&[reference("1.4")]).await.unwrap();
    first.import(&target.address()).await.unwrap();
    let shared: &[u8] = b"the layer that both platforms share";
    let next = image(&five.memory, &five.repository, "riscv64", &[shared, b"new"]);
    five.memory
        .put_manifest(&five.repository, next, "1.5".parse().ok().as_ref());
    source.seed(&five.memory);
    target.log().clear();
    let second = Journey::new();
    second.export(&[reference("1.5")]).await.unwrap();
    second.import(&target.address()).await.unwrap();
    let log = target.log();
    assert_eq!(
        log.count("POST", "/blobs/uploads/"),
        2,
        "config and new layer"
    );
    assert_eq!(
        log.count("PUT", "/manifests/"),
        2,
        "by digest, and then by tag"
    );
}
