//! What travels and what does not: foreign layers, old manifests, chosen platforms, damaged trees.

use airlift::content::{Document, ErrorKind, Memory, OnError};
use airlift::oci::{Algorithm, Descriptor, Repository, Tag, media_type};
use airlift::pipeline::{ExportReport, PlatformIndex, open_bundles};
use serde_json::json;

use super::{Journey, text_of, trust};
use crate::support::artifacts::{
    FiveNodes, LAYER, ManifestText, blob, descriptor_json, five_nodes, image,
};
use crate::support::containers::places;
use crate::support::registry::{Fault, Registry, When};
use crate::support::snapshot::{assert_contains, assert_same};

const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

fn repository() -> Repository {
    "apps/web".parse().unwrap()
}

fn tag() -> Tag {
    "1".parse().unwrap()
}

/// An image with a foreign layer that is here and one that is not, both with a URL at `elsewhere`.
fn image_with_foreign_layers(memory: &Memory, elsewhere: &Registry) -> [Descriptor; 2] {
    let config = blob(memory, &repository(), "application/json", "{}");
    let present = blob(memory, &repository(), FOREIGN, "held by the registry");
    let absent = Descriptor::of(FOREIGN, b"held by somebody else");
    let with_url = |layer: &Descriptor| {
        let mut entry = descriptor_json(layer);
        entry["urls"] = json!([format!("{}/layer", elsewhere.url())]);
        entry
    };
    let layers = vec![with_url(&present), with_url(&absent)];
    let text = ManifestText::new(media_type::DOCKER_MANIFEST)
        .config(&config)
        .with("layers", layers);
    let document = text.document(Algorithm::Sha256);
    memory.put_manifest(&repository(), document, Some(&tag()));
    [present, absent]
}

#[tokio::test]
async fn foreign_layers_travel_if_the_registry_has_them_and_their_urls_are_never_fetched() {
    let (source, elsewhere, target) = (Registry::start(), Registry::start(), Registry::start());
    let memory = Memory::new();
    let [present, absent] = image_with_foreign_layers(&memory, &elsewhere);
    source.seed(&memory);
    let journey = Journey::new();
    let reference = format!("{}/apps/web:1", source.address());
    journey.export(&[reference]).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    assert_same(&target.snapshot(), &memory.snapshot());
    assert_eq!(
        elsewhere.log().lines(),
        "",
        "nobody goes where a layer says"
    );
    let container = places(journey.container.path()).await.unwrap();
    let opened = open_bundles(&container, &trust()).await.unwrap();
    let inventory = opened[0].bundle.inventory();
    let listed = &inventory.artifacts[0].absent;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].digest, absent.digest);
    let mut carried = inventory.contents.iter();
    assert!(carried.any(|row| row.digest == present.digest));
}

/// Whether a foreign layer is here is asked; trouble with the question is not an answer.
#[tokio::test]
async fn a_foreign_layer_that_cannot_be_asked_for_is_an_error() {
    let (source, elsewhere) = (Registry::start(), Registry::start());
    let memory = Memory::new();
    let [present, _] = image_with_foreign_layers(&memory, &elsewhere);
    source.seed(&memory);
    let when = When::head(&present.digest.to_string()).always();
    source.fault(when, Fault::Status(503));
    let reference = format!("{}/apps/web:1", source.address());
    let error = Journey::new().export(&[reference]).await.unwrap_err();
    assert!(text_of(&error).contains("503"), "{}", text_of(&error));
}

#[tokio::test]
async fn docker_schema_1_is_refused_by_name() {
    for kind in [
        media_type::DOCKER_SCHEMA_1,
        media_type::DOCKER_SCHEMA_1_SIGNED,
    ] {
        let source = Registry::start();
        let text = r#"{"schemaVersion":1,"name":"apps/web","tag":"1","fsLayers":[]}"#;
        let document = Document::of(kind, text);
        source.put_manifest(&repository(), document, Some(&tag()));
        let journey = Journey::new();
        let reference = format!("{}/apps/web:1", source.address());
        let error = journey.export(&[reference]).await.unwrap_err();
        let text = text_of(&error);
        assert_eq!(error.kind(), ErrorKind::Refused, "{text}");
        assert!(
            text.contains("schema 1") && text.contains("apps/web"),
            "{text}"
        );
        assert!(text.starts_with("source: "), "{text}");
        assert!(journey.objects().is_empty());
    }
}

/// Exports only `linux/arm64` of the example.
async fn export_one_platform(
    journey: &Journey,
    five: &FiveNodes,
    source: &Registry,
) -> ExportReport {
    source.seed(&five.memory);
    let reference = format!("{}/apps/web:1.4", source.address());
    let mut options = Journey::export_options(&[reference]);
    options.platforms = vec!["linux/arm64".parse().unwrap()];
    journey.export_with(&options).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_sparse_index_arrives_as_it_is_where_the_target_takes_it() {
    let (five, source) = (five_nodes(), Registry::start());
    let journey = Journey::new();
    export_one_platform(&journey, &five, &source).await;
    let not_selected = five.m1.descriptor.digest.to_string();
    assert_eq!(
        source.log().count("*", &not_selected),
        0,
        "not even asked for"
    );
    let target = Registry::with(|behaviour| {
        behaviour.checks_children = false;
        behaviour.watches_completeness = false;
    });
    journey.import(&target.address()).await.unwrap();
    let (tags, contents) = target.snapshot();
    let digest = |document: &Document| document.descriptor.digest.clone();
    assert_eq!(
        tags[&(five.repository.clone(), five.tag.clone())],
        digest(&five.m0)
    );
    let has = |document: &Document| contents.contains_key(&(repository(), digest(document)));
    assert!(has(&five.m0) && has(&five.m2) && has(&five.s));
    assert!(!has(&five.m1));
}

#[tokio::test]
async fn a_target_that_refuses_a_sparse_index_gets_no_tag() {
    let (five, source) = (five_nodes(), Registry::start());
    let mut journey = Journey::new();
    export_one_platform(&journey, &five, &source).await;
    let target = Registry::start();
    let error = journey.import(&target.address()).await.unwrap_err();
    let text = text_of(&error);
    assert!(text.starts_with("target: "), "{text}");
    assert!(
        text.contains(&five.m0.descriptor.digest.to_string()),
        "{text}"
    );
    assert!(target.snapshot().0.is_empty());
    journey.tailoring.platform_index = PlatformIndex::Rebuild;
    journey.import(&target.address()).await.unwrap();
    target.assert_no_violation();
    assert_eq!(target.missing_content(), [""; 0]);
    assert_eq!(target.snapshot().0.len(), 1);
}

/// One of two images is damaged at the source: the other arrives, and the damaged one is told.
#[tokio::test]
async fn with_continue_on_errors_the_whole_artifacts_arrive() {
    let source = Registry::start();
    let [whole, damaged] = [Memory::new(), Memory::new()];
    let good = image(&whole, &repository(), "amd64", &[b"good layer"]);
    whole.put_manifest(&repository(), good, Some(&tag()));
    let bad = image(&damaged, &repository(), "amd64", &[b"bad layer"]);
    damaged.put_manifest(&repository(), bad, "2".parse().ok().as_ref());
    source.seed(&whole);
    source.seed(&damaged);
    let layer = Descriptor::of(LAYER, b"bad layer").digest.to_string();
    source.fault(When::get(&layer).always(), Fault::FlipByte(3));
    let references = ["1", "2"].map(|tag| format!("{}/apps/web:{tag}", source.address()));
    let mut options = Journey::export_options(&references);
    options.on_error = OnError::Continue;
    let journey = Journey::new();
    let report = journey.export_with(&options).await.unwrap().remove(0);
    assert_eq!(report.exported.len(), 1);
    let [(name, reason)] = report.failures.as_slice() else {
        panic!("{:?}", report.failures);
    };
    assert_eq!(*name, references[1]);
    assert!(reason.contains(&layer), "{reason}");
    let target = Registry::start();
    journey.import(&target.address()).await.unwrap();
    assert_same(&target.snapshot(), &whole.snapshot());
}

/// One artifact cannot be pushed: with continue-on-errors the others are tagged, and it is not.
#[tokio::test]
async fn a_target_that_refuses_one_artifact_gets_the_others() {
    let (source, target) = (Registry::start(), Registry::start());
    let memory = Memory::new();
    let good = image(&memory, &repository(), "amd64", &[b"one"]);
    memory.put_manifest(&repository(), good, Some(&tag()));
    source.seed(&memory);
    let expected = memory.snapshot();
    let bad = image(&memory, &repository(), "amd64", &[b"two"]);
    memory.put_manifest(&repository(), bad.clone(), "2".parse().ok().as_ref());
    source.seed(&memory);
    let journey = Journey::new();
    let references = ["1", "2"].map(|tag| format!("{}/apps/web:{tag}", source.address()));
    journey.export(&references).await.unwrap();
    let refused = When::put(&bad.descriptor.digest.to_string()).always();
    target.fault(refused, Fault::Status(400));
    let mut options = journey.import_options();
    options.copy.on_error = OnError::Continue;
    let reports = journey
        .import_with(&target.address(), &options)
        .await
        .unwrap();
    assert_eq!(reports[0].copy.failed(), 1);
    assert_contains(&target.snapshot(), &expected);
    assert_eq!(target.tag(&repository(), &"2".parse().unwrap()), None);
}

/// The bytes of a manifest can be a layer of another artifact: one digest, manifest here and blob there.
#[tokio::test]
async fn a_manifest_that_is_also_a_layer_arrives_as_both() {
    let (source, target) = (Registry::start(), Registry::start());
    let memory = Memory::new();
    let inner = image(&memory, &repository(), "amd64", &[b"layer"]);
    memory.put_manifest(&repository(), inner.clone(), Some(&tag()));
    let outer = image(&memory, &repository(), "amd64", &[&inner.bytes]);
    memory.put_manifest(&repository(), outer, "2".parse().ok().as_ref());
    source.seed(&memory);
    source.put_blob(&repository(), LAYER, inner.bytes.clone());
    let journey = Journey::new();
    let references = ["1", "2"].map(|tag| format!("{}/apps/web:{tag}", source.address()));
    journey.export(&references).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    target.assert_no_violation();
    assert_same(&target.snapshot(), &memory.snapshot());
    assert_eq!(target.missing_content(), [""; 0]);
}
