//! What every `Source` promises, asked of a place that holds the samples.

use std::collections::BTreeSet;

use airlift::content::{Content, ErrorKind, VerifiedStream, fetch_document};
use airlift::oci::{Descriptor, Digest, Pin, Repository, media_type};

use super::Reading;
use super::place::{repository, tag};

pub(super) async fn manifests_come_byte_for_byte(reading: &Reading) {
    for (repository, document) in &reading.samples.manifests {
        let pin = Pin::Digest(document.descriptor.digest.clone());
        let found = fetch_document(&*reading.source, repository, &pin).await;
        assert_eq!(found.unwrap(), *document, "{repository} at {pin}");
        let has = reading.source.has(repository, &document.descriptor).await;
        assert!(has.unwrap(), "{repository} at {pin}");
    }
    if !reading.capabilities.tags {
        return;
    }
    for (repository, tag, digest) in &reading.samples.tags {
        let pin = Pin::Tag(tag.clone());
        let found = fetch_document(&*reading.source, repository, &pin).await;
        assert_eq!(found.unwrap().descriptor.digest, *digest, "{pin}");
    }
}

/// Start, middle, end, all and nothing of each blob.
pub(super) async fn blobs_come_in_any_range(reading: &Reading) {
    let (_, contents) = reading.samples.memory.snapshot();
    for (repository, descriptor) in &reading.samples.blobs {
        let bytes = &contents[&(repository.clone(), descriptor.digest.clone())];
        let size = descriptor.size;
        let ranges = [
            0..size,
            0..size.min(1),
            size / 3..size / 2,
            size / 2..size,
            size..size,
        ];
        for range in ranges {
            let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
            let wanted = bytes.slice(start..end);
            let raw = reading.source.open(repository, descriptor, range.clone());
            let part = Descriptor::of(media_type::OCTET_STREAM, &wanted);
            let found = VerifiedStream::new(raw.await.unwrap(), part).into_bytes();
            assert_eq!(found.await.unwrap(), wanted, "{range:?} of {size}");
        }
    }
}

pub(super) async fn absent_is_said_definitely(reading: &Reading) {
    let nothing = Descriptor::of(media_type::OCTET_STREAM, b"not in any sample");
    let no_manifest = Descriptor::of(media_type::OCI_MANIFEST, b"not in any sample");
    for name in ["apps/web", "no/such/repository"] {
        let name = repository(name);
        let source = &reading.source;
        assert!(!source.has(&name, &nothing).await.unwrap());
        assert!(!source.has(&name, &no_manifest).await.unwrap());
        let opened = source.open(&name, &nothing, 0..nothing.size).await;
        assert_eq!(opened.map(|_| ()).unwrap_err().kind(), ErrorKind::NotFound);
        for pin in [Pin::Digest(nothing.digest.clone()), Pin::Tag(tag("none"))] {
            let fetched = fetch_document(&**source, &name, &pin).await;
            assert_eq!(fetched.unwrap_err().kind(), ErrorKind::NotFound, "{pin}");
        }
        let referrers = source.referrers(&name, &nothing.digest).await;
        assert_eq!(referrers.unwrap(), []);
    }
}

pub(super) async fn tags_are_listed(reading: &Reading) {
    if !reading.capabilities.tags {
        return;
    }
    let names: BTreeSet<&Repository> = reading.samples.tags.iter().map(|(name, ..)| name).collect();
    for name in names {
        let found = reading.source.tags(name).await.unwrap();
        let found: BTreeSet<_> = found
            .into_iter()
            .filter(|tag| !tag.as_str().starts_with("sha256-"))
            .collect();
        let samples = reading.samples.tags.iter();
        let expected: BTreeSet<_> = samples
            .filter(|(repository, ..)| repository == name)
            .map(|(_, tag, _)| tag.clone())
            .collect();
        assert_eq!(found, expected, "{name}");
    }
    let unknown = reading.source.tags(&repository("no/such/repository")).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
}

pub(super) async fn repositories_are_listed(reading: &Reading) {
    let found = reading.source.repositories().await;
    if !reading.capabilities.catalog {
        assert_eq!(found.unwrap_err().kind(), ErrorKind::Unsupported);
        return;
    }
    let found: BTreeSet<Repository> = found.unwrap().into_iter().collect();
    assert_eq!(
        found,
        [repository("apps/web"), repository("charts/db")].into()
    );
}

pub(super) async fn referrers_are_listed(reading: &Reading) {
    for (repository, subject, referrer) in &reading.samples.referrers {
        let found = reading.source.referrers(repository, subject).await;
        let found = found.unwrap();
        let digests: Vec<&Digest> = found.iter().map(|entry| &entry.descriptor.digest).collect();
        assert_eq!(digests, [&referrer.descriptor.digest], "{subject}");
        assert_eq!(found, [super::place::listed(referrer)]);
    }
}

pub(super) async fn every_content_is_verified_from_end_to_end(reading: &Reading) {
    let (_, contents) = reading.samples.memory.snapshot();
    for (repository, descriptor) in &reading.samples.blobs {
        let content = Content::new(
            reading.source.clone(),
            repository.clone(),
            descriptor.clone(),
        );
        let found = content.open(0).await.unwrap().into_bytes().await.unwrap();
        let expected = &contents[&(repository.clone(), descriptor.digest.clone())];
        assert_eq!(found, *expected);
    }
}
