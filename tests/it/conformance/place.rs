//! Places under test: how each is made, what it can do, and what it is filled with.

use std::any::Any;
use std::sync::Arc;

use airlift::content::{BlobOutcome, Content, Document, Memory, Source, Target, fetch_document};
use airlift::oci::{Algorithm, Descriptor, Digest, Pin, Repository, Tag, media_type};

use crate::support::artifacts::{
    LAYER, ManifestText, SIGNATURE, blob, helm_chart, image, index, referrer_of,
};

/// What a place may lack without breaking its contract.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each field is one ability, denied by name"
)]
pub(super) struct Capabilities {
    pub(super) sha512_blobs: bool,
    pub(super) sha512_manifests: bool,
    /// Repositories can be listed.
    pub(super) catalog: bool,
    /// A blob can be linked from another repository without being read.
    pub(super) mounts: bool,
    /// Tags can be listed and resolved.
    pub(super) tags: bool,
    /// What one repository holds is not there in another.
    pub(super) separate_repositories: bool,
}

impl Capabilities {
    pub(super) const ALL: Self = Self {
        sha512_blobs: true,
        sha512_manifests: true,
        catalog: true,
        mounts: true,
        tags: true,
        separate_repositories: true,
    };
}

/// A place that can be read and written, empty at first.
pub(super) struct Place {
    pub(super) source: Arc<dyn Source>,
    pub(super) target: Arc<dyn Target>,
    pub(super) capabilities: Capabilities,
    /// Whatever must live as long as the place: a server, a directory.
    pub(super) keep: Box<dyn Any + Send + Sync>,
}

/// A place that holds the samples.
pub(super) struct Reading {
    pub(super) source: Arc<dyn Source>,
    pub(super) samples: Samples,
    pub(super) capabilities: Capabilities,
    #[expect(dead_code, reason = "it only has to live as long as the place")]
    pub(super) keep: Box<dyn Any + Send + Sync>,
}

pub(super) async fn memory() -> Option<Place> {
    let memory = Arc::new(Memory::new());
    Some(Place {
        source: memory.clone(),
        target: memory,
        capabilities: Capabilities::ALL,
        keep: Box::new(()),
    })
}

pub(super) async fn filled_memory(samples: Samples) -> Option<Reading> {
    Some(Reading {
        source: samples.memory.clone(),
        samples,
        capabilities: Capabilities::ALL,
        keep: Box::new(()),
    })
}

/// `place` with the samples that it can hold.
pub(super) async fn filled(place: Option<Place>) -> Option<Reading> {
    let place = place?;
    let samples = samples_for(place.capabilities);
    copy_all(&samples, &*place.target).await;
    Some(Reading {
        source: place.source,
        samples,
        capabilities: place.capabilities,
        keep: place.keep,
    })
}

/// Known artifacts, in an order in which children come before parents.
pub(super) struct Samples {
    pub(super) memory: Arc<Memory>,
    pub(super) manifests: Vec<(Repository, Document)>,
    pub(super) blobs: Vec<(Repository, Descriptor)>,
    pub(super) tags: Vec<(Repository, Tag, Digest)>,
    /// Subject and referrer.
    pub(super) referrers: Vec<(Repository, Digest, Document)>,
}

/// Samples of everything.
pub(super) fn samples() -> Samples {
    samples_for(Capabilities::ALL)
}

pub(super) fn repository(text: &str) -> Repository {
    text.parse().expect("a repository name")
}

pub(super) fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn samples_for(capabilities: Capabilities) -> Samples {
    let memory = Memory::new();
    let web = repository("apps/web");
    let m1 = image(&memory, &web, "amd64", &[b"shared layer", b""]);
    let zeros = vec![0; 70_000];
    let m2 = image(&memory, &web, "arm64", &[b"shared layer", &zeros]);
    let m0 = index(&memory, &web, &[("amd64", &m1), ("arm64", &m2)]);
    let s = referrer_of(&memory, &web, &m0.descriptor, SIGNATURE);
    let s2 = referrer_of(&memory, &web, &s.descriptor, SIGNATURE);
    let charts = repository("charts/db");
    let chart = helm_chart(&memory, &charts, "db");
    let odd = odd_manifest(&memory, &charts, capabilities);
    let referrers = vec![
        (web.clone(), m0.descriptor.digest.clone(), s.clone()),
        (web.clone(), s.descriptor.digest.clone(), s2.clone()),
    ];
    let tags = vec![
        (web.clone(), tag("1.4"), m0.descriptor.digest.clone()),
        (web.clone(), tag("1.4-amd64"), m1.descriptor.digest.clone()),
        (
            charts.clone(),
            tag("Odd_1.0"),
            odd.descriptor.digest.clone(),
        ),
    ];
    let manifests = [m1, m2, m0, s, s2]
        .map(|document| (web.clone(), document))
        .into_iter()
        .chain([chart, odd].map(|document| (charts.clone(), document)))
        .collect();
    tagged(memory, manifests, tags, referrers)
}

/// Blanks, unknown fields, unicode, an inline copy of a blob, and where possible the wide digests.
fn odd_manifest(memory: &Memory, repository: &Repository, capabilities: Capabilities) -> Document {
    let wide = |able| {
        if able {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        }
    };
    let config = blob(memory, repository, "application/vnd.example+json", "{}");
    let digest = Digest::of(wide(capabilities.sha512_blobs), b"wide");
    let layer = memory.put_blob(repository, LAYER, digest, &b"wide"[..]);
    let text = ManifestText::new(media_type::OCI_MANIFEST)
        .config(&config)
        .layers(&[layer])
        .with(
            "annotations",
            serde_json::json!({"note": "größe \u{1f680}"}),
        )
        .with("x-unknown-field", serde_json::json!([null, 1.50]))
        .spaced();
    let document = text.document(wide(capabilities.sha512_manifests));
    memory.put_manifest(repository, document.clone(), None);
    document
}

fn tagged(
    memory: Memory,
    manifests: Vec<(Repository, Document)>,
    tags: Vec<(Repository, Tag, Digest)>,
    referrers: Vec<(Repository, Digest, Document)>,
) -> Samples {
    for (repository, tag, digest) in &tags {
        let tagged = manifests
            .iter()
            .find(|(_, document)| document.descriptor.digest == *digest);
        let (_, document) = tagged.expect("every tag is of a sample");
        memory.put_manifest(repository, document.clone(), Some(tag));
    }
    let is_manifest = |digest: &Digest| {
        let mut documents = manifests.iter().map(|(_, document)| &document.descriptor);
        documents.any(|descriptor| descriptor.digest == *digest)
    };
    let (_, contents) = memory.snapshot();
    let blobs = contents
        .into_iter()
        .filter(|((_, digest), _)| !is_manifest(digest))
        .map(|((repository, digest), bytes)| {
            let size = bytes.len() as u64;
            let descriptor = Descriptor::new(media_type::OCTET_STREAM, digest, size);
            (repository, descriptor)
        })
        .collect();
    Samples {
        memory: Arc::new(memory),
        manifests,
        blobs,
        tags,
        referrers,
    }
}

/// Pushes all samples by the contract alone.
async fn copy_all(samples: &Samples, target: &dyn Target) {
    for (repository, descriptor) in &samples.blobs {
        let content = Content::new(
            samples.memory.clone(),
            repository.clone(),
            descriptor.clone(),
        );
        let outcome = target.push_blob(repository, &content, None).await.unwrap();
        assert_eq!(outcome, BlobOutcome::Pushed);
    }
    for (repository, document) in &samples.manifests {
        target.push_manifest(repository, document).await.unwrap();
    }
    for (repository, subject, referrer) in &samples.referrers {
        let referrer = listed(referrer);
        let linked = target.link_referrer(repository, subject, &referrer).await;
        linked.unwrap();
    }
    for (repository, tag, digest) in &samples.tags {
        let pin = Pin::Digest(digest.clone());
        let document = fetch_document(&*samples.memory, repository, &pin).await;
        target
            .tag(repository, &document.unwrap(), tag)
            .await
            .unwrap();
    }
}

/// How `document` stands in a list of referrers.
pub(super) fn listed(document: &Document) -> airlift::content::Referrer {
    let media_type = &document.descriptor.media_type;
    let manifest = airlift::oci::Manifest::parse(&document.bytes, media_type);
    airlift::content::Referrer {
        descriptor: document.descriptor.clone(),
        artifact_type: manifest.unwrap().artifact_type,
    }
}
