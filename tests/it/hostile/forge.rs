//! A second writer of bundles, after FORMAT.md and not after the code, that writes lies on request.
//!
//! [`Forge`] is what a volume says and holds; [`Forge::lay`] turns it into the entries of a tar stream,
//! where [`super::anatomy`] takes over. Untouched, the result is what airlift writes, to the byte.

use std::fmt::Write;
use std::sync::Arc;

use airlift::bundle::{
    Artifact, DescriptorRow, Encoding, Inventory, MEDIA_TYPE, Part, Profile, RECIPE_MEDIA_TYPE,
    ReferrerRow, Row, SEGMENT_MEDIA_TYPE, writer_version,
};
use airlift::content::Document;
use airlift::oci::{Algorithm, Descriptor, Digest, media_type};

use super::anatomy::{Anatomy, Entry};
use crate::bundle::road::created;
use crate::support::artifacts::{ManifestText, SIGNATURE};

pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const TEXT: &str = "text/plain";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A content, or a part of one, as the volume will state and hold it.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) descriptor: Descriptor,
    pub(crate) part: Option<Part>,
    pub(crate) bytes: Vec<u8>,
}

impl Piece {
    pub(crate) fn new(descriptor: &Descriptor, bytes: &[u8]) -> Self {
        Self {
            descriptor: descriptor.clone(),
            part: None,
            bytes: bytes.to_vec(),
        }
    }

    fn name(&self) -> String {
        let digest = &self.descriptor.digest;
        match &self.part {
            Some(part) => format!("airlift/parts/{}/{:04}", digest.hex(), part.number),
            None => format!("blobs/{}/{}", digest.algorithm().name(), digest.hex()),
        }
    }

    /// Recipes and segments belong to none.
    fn repositories(&self) -> Vec<u32> {
        match &*self.descriptor.media_type {
            RECIPE_MEDIA_TYPE | SEGMENT_MEDIA_TYPE => Vec::new(),
            _ => vec![0],
        }
    }

    fn is_raw(&self) -> bool {
        let kind = &self.descriptor.media_type;
        kind.ends_with("+gzip") || kind.ends_with("+zstd")
    }
}

/// One volume before it is written. The contents of `inventory` are filled from `pieces`.
#[derive(Clone, Debug)]
pub(crate) struct Forge {
    pub(crate) inventory: Inventory,
    pub(crate) pieces: Vec<Piece>,
    /// What stands behind the pieces, where the voids of the inventory say.
    pub(crate) voids: Vec<Piece>,
}

/// The parts of the image that most attacks begin with.
pub(crate) const LAYER_BYTES: &[u8] = b"a layer that is stored as it is";
pub(crate) const CONFIG_BYTES: &[u8] =
    b"{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{}}";

impl Forge {
    /// A volume with nothing in it.
    pub(crate) fn empty() -> Self {
        let inventory = Inventory {
            media_type: MEDIA_TYPE.to_owned(),
            writer: writer_version(),
            profile: Profile::Plain,
            name: "bundle".to_owned(),
            set: "0123456789abcdef0123456789abcdef".to_owned(),
            volume: 1,
            volumes: 1,
            pipeline: None,
            sequence: None,
            previous: None,
            audience: Vec::new(),
            created: created(),
            expires: None,
            repositories: vec!["apps/web".parse().expect("a repository name")],
            artifacts: Vec::new(),
            contents: Vec::new(),
            voids: Vec::new(),
            assumed: Vec::new(),
            rebuilt: Vec::new(),
            repairs: None,
            volume_inventories: Vec::new(),
            past: None,
        };
        Self {
            inventory,
            pieces: Vec::new(),
            voids: Vec::new(),
        }
    }

    /// An image with a raw layer, a compressed layer under SHA-512, and a signature that refers to it.
    pub(crate) fn image() -> Self {
        let mut forge = Self::empty();
        let layer = forge.add(LAYER, LAYER_BYTES);
        let long = "a text that gets shorter, ".repeat(30);
        let digest = Digest::of(Algorithm::Sha512, long.as_bytes());
        let wide = Descriptor::new(TEXT, digest, long.len() as u64);
        forge.pieces.push(Piece::new(&wide, long.as_bytes()));
        let config = forge.add(CONFIG, CONFIG_BYTES);
        let text = ManifestText::new(media_type::OCI_MANIFEST)
            .config(&config)
            .layers(&[layer, wide]);
        let manifest = forge.add_manifest(&text);
        let text = ManifestText::new(media_type::OCI_MANIFEST)
            .with("artifactType", SIGNATURE)
            .config(&config)
            .with("layers", Vec::<serde_json::Value>::new())
            .subject(&manifest.descriptor);
        let referrer = forge.add_manifest(&text);
        forge.add_artifact(&manifest, "1.4");
        forge.inventory.artifacts[0].referrers.push(ReferrerRow {
            subject: manifest.descriptor.digest.clone(),
            media_type: Arc::clone(&referrer.descriptor.media_type),
            digest: referrer.descriptor.digest.clone(),
            size: referrer.descriptor.size,
            artifact_type: Some(SIGNATURE.into()),
            tag: None,
        });
        forge
    }

    pub(crate) fn guard(mut self) -> Self {
        self.inventory.profile = Profile::Guard;
        self
    }

    pub(crate) fn add(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        self.pieces.push(Piece::new(&descriptor, bytes));
        descriptor
    }

    pub(crate) fn add_manifest(&mut self, text: &ManifestText) -> Document {
        let document = text.document(Algorithm::Sha256);
        self.pieces
            .push(Piece::new(&document.descriptor, &document.bytes));
        document
    }

    pub(crate) fn add_artifact(&mut self, root: &Document, tag: &str) {
        self.inventory.artifacts.push(Artifact {
            source: "source.example".into(),
            repository: 0,
            tag: Some(tag.parse().expect("a tag")),
            root: DescriptorRow::from(&root.descriptor),
            artifact_type: None,
            platforms: Vec::new(),
            created: None,
            absent: Vec::new(),
            referrers: Vec::new(),
        });
    }

    /// The piece with this content.
    pub(crate) fn piece_of(&mut self, bytes: &[u8]) -> &mut Piece {
        let mut pieces = self.pieces.iter_mut();
        pieces
            .find(|piece| piece.bytes == bytes)
            .expect("the piece is there")
    }

    /// The entries of the tar stream, with an inventory that tells the truth about their places.
    pub(crate) fn lay(mut self) -> Anatomy {
        let is_guard = self.inventory.profile == Profile::Guard;
        let mut entries = Vec::new();
        let mut position = 0;
        for piece in &self.pieces {
            let mut entry = Entry::new(&piece.name(), &piece.bytes);
            entry.is_raw = piece.is_raw();
            let encoding = match (is_guard, entry.is_raw) {
                (true, _) => Encoding::Tar,
                (false, true) => Encoding::Raw,
                (false, false) => Encoding::Zstd,
            };
            self.inventory.contents.push(Row {
                digest: piece.descriptor.digest.clone(),
                size: piece.descriptor.size,
                media_type: Arc::clone(&piece.descriptor.media_type),
                offset: position + entry.header.len() as u64,
                encoding,
                repositories: piece.repositories(),
                part: piece.part.clone(),
            });
            position += entry.size();
            entries.push(entry);
        }
        for void in &self.voids {
            let mut entry = Entry::new(&void.name(), &void.bytes);
            entry.is_raw = true;
            entries.push(entry);
        }
        if self.inventory.volume == self.inventory.volumes {
            entries.push(Entry::new(
                "oci-layout",
                b"{\"imageLayoutVersion\":\"1.0.0\"}",
            ));
            let index = index_json(&self.inventory);
            entries.push(Entry::new("index.json", index.as_bytes()));
        }
        let inventory = serde_json::to_vec(&self.inventory).expect("it is JSON");
        entries.push(Entry::new("airlift/inventory.json", &inventory));
        Anatomy::new(!is_guard, entries)
    }

    /// Signed by the test keys, and whole.
    pub(crate) fn write(self, keys: &[&str]) -> Vec<u8> {
        self.lay().signed_by(keys).write()
    }

    /// The digest of the inventory that [`Forge::write`] writes.
    pub(crate) fn inventory_digest(&self) -> Digest {
        let anatomy = self.clone().lay();
        Digest::sha256(&anatomy.entry("airlift/inventory.json").data)
    }
}

/// FORMAT.md, "`index.json`", for artifacts with a tag.
fn index_json(inventory: &Inventory) -> String {
    let mut entries = Vec::new();
    for artifact in &inventory.artifacts {
        let root = &artifact.root;
        let repository = &inventory.repositories[artifact.repository as usize];
        let tag = artifact.tag.as_ref().expect("attacks have tags");
        entries.push(format!(
            "{{\"mediaType\":\"{}\",\"digest\":\"{}\",\"size\":{},\"annotations\":{{\
             \"io.containerd.image.name\":\"{}/{repository}:{tag}\",\
             \"org.opencontainers.image.ref.name\":\"{repository}:{tag}\"}}}}",
            root.media_type, root.digest, root.size, artifact.source
        ));
    }
    for referrer in inventory.artifacts.iter().flat_map(|a| &a.referrers) {
        let mut entry = format!(
            "{{\"mediaType\":\"{}\",\"digest\":\"{}\",\"size\":{}",
            referrer.media_type, referrer.digest, referrer.size
        );
        if let Some(kind) = &referrer.artifact_type {
            write!(entry, ",\"artifactType\":\"{kind}\"").expect("memory");
        }
        entries.push(entry + "}");
    }
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{}\",\"manifests\":[{}]}}",
        media_type::OCI_INDEX,
        entries.join(",")
    )
}
