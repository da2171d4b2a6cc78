//! Referrers on the road: complete or loud at the source, findable at the target, whichever way it has.

use airlift::content::{Document, ErrorKind, Memory, Referrer, Source, Target};
use airlift::oci::{Descriptor, Repository, Tag, media_type};
use serde_json::{Value, json};

use super::journey::put_lookup_tables;
use super::{Journey, text_of};
use crate::support::artifacts::{FiveNodes, SIGNATURE, five_nodes, helm_chart, image, referrer_of};
use crate::support::registry::{Fault, Paging, Referrers, Registry, When};
use crate::support::snapshot::assert_contains;

const TROUBLE: [u16; 5] = [401, 403, 429, 500, 503];

/// A registry with the example of the documents, and the reference to it.
fn seeded(five: &FiveNodes, referrers: Referrers) -> (Registry, [String; 1]) {
    let registry = Registry::with(|behaviour| behaviour.referrers = referrers);
    registry.seed(&five.memory);
    let reference = format!("{}/{}:{}", registry.address(), five.repository, five.tag);
    (registry, [reference])
}

fn without_api() -> Registry {
    Registry::with(|behaviour| behaviour.referrers = Referrers::Unsupported)
}

/// The entries of the lookup table of `subject`, as text.
fn table_entries(registry: &Registry, repository: &Repository, subject: &Descriptor) -> Vec<Value> {
    let tag = Tag::of_referrers(&subject.digest);
    let digest = registry.tag(repository, &tag).expect("a lookup table");
    let (_, contents) = registry.snapshot();
    let table: Value = serde_json::from_slice(&contents[&(repository.clone(), digest)]).unwrap();
    table["manifests"].as_array().unwrap().clone()
}

/// It was linked only where its subject travelled too, and a registry without the API did not list it.
#[tokio::test]
async fn an_artifact_whose_subject_stays_behind_is_listed() {
    let memory = Memory::new();
    let repository: Repository = "apps/web".parse().unwrap();
    let subject = image(&memory, &repository, "amd64", &[b"layer"]).descriptor;
    let sbom = referrer_of(&memory, &repository, &subject, "application/spdx+json");
    memory.put_manifest(&repository, sbom.clone(), "sbom".parse().ok().as_ref());
    let (source, target) = (Registry::start(), without_api());
    source.seed(&memory);
    let mut journey = Journey::new();
    journey.reads_back = true;
    let reference = format!("{}/{repository}:sbom", source.address());
    journey.export(&[reference]).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    let client = journey.connections().registry(&target.address()).unwrap();
    let listed = client
        .referrers(&repository, &subject.digest)
        .await
        .unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].descriptor, sbom.descriptor);
}

#[tokio::test]
async fn trouble_with_the_api_is_an_error_and_never_absence() {
    let five = five_nodes();
    for status in TROUBLE {
        let (source, references) = seeded(&five, Referrers::Status(status));
        let journey = Journey::new();
        let error = journey.export(&references).await.unwrap_err();
        let text = text_of(&error);
        assert!(text.contains("source"), "{text}");
        assert!(text.contains("referrers"), "{text}");
        assert!(text.contains(&status.to_string()), "{text}");
        assert!(journey.objects().is_empty(), "{status}");
        let asked_the_tag = source.log().count("GET", "/manifests/sha256-");
        assert_eq!(asked_the_tag, 0, "{status} does not lead to the fallback");
    }
}

#[tokio::test]
async fn trouble_with_the_lookup_table_is_an_error_and_never_absence() {
    let five = five_nodes();
    for status in TROUBLE {
        let (source, references) = seeded(&five, Referrers::Unsupported);
        source.fault(
            When::get("/manifests/sha256-").always(),
            Fault::Status(status),
        );
        let journey = Journey::new();
        let error = journey.export(&references).await.unwrap_err();
        let text = text_of(&error);
        assert!(text.contains("referrers"), "{text}");
        assert!(text.contains(&status.to_string()), "{text}");
        assert!(journey.objects().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn all_pages_are_read() {
    let five = five_nodes();
    for kind in 0..7 {
        let kind = format!("application/vnd.example.v{kind}");
        referrer_of(&five.memory, &five.repository, &five.m0.descriptor, &kind);
    }
    for paging in [Paging::Relative, Paging::Absolute] {
        let (source, references) = seeded(&five, Referrers::Served);
        source.behave(|behaviour| {
            behaviour.page_size_max = 2;
            behaviour.paging = paging.clone();
        });
        let (journey, target) = (Journey::new(), Registry::start());
        journey.export(&references).await.unwrap();
        journey.import(&target.address()).await.unwrap();
        assert_contains(&target.snapshot(), &five.memory.snapshot());
        let path = format!("/referrers/{}", five.m0.descriptor.digest);
        assert_eq!(source.log().count("GET", &path), 4, "8 referrers, 2 a page");
    }
}

#[tokio::test]
async fn a_list_that_goes_on_elsewhere_or_in_circles_is_refused() {
    let five = five_nodes();
    referrer_of(&five.memory, &five.repository, &five.m0.descriptor, "x/y");
    let elsewhere = Registry::start();
    for paging in [Paging::Elsewhere(elsewhere.url()), Paging::Loop] {
        let (source, references) = seeded(&five, Referrers::Served);
        source.behave(|behaviour| {
            behaviour.page_size_max = 1;
            behaviour.paging = paging.clone();
        });
        let journey = Journey::new();
        let error = journey.export(&references).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{}", text_of(&error));
        assert!(journey.objects().is_empty());
    }
    assert_eq!(elsewhere.log().lines(), "");
}

/// What a list says counts only if the manifest says the same.
#[tokio::test]
async fn a_listed_manifest_about_something_else_is_left_out() {
    let five = five_nodes();
    let (source, references) = seeded(&five, Referrers::Unsupported);
    put_lookup_tables(&source);
    let memory = Memory::new();
    let chart = helm_chart(&memory, &five.repository, "stranger");
    source.seed(&memory);
    let entry =
        |document: &Document| crate::support::artifacts::descriptor_json(&document.descriptor);
    let table = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": [entry(&chart), entry(&five.s)],
    });
    let table = Document::of(media_type::OCI_INDEX, table.to_string());
    let tag = Tag::of_referrers(&five.m0.descriptor.digest);
    source.put_manifest(&five.repository, table, Some(&tag));
    let (journey, target) = (Journey::new(), Registry::start());
    journey.export(&references).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    crate::support::snapshot::assert_same(&target.snapshot(), &five.memory.snapshot());
}

#[tokio::test]
async fn no_lookup_table_is_written_where_the_api_is() {
    let five = five_nodes();
    let (_source, references) = seeded(&five, Referrers::Served);
    let (journey, target) = (Journey::new(), Registry::start());
    journey.export(&references).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    assert_eq!(target.log().count("PUT", "/manifests/sha256-"), 0);
    assert_eq!(target.log().count("GET", "/manifests/sha256-"), 0);
}

#[tokio::test]
async fn what_others_wrote_into_the_lookup_table_stays() {
    let five = five_nodes();
    let (_source, references) = seeded(&five, Referrers::Served);
    let target = without_api();
    let foreign = json!({
        "mediaType": media_type::OCI_MANIFEST,
        "digest": Descriptor::of("x", b"somebody else's").digest,
        "size": 7,
        "annotations": {"org.example.note": "größe"},
        "x-unknown": [1.50, null],
    });
    let table = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": [foreign],
        "annotations": {"kept": "too"},
    });
    let table = Document::of(media_type::OCI_INDEX, table.to_string());
    target.behave(|behaviour| behaviour.watches_completeness = false);
    target.behave(|behaviour| behaviour.checks_children = false);
    let tag = Tag::of_referrers(&five.m0.descriptor.digest);
    target.put_manifest(&five.repository, table, Some(&tag));
    let journey = Journey::new();
    journey.export(&references).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    let entries = table_entries(&target, &five.repository, &five.m0.descriptor);
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0], foreign);
    assert_eq!(
        entries[1]["digest"],
        json!(five.s.descriptor.digest),
        "{entries:?}"
    );
    assert_eq!(entries[1]["artifactType"], SIGNATURE);
}

/// Many at once in one process: nobody writes over anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_links_are_all_kept() {
    let five = five_nodes();
    let subject = &five.m0.descriptor;
    let kinds = (0..16).map(|kind| format!("application/vnd.example.v{kind}"));
    let referrers: Vec<Document> = kinds
        .map(|kind| referrer_of(&five.memory, &five.repository, subject, &kind))
        .collect();
    let (target, _) = seeded(&five, Referrers::Unsupported);
    let client = Journey::new()
        .connections()
        .registry(&target.address())
        .unwrap();
    let links = referrers.iter().map(|document| {
        let (client, repository) = (client.clone(), five.repository.clone());
        let (subject, descriptor) = (subject.digest.clone(), document.descriptor.clone());
        tokio::spawn(async move {
            let artifact_type = None;
            let referrer = Referrer {
                descriptor,
                artifact_type,
            };
            client.link_referrer(&repository, &subject, &referrer).await
        })
    });
    for link in links.collect::<Vec<_>>() {
        link.await.unwrap().unwrap();
    }
    let entries = table_entries(&target, &five.repository, subject);
    assert_eq!(entries.len(), 16);
}

/// Somebody else wrote the table between our writing and our reading it again: we merge once more.
#[tokio::test]
async fn an_entry_that_was_written_over_is_written_again() {
    let five = five_nodes();
    let (_source, references) = seeded(&five, Referrers::Served);
    let target = without_api();
    let empty = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
    let path = format!(
        "/manifests/{}",
        Tag::of_referrers(&five.m0.descriptor.digest)
    );
    // The first GET is absent; the next two are after our own write and before the second.
    target.fault(
        When::get(&path).after(1).times(2),
        Fault::Body(empty.to_string().into()),
    );
    let journey = Journey::new();
    journey.export(&references).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    assert_eq!(
        target.log().count("PUT", &path),
        2,
        "{}",
        target.log().lines()
    );
    let entries = table_entries(&target, &five.repository, &five.m0.descriptor);
    assert_eq!(entries.len(), 1);
}
