//! What every `Target` promises, asked of an empty place.

use std::sync::Arc;

use airlift::content::{
    BlobOutcome, Content, Document, ErrorKind, Memory, Referrer, fetch_document,
};
use airlift::oci::{Algorithm, Descriptor, Digest, Pin, Repository, media_type};

use super::Place;
use super::place::{listed, repository, tag};
use crate::support::artifacts::{Dice, LAYER, SIGNATURE, image, referrer_of};

/// Larger than what a place handles in one piece.
const LARGE_BYTES: usize = 20_000_003;

fn home() -> Repository {
    repository("team/app")
}

/// `bytes` at a source that claims that they are `digest`.
fn content_as(digest: Digest, bytes: &[u8]) -> Content {
    let memory = Memory::new();
    let descriptor = memory.put_blob(&home(), LAYER, digest, bytes.to_vec());
    Content::new(Arc::new(memory), home(), descriptor)
}

fn content(bytes: &[u8]) -> Content {
    content_as(Digest::sha256(bytes), bytes)
}

impl Place {
    async fn push(&self, content: &Content) -> BlobOutcome {
        let pushed = self.target.push_blob(&home(), content, None).await;
        pushed.unwrap()
    }

    /// Pushes the blobs of `document`, which `memory` holds, and then the document.
    async fn push_image(&self, memory: &Arc<Memory>, document: &Document) {
        let media_type = &document.descriptor.media_type;
        let manifest = airlift::oci::Manifest::parse(&document.bytes, media_type).unwrap();
        for blob in manifest.blobs() {
            self.push(&Content::new(memory.clone(), home(), blob.clone()))
                .await;
        }
        let pushed = self.target.push_manifest(&home(), document).await;
        pushed.unwrap();
    }

    async fn exists(&self, repository: &Repository, descriptor: &Descriptor) -> bool {
        let exists = self.target.exists(repository, descriptor).await.unwrap();
        let has = self.source.has(repository, descriptor).await.unwrap();
        assert_eq!(exists, has, "both ends of one place agree");
        exists
    }

    async fn assert_holds(&self, repository: &Repository, content: &Content) {
        assert!(self.exists(repository, content.descriptor()).await);
        let descriptor = content.descriptor().clone();
        let here = Content::new(self.source.clone(), repository.clone(), descriptor);
        let found = here.open(0).await.unwrap().into_bytes().await.unwrap();
        let expected = content.open(0).await.unwrap().into_bytes().await.unwrap();
        assert!(found == expected, "{} differs", content.descriptor().digest);
    }
}

pub(super) async fn pushed_content_is_there_and_nothing_else(place: &Place) {
    let mut contents = vec![content(b"a blob"), content(b"")];
    if place.capabilities.sha512_blobs {
        let digest = |bytes| Digest::of(Algorithm::Sha512, bytes);
        contents.push(content_as(digest(b"wide"), b"wide"));
        contents.push(content_as(digest(b""), b""));
    }
    for content in &contents {
        assert!(!place.exists(&home(), content.descriptor()).await);
        assert_eq!(place.push(content).await, BlobOutcome::Pushed);
        place.assert_holds(&home(), content).await;
    }
    let elsewhere = repository("team/other");
    let first = contents[0].descriptor();
    let is_elsewhere = place.exists(&elsewhere, first).await;
    let is_apart = place.capabilities.separate_repositories;
    assert_eq!(is_elsewhere, !is_apart, "asks one repository");
}

pub(super) async fn pushing_twice_is_harmless(place: &Place) {
    let content = content(b"twice");
    place.push(&content).await;
    place.push(&content).await;
    place.assert_holds(&home(), &content).await;
    let memory = Arc::new(Memory::new());
    let document = image(&memory, &home(), "amd64", &[b"layer"]);
    place.push_image(&memory, &document).await;
    place.push_image(&memory, &document).await;
    let pin = Pin::Digest(document.descriptor.digest.clone());
    let found = fetch_document(&*place.source, &home(), &pin).await;
    assert_eq!(found.unwrap(), document);
}

/// Other bytes of the same length, or too few: none is stored, and the right ones still can be.
pub(super) async fn wrong_content_is_refused_and_not_stored(place: &Place) {
    let right = content(b"right");
    let expected = right.descriptor();
    for wrong in [&b"wrong"[..], b"rig", b""] {
        let memory = Memory::new();
        memory.put_blob(&home(), LAYER, expected.digest.clone(), wrong.to_vec());
        let lie = Content::new(Arc::new(memory), home(), expected.clone());
        let pushed = place.target.push_blob(&home(), &lie, None).await;
        assert_eq!(pushed.unwrap_err().kind(), ErrorKind::Unverified);
        assert!(!place.exists(&home(), expected).await);
    }
    place.push(&right).await;
    place.assert_holds(&home(), &right).await;
}

pub(super) async fn a_blob_can_come_from_another_repository(place: &Place) {
    let content = content(b"shared by two");
    place.push(&content).await;
    let other = repository("team/other");
    let outcome = place
        .target
        .push_blob(&other, &content, Some(&home()))
        .await
        .unwrap();
    let expected = if place.capabilities.mounts {
        BlobOutcome::Mounted
    } else {
        BlobOutcome::Pushed
    };
    assert_eq!(outcome, expected);
    place.assert_holds(&other, &content).await;
}

pub(super) async fn a_mount_from_the_wrong_place_is_a_push(place: &Place) {
    let content = content(b"nobody has it yet");
    let empty = repository("team/empty");
    let outcome = place
        .target
        .push_blob(&home(), &content, Some(&empty))
        .await;
    assert_eq!(outcome.unwrap(), BlobOutcome::Pushed);
    place.assert_holds(&home(), &content).await;
}

pub(super) async fn large_blobs_arrive_whole(place: &Place) {
    let content = content(&Dice::new(20).noise(LARGE_BYTES));
    place.push(&content).await;
    place.assert_holds(&home(), &content).await;
}

pub(super) async fn a_manifest_without_its_tag_has_no_tag(place: &Place) {
    let memory = Arc::new(Memory::new());
    let document = image(&memory, &home(), "amd64", &[b"layer"]);
    assert!(!place.exists(&home(), &document.descriptor).await);
    place.push_image(&memory, &document).await;
    assert!(place.exists(&home(), &document.descriptor).await);
    let resolved = place.target.resolve_tag(&home(), &tag("1")).await;
    assert_eq!(resolved.unwrap(), None);
    let elsewhere = repository("no/such/repository");
    let resolved = place.target.resolve_tag(&elsewhere, &tag("1")).await;
    assert_eq!(resolved.unwrap(), None);
}

pub(super) async fn a_tag_moves(place: &Place) {
    let memory = Arc::new(Memory::new());
    let wide = place.capabilities.sha512_manifests;
    let documents = [
        image(&memory, &home(), "amd64", &[b"first"]),
        image(&memory, &home(), "arm64", &[b"second"]),
    ];
    let last = if wide {
        in_sha512(&documents[0])
    } else {
        documents[0].clone()
    };
    for document in [&documents[0], &documents[1], &last] {
        place.push_image(&memory, document).await;
    }
    // Bytes known by two digests are told apart by nobody, so the wide one is only read.
    for document in [&documents[0], &documents[1]] {
        place
            .target
            .tag(&home(), document, &tag("stable"))
            .await
            .unwrap();
        let resolved = place.target.resolve_tag(&home(), &tag("stable")).await;
        assert_eq!(
            resolved.unwrap().as_ref(),
            Some(&document.descriptor.digest)
        );
        let pin = Pin::Tag(tag("stable"));
        let found = fetch_document(&*place.source, &home(), &pin).await;
        assert_eq!(found.unwrap(), *document);
    }
    let pin = Pin::Digest(last.descriptor.digest.clone());
    let found = fetch_document(&*place.source, &home(), &pin).await;
    assert_eq!(found.unwrap(), last);
    assert_eq!(place.source.tags(&home()).await.unwrap(), [tag("stable")]);
}

fn in_sha512(document: &Document) -> Document {
    let digest = Digest::of(Algorithm::Sha512, &document.bytes);
    let Descriptor {
        media_type, size, ..
    } = &document.descriptor;
    Document {
        descriptor: Descriptor::new(media_type, digest, *size),
        bytes: document.bytes.clone(),
    }
}

/// Two referrers of one subject, and one that is linked twice.
pub(super) async fn referrers_are_found_when_linked(place: &Place) {
    let memory = Arc::new(Memory::new());
    let subject = image(&memory, &home(), "amd64", &[b"layer"]);
    place.push_image(&memory, &subject).await;
    let digest = &subject.descriptor.digest;
    let before = place.source.referrers(&home(), digest).await;
    assert_eq!(before.unwrap(), []);
    let mut expected: Vec<Referrer> = Vec::new();
    for artifact_type in [SIGNATURE, "application/spdx+json"] {
        let referrer = referrer_of(&memory, &home(), &subject.descriptor, artifact_type);
        place.push_image(&memory, &referrer).await;
        for _ in 0..2 {
            let entry = listed(&referrer);
            let linked = place.target.link_referrer(&home(), digest, &entry).await;
            linked.unwrap();
        }
        expected.push(listed(&referrer));
    }
    let mut found = place.source.referrers(&home(), digest).await.unwrap();
    let by_digest = |entry: &Referrer| entry.descriptor.digest.clone();
    found.sort_by_key(by_digest);
    expected.sort_by_key(by_digest);
    assert_eq!(found, expected);
    assert_eq!(
        expected[0].descriptor.media_type.as_ref(),
        media_type::OCI_MANIFEST
    );
}
