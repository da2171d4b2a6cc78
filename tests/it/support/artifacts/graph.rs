//! Random graphs of valid artifacts. Everything in a graph is reachable from its roots, when referrers and
//! cosign-style tags are followed; so a copy of all roots is a copy of the whole.

use std::fmt;
use std::sync::Arc;

use airlift::content::{Document, Memory};
use airlift::oci::{Algorithm, Descriptor, Digest, Repository, Tag, media_type};
use bytes::Bytes;
use proptest::prelude::{Strategy, any};
use serde_json::{Value, json};

use super::dice::Dice;
use super::document::{ManifestText, descriptor_json};
use super::layers::arbitrary_layer;
use super::mix::{BlobBytes, Mix};
use crate::support::base64;

const REPOSITORIES: [&str; 5] = ["apps/web", "apps/db", "library/debian", "a", "x/y__z/w-1.2"];
const CHILDREN_MAX: u64 = 3;
const LAYERS_MAX: u64 = 4;
const DEPTH_MAX: u64 = 4;
const BLOB_BYTES_MAX: u64 = 300 << 10;
const LARGE_BLOB_BYTES: usize = 9 << 20;
const MEDIA_TYPES: [&str; 5] = [
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    "text/plain; charset=utf-8",
];
const CONFIGS: [&str; 3] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.empty.v1+json",
    "application/vnd.cncf.helm.config.v1+json",
];
const ARTIFACT_TYPES: [&str; 4] = [
    "application/vnd.example.sbom.v1+json",
    "application/spdx+json",
    "application/vnd.dev.cosign.artifact.sig.v1+json",
    "x/ü",
];
const PLATFORMS: [(&str, &str, Option<&str>); 5] = [
    ("linux", "amd64", None),
    ("linux", "arm64", None),
    ("linux", "arm", Some("v7")),
    ("windows", "amd64", None),
    ("unknown", "unknown", None),
];

/// What a user would select.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) repository: Repository,
    pub(crate) tag: Option<Tag>,
    pub(crate) digest: Digest,
}

/// Artifacts in memory, and the roots that lead to all of them.
pub(crate) struct Graph {
    pub(crate) seed: u64,
    pub(crate) memory: Arc<Memory>,
    pub(crate) roots: Vec<Root>,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = self.memory.snapshot().1.len();
        write!(f, "graph of seed {} with {contents} contents", self.seed)
    }
}

/// The graph of `seed`, of everything that the specifications allow.
pub(crate) fn arbitrary_graph(seed: u64) -> Graph {
    arbitrary_graph_of(seed, Mix::ALL)
}

/// The graph of `seed`, of what `mix` allows.
pub(crate) fn arbitrary_graph_of(seed: u64, mix: Mix) -> Graph {
    let mut growth = Growth::new(seed, mix);
    let count = 1 + growth.dice.below(3);
    for number in 0..count {
        growth.add_root(number);
    }
    Graph {
        seed,
        memory: Arc::new(growth.memory),
        roots: growth.roots,
    }
}

/// Graphs for properties. A seed does not shrink; it stands in the failure's message.
pub(crate) fn graphs(mix: Mix) -> impl Strategy<Value = Graph> {
    any::<u64>()
        .no_shrink()
        .prop_map(move |seed| arbitrary_graph_of(seed, mix))
}

/// A graph while it grows, from the leaves up.
struct Growth {
    dice: Dice,
    mix: Mix,
    memory: Memory,
    roots: Vec<Root>,
    /// Blobs that later manifests of any repository may use again.
    blobs: Vec<(Descriptor, Bytes)>,
}

impl Growth {
    fn new(seed: u64, mix: Mix) -> Self {
        Self {
            dice: Dice::new(seed),
            mix,
            memory: Memory::new(),
            roots: Vec::new(),
            blobs: Vec::new(),
        }
    }

    fn add_root(&mut self, number: u64) {
        let name = *self.dice.pick(&REPOSITORIES);
        let repository: Repository = name.parse().expect("a repository name");
        let depth = self.dice.below(DEPTH_MAX + 1);
        let root = self.tree(&repository, depth);
        self.add_companions(&repository, &root.descriptor, 0);
        let tag = format!("v{number}").parse().ok();
        let tag = tag.filter(|_| !self.dice.once_in(6));
        self.name_root(&repository, root, tag);
        if self.mix.missing_subjects && self.dice.once_in(4) {
            self.add_orphan(&repository, number);
        }
    }

    fn name_root(&mut self, repository: &Repository, root: Document, tag: Option<Tag>) {
        let digest = root.descriptor.digest.clone();
        self.memory.put_manifest(repository, root, tag.as_ref());
        self.roots.push(Root {
            repository: repository.clone(),
            tag,
            digest,
        });
    }

    /// An artifact about something that is not there, found by its tag alone.
    fn add_orphan(&mut self, repository: &Repository, number: u64) {
        let nothing = self.dice.noise(16);
        let subject = Descriptor::of(media_type::OCI_MANIFEST, &nothing);
        let orphan = self.manifest(repository, Some(&subject));
        let tag = format!("orphan-{number}").parse().ok();
        self.name_root(repository, orphan, tag);
    }

    /// A manifest, or an index with trees below.
    fn tree(&mut self, repository: &Repository, depth: u64) -> Document {
        if depth == 0 || self.dice.once_in(3) {
            return self.manifest(repository, None);
        }
        let fewest = u64::from(!self.mix.empty_indexes);
        let count = fewest + self.dice.below(CHILDREN_MAX + 1 - fewest);
        let mut children = Vec::new();
        for _ in 0..count {
            let child = self.tree(repository, depth - 1).descriptor;
            if self.dice.once_in(4) {
                self.add_companions(repository, &child, 1);
            }
            children.push(child);
        }
        self.index(repository, &children)
    }

    fn index(&mut self, repository: &Repository, children: &[Descriptor]) -> Document {
        let is_docker = self.mix.docker_types && self.dice.once_in(4);
        let media_type = if is_docker {
            media_type::DOCKER_INDEX
        } else {
            media_type::OCI_INDEX
        };
        let entries: Vec<Value> = children.iter().map(|child| self.entry(child)).collect();
        let text = ManifestText::new(media_type).with("manifests", entries);
        self.put(repository, text, is_docker)
    }

    fn entry(&mut self, child: &Descriptor) -> Value {
        let mut entry = descriptor_json(child);
        if self.dice.once_in(5) {
            return entry;
        }
        let (os, architecture, variant) = *self.dice.pick(&PLATFORMS);
        entry["platform"] = json!({"os": os, "architecture": architecture});
        if let Some(variant) = variant {
            entry["platform"]["variant"] = variant.into();
        }
        entry
    }

    fn manifest(&mut self, repository: &Repository, subject: Option<&Descriptor>) -> Document {
        let is_docker = subject.is_none() && self.mix.docker_types && self.dice.once_in(4);
        let media_type = if is_docker {
            media_type::DOCKER_MANIFEST
        } else {
            media_type::OCI_MANIFEST
        };
        let config = *self.dice.pick(&CONFIGS);
        let config = self.blob(repository, config);
        let layers = self.layers(repository);
        let mut text = ManifestText::new(media_type)
            .config(&config)
            .with("layers", layers);
        if let Some(subject) = subject {
            text = text.subject(subject);
        }
        if !is_docker && (subject.is_some() || self.dice.once_in(4)) {
            text = text.with("artifactType", *self.dice.pick(&ARTIFACT_TYPES));
        }
        self.put(repository, text, is_docker)
    }

    fn layers(&mut self, repository: &Repository) -> Vec<Value> {
        let fewest = u64::from(!self.mix.bare_manifests);
        let count = fewest + self.dice.below(LAYERS_MAX + 1 - fewest);
        (0..count).map(|_| self.layer(repository)).collect()
    }

    fn layer(&mut self, repository: &Repository) -> Value {
        if self.mix.foreign_layers && self.dice.once_in(10) {
            return self.foreign_layer(repository);
        }
        let media_type = *self.dice.pick(&MEDIA_TYPES);
        let layer = self.blob(repository, media_type);
        let mut entry = descriptor_json(&layer);
        let small = self
            .blobs
            .iter()
            .find(|(blob, _)| blob.digest == layer.digest);
        if let Some((_, bytes)) = small.filter(|(_, bytes)| bytes.len() < 512) {
            entry["data"] = base64::encode(bytes).into();
        }
        if self.dice.once_in(6) {
            entry["annotations"] = json!({"org.opencontainers.image.title": "größe 日本.txt"});
        }
        entry
    }

    /// A layer with `urls` that nobody may fetch, there or not.
    fn foreign_layer(&mut self, repository: &Repository) -> Value {
        let media_type = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
        let layer = if self.dice.once_in(2) {
            self.blob(repository, media_type)
        } else {
            let elsewhere = self.dice.noise(32);
            Descriptor::of(media_type, &elsewhere)
        };
        let mut entry = descriptor_json(&layer);
        entry["urls"] = json!(["https://layers.invalid/windows.tar.gz"]);
        entry
    }

    /// A blob in `repository`: one that was used before, or a new one.
    fn blob(&mut self, repository: &Repository, media_type: &str) -> Descriptor {
        let (known, bytes) = if !self.blobs.is_empty() && self.dice.once_in(3) {
            self.dice.pick(&self.blobs).clone()
        } else {
            self.new_blob()
        };
        self.memory
            .put_blob(repository, media_type, known.digest, bytes)
    }

    fn new_blob(&mut self) -> (Descriptor, Bytes) {
        let bytes = Bytes::from(self.blob_bytes());
        let wide = self.mix.sha512_blobs && self.dice.once_in(8);
        let algorithm = if wide {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        };
        let digest = Digest::of(algorithm, &bytes);
        let descriptor = Descriptor::new(media_type::OCTET_STREAM, digest, bytes.len() as u64);
        self.blobs.push((descriptor.clone(), bytes.clone()));
        (descriptor, bytes)
    }

    fn blob_bytes(&mut self) -> Vec<u8> {
        match self.mix.blobs {
            BlobBytes::Layers { version } => arbitrary_layer(self.dice.roll(), version),
            BlobBytes::Anything => {
                let length = self.blob_length();
                self.dice.bytes(length)
            }
        }
    }

    fn blob_length(&mut self) -> usize {
        if self.mix.large_blobs && self.dice.once_in(60) {
            return LARGE_BLOB_BYTES;
        }
        let bound = match self.dice.below(8) {
            0 => 1,
            1..=5 => 2000,
            _ => BLOB_BYTES_MAX,
        };
        usize::try_from(self.dice.below(bound)).expect("small")
    }

    /// Referrers of `subject` and of those, and cosign's tags for it.
    fn add_companions(&mut self, repository: &Repository, subject: &Descriptor, depth: u64) {
        for _ in 0..self.dice.below(3) {
            let referrer = self.manifest(repository, Some(subject)).descriptor;
            if depth < 2 && self.dice.once_in(3) {
                self.add_companions(repository, &referrer, depth + 1);
            }
        }
        for suffix in ["sig", "att", "sbom"] {
            if self.dice.once_in(6) && subject.digest.algorithm() == Algorithm::Sha256 {
                let companion = self.manifest(repository, None);
                let tag = format!("sha256-{}.{suffix}", subject.digest.hex());
                let tag: Tag = tag.parse().expect("a tag");
                self.memory.put_manifest(repository, companion, Some(&tag));
            }
        }
    }

    /// Writes the manifest in one of the forms that are legal, and puts it.
    fn put(&mut self, repository: &Repository, text: ManifestText, is_docker: bool) -> Document {
        let mut text = text;
        if self.dice.once_in(4) {
            text = text.spaced();
        }
        if !is_docker && self.dice.once_in(4) {
            let note = json!({"org.example.note": "Grüße \u{1f680} \"quoted\" \u{202e}"});
            text = text.with("annotations", note);
        }
        if self.dice.once_in(6) {
            text = text.with("x-unknown-field", json!({"z": 1, "a": [null, 1.50]}));
        }
        if !is_docker && self.mix.silent_types && self.dice.once_in(6) {
            text = text.without("mediaType");
        }
        // A number of its own keeps two manifests with the same parts apart.
        let number = self.dice.below(1 << 32);
        text = text.with("x-number", number);
        let wide = self.mix.sha512_manifests && self.dice.once_in(10);
        let algorithm = if wide {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        };
        let document = text.document(algorithm);
        self.memory.put_manifest(repository, document.clone(), None);
        document
    }
}
