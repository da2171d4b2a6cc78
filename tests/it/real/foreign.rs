//! Content that other tools made, from one real registry to another, digest by digest.

use std::fs;
use std::path::Path;

use airlift::content::{Referrer, Source, Target, fetch_document};
use airlift::oci::{Digest, Manifest, Pin, Repository, Tag, media_type};

use super::holdings::holdings;
use super::{Ends, fixture, text};
use crate::road::{Journey, references};
use crate::support::artifacts::{Mix, arbitrary_graph_of};
use crate::support::snapshot::{assert_contains, assert_same, without_lookup_tables};

/// Layout directories among the fixtures, the tag to copy, and where to.
const LAYOUTS: [(&str, &str, &str); 7] = [
    ("skopeo-oci", "1.0", "apps/web:1.0"),
    ("skopeo-oci", "1.1", "apps/web:1.1"),
    ("buildah-multiarch", "1.0", "apps/multi:1.0"),
    ("helm-chart", "0.1.0", "charts/app:0.1.0"),
    ("oras", "1.0", "artifacts/report:1.0"),
    ("oras-referrer", "sbom", "artifacts/report:sbom"),
    ("cosign-signed", "1.0", "apps/signed:1.0"),
];

impl Ends {
    /// Copies the fixture `name:tag` to the source.
    fn seed(&self, name: &str, tag: &str, to: &str) {
        let from = format!("oci:{}:{tag}", text(&fixture("foreign").join(name)));
        self.skopeo_copy(&from, &format!("docker://{}/{to}", self.source.address()));
    }

    fn seed_all(&self) {
        for (name, tag, to) in LAYOUTS {
            self.seed(name, tag, to);
        }
        let signature = signature_tag();
        self.seed(
            "cosign-signed",
            &signature,
            &format!("apps/signed:{signature}"),
        );
        for (name, to) in [
            ("skopeo-docker-v2s2", "docker/image:1.0"),
            ("buildah-docker-list", "docker/list:1.0"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            write_dir_format(&fixture("foreign").join(name), directory.path());
            let from = format!("dir:{}", text(directory.path()));
            self.skopeo_copy(&from, &format!("docker://{}/{to}", self.source.address()));
        }
    }

    fn references(&self, names: &[&str]) -> Vec<String> {
        let address = self.source.address();
        names
            .iter()
            .map(|name| format!("{address}/{name}"))
            .collect()
    }
}

/// The tag of the signature in the fixture.
fn signature_tag() -> String {
    let index = fs::read(fixture("foreign/cosign-signed/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let name = &index["manifests"][1]["annotations"]["org.opencontainers.image.ref.name"];
    name.as_str().unwrap().to_owned()
}

/// What was fetched from a registry, in the form of skopeo's `dir:`.
fn write_dir_format(fixture: &Path, to: &Path) {
    fs::write(to.join("version"), "Directory Transport Version: 1.1\n").unwrap();
    let manifest = fs::read(fixture.join("manifest.json")).unwrap();
    let list = Manifest::parse(&manifest, "").unwrap();
    fs::write(to.join("manifest.json"), manifest).unwrap();
    for entry in fs::read_dir(fixture.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let hex = path.file_name().unwrap().to_str().unwrap();
        let mut children = list.children.iter();
        let is_child = children.any(|child| child.descriptor.digest.hex() == hex);
        let suffix = if is_child { ".manifest.json" } else { "" };
        fs::copy(&path, to.join(format!("{hex}{suffix}"))).unwrap();
    }
}

/// What a client that pushes a referrer does where there is no referrers API.
async fn link_sbom(address: &str) -> (Repository, Digest, Digest) {
    let registry = Journey::new().connections().registry(address).unwrap();
    let repository: Repository = "artifacts/report".parse().unwrap();
    let pin = Pin::Tag("sbom".parse().unwrap());
    let sbom = fetch_document(&registry, &repository, &pin).await.unwrap();
    let manifest = Manifest::parse(&sbom.bytes, media_type::OCI_MANIFEST).unwrap();
    let subject = manifest.subject.unwrap().digest;
    let referrer = Referrer {
        descriptor: sbom.descriptor.clone(),
        artifact_type: manifest.artifact_type,
    };
    let linked = registry.link_referrer(&repository, &subject, &referrer);
    linked.await.unwrap();
    (repository, subject, sbom.descriptor.digest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_with_its_digest() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    ends.seed_all();
    let (repository, subject, sbom) = link_sbom(&ends.source.address()).await;
    ends.travel(&ends.references(&[
        "apps/web",
        "apps/multi:1.0",
        "charts/app:0.1.0",
        "artifacts/report",
        "apps/signed:1.0",
        "docker/image:1.0",
        "docker/list:1.0",
    ]));
    let sent = without_lookup_tables(&holdings(&ends.source.address()).await);
    let arrived = without_lookup_tables(&holdings(&ends.target.address()).await);
    assert_same(&arrived, &sent);
    assert_eq!(sent.0.len(), 10, "{:?}", sent.0.keys());
    let connections = Journey::new().connections();
    let target = connections.registry(&ends.target.address()).unwrap();
    let listed = target.referrers(&repository, &subject).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].descriptor.digest, sbom);
}

/// A referrer that nobody selected comes along with its subject, by the lookup table alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn referrers_and_signatures_come_along() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    ends.seed_all();
    let (repository, subject, sbom) = link_sbom(&ends.source.address()).await;
    ends.travel(&ends.references(&["artifacts/report:1.0", "apps/signed:1.0"]));
    let connections = Journey::new().connections();
    let target = connections.registry(&ends.target.address()).unwrap();
    let listed = target.referrers(&repository, &subject).await.unwrap();
    assert_eq!(listed[0].descriptor.digest, sbom);
    let tags = target.tags(&"apps/signed".parse().unwrap()).await.unwrap();
    let signature: Tag = signature_tag().parse().unwrap();
    assert!(tags.contains(&signature), "{tags:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skopeo_reads_what_arrived() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    ends.seed_all();
    let names = [
        "apps/multi:1.0",
        "docker/list:1.0",
        "docker/image:1.0",
        "apps/signed:1.0",
    ];
    ends.travel(&ends.references(&names));
    for name in names {
        let directory = tempfile::tempdir().unwrap();
        let to = format!("dir:{}", text(directory.path()));
        ends.skopeo_copy(&format!("docker://{}/{name}", ends.target.address()), &to);
        let read = fs::read(directory.path().join("manifest.json")).unwrap();
        let sent = holdings(&ends.source.address()).await;
        let (repository, tag) = name.split_once(':').unwrap();
        let key = (repository.parse().unwrap(), tag.parse().unwrap());
        assert_eq!(Digest::sha256(&read), sent.0[&key], "{name}");
    }
}

/// Random graphs of what this registry takes, at both ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_graphs_arrive() {
    for seed in 100..102 {
        let Some(ends) = Ends::start_or_skip() else {
            return;
        };
        eprintln!("seed {seed}");
        let graph = arbitrary_graph_of(seed, Mix::DOCKER_REGISTRY.small());
        let fake = crate::support::registry::Registry::start();
        fake.seed(&graph.memory);
        let journey = Journey::new();
        journey.export(&references(&fake, &graph)).await.unwrap();
        journey.import(&ends.source.address()).await.unwrap();
        let roots: Vec<String> = references(&fake, &graph)
            .into_iter()
            .map(|reference| reference.replace(&fake.address(), &ends.source.address()))
            .collect();
        ends.travel(&roots);
        let tagged = without_lookup_tables(&holdings(&ends.target.address()).await);
        assert_eq!(tagged.0, graph.memory.snapshot().0, "seed {seed}");
        assert_contains(&graph.memory.snapshot(), &tagged);
    }
}
