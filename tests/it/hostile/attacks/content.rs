//! Signed volumes whose artifacts make no sense: a sender who is trusted, and wrong or robbed.

use airlift::bundle::{DescriptorRow, Encoding, Void};
use airlift::content::Document;
use airlift::oci::{Descriptor, Digest, media_type};
use serde_json::json;

use super::{Attack, Files, KEY, attack};
use crate::hostile::forge::{CONFIG, CONFIG_BYTES, Forge, LAYER, LAYER_BYTES, Piece};
use crate::support::artifacts::{ManifestText, descriptor_json};

pub(super) const ATTACKS: &[Attack] = &[
    attack("digest-mismatch-of-a-blob", || {
        let mut forge = Forge::image();
        forge.piece_of(LAYER_BYTES).bytes[3] ^= 1;
        written(forge)
    }),
    attack("digest-mismatch-of-a-manifest", || {
        let mut forge = Forge::image();
        let manifest = forge.pieces.len() - 2;
        let bytes = &mut forge.pieces[manifest].bytes;
        let last = bytes.len() - 1;
        bytes[last] = b' ';
        written(forge)
    }),
    attack("size-too-small", || {
        let mut forge = Forge::image();
        forge.piece_of(LAYER_BYTES).descriptor.size -= 1;
        written(forge)
    }),
    attack("size-too-large", || {
        let mut forge = Forge::image();
        forge.piece_of(LAYER_BYTES).descriptor.size += 1;
        written(forge)
    }),
    attack("size-of-another-block", || {
        let mut forge = Forge::image();
        forge.piece_of(LAYER_BYTES).descriptor.size += 512;
        written(forge)
    }),
    attack("size-of-the-manifest-differs", || {
        // The row tells the truth and the manifest does not.
        let mut forge = Forge::empty();
        let mut layer = forge.add(LAYER, LAYER_BYTES);
        layer.size += 1;
        written(with_image(forge, &[layer]))
    }),
    attack("blob-missing", || {
        let mut forge = Forge::image();
        forge.pieces.remove(0);
        written(forge)
    }),
    attack("manifest-missing", || {
        let mut forge = Forge::image();
        forge.pieces.remove(forge.pieces.len() - 2);
        written(forge)
    }),
    attack("blob-of-another-repository", || {
        let lay = |text: String| {
            let text = text.replacen("[\"apps/web\"]", "[\"apps/web\",\"apps/db\"]", 1);
            text.replacen("\"repositories\":[0]", "\"repositories\":[1]", 1)
        };
        Files::Plain(
            Forge::image()
                .lay()
                .signed_by(&[KEY])
                .with_inventory(lay)
                .write(),
        )
    }),
    attack("referrer-of-something-else", || {
        let mut forge = Forge::image();
        forge.inventory.artifacts[0].referrers[0].subject = Digest::sha256(b"something else");
        written(forge)
    }),
    attack("referrer-that-is-none", || {
        let mut forge = Forge::image();
        let text = ManifestText::new(media_type::OCI_MANIFEST)
            .config(&Descriptor::of(CONFIG, CONFIG_BYTES))
            .with("layers", Vec::<serde_json::Value>::new());
        let plain = forge.add_manifest(&text);
        let row = &mut forge.inventory.artifacts[0].referrers[0];
        row.digest = plain.descriptor.digest;
        row.size = plain.descriptor.size;
        written(forge)
    }),
    attack("referrer-that-is-missing", || {
        let mut forge = Forge::image();
        forge.pieces.pop();
        written(forge)
    }),
    attack("artifact-repository-out-of-range", || {
        edited(
            "\"source\":\"source.example\",\"repository\":0",
            "\"source\":\"source.example\",\"repository\":7",
        )
    }),
    attack("row-repository-out-of-range", || {
        edited("\"repositories\":[0]", "\"repositories\":[4294967295]")
    }),
    attack("repository-with-dots", || {
        edited("[\"apps/web\"]", "[\"../../web\"]")
    }),
    attack("repository-in-upper-case", || {
        edited("[\"apps/web\"]", "[\"Apps/web\"]")
    }),
    attack("repository-that-is-absolute", || {
        edited("[\"apps/web\"]", "[\"/apps/web\"]")
    }),
    attack("repository-with-a-host", || {
        edited("[\"apps/web\"]", "[\"evil.example:5000/web\"]")
    }),
    attack("tag-with-control-characters", || {
        edited("\"tag\":\"1.4\"", "\"tag\":\"1.4\\u001b[2J\"")
    }),
    attack("tag-with-a-slash", || {
        edited("\"tag\":\"1.4\"", "\"tag\":\"../1.4\"")
    }),
    attack("two-artifacts-of-one-name", || {
        let mut forge = Forge::image();
        let other = with_image(forge.clone(), &[]);
        forge.pieces = other.pieces;
        forge.inventory.artifacts = other.inventory.artifacts;
        written(forge)
    }),
    attack("root-of-another-media-type", || {
        edited(
            "\"root\":{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"",
            "\"root\":{\"mediaType\":\"application/vnd.oci.image.index.v1+json\"",
        )
    }),
    attack("root-that-is-a-layer", || {
        let mut forge = Forge::image();
        let layer = Descriptor::of(LAYER, LAYER_BYTES);
        forge.inventory.artifacts[0].root = DescriptorRow::from(&layer);
        forge.inventory.artifacts[0].referrers.clear();
        written(forge)
    }),
    attack("manifest-of-schema-1", || {
        let mut forge = Forge::empty();
        let kind = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        let text = ManifestText::new(kind).with("schemaVersion", 1);
        let root = forge.add_manifest(&text);
        forge.add_artifact(&root, "1.4");
        written(forge)
    }),
    attack("manifest-that-is-no-json", || {
        let mut forge = Forge::empty();
        let descriptor = forge.add(media_type::OCI_MANIFEST, b"{\"schemaVersion\":2,");
        let bytes = forge.pieces[0].bytes.clone().into();
        forge.add_artifact(&Document { descriptor, bytes }, "1.4");
        written(forge)
    }),
    attack("manifest-of-5-mib", || {
        let mut forge = Forge::empty();
        let config = forge.add(CONFIG, CONFIG_BYTES);
        let text = ManifestText::new(media_type::OCI_MANIFEST)
            .config(&config)
            .with("layers", Vec::<serde_json::Value>::new())
            .with("annotations", json!({"a": " ".repeat(5 << 20)}));
        let root = forge.add_manifest(&text);
        forge.add_artifact(&root, "1.4");
        written(forge)
    }),
    attack("indexes-nested-10-levels", || {
        let mut forge = with_image(Forge::empty(), &[]);
        let mut child = forge.inventory.artifacts[0].root.descriptor();
        for _ in 0..10 {
            child = add_index(&mut forge, &child).descriptor;
        }
        forge.inventory.artifacts[0].root = DescriptorRow::from(&child);
        written(forge)
    }),
    attack("index-that-names-itself", || {
        // A true cycle would need a hash that contains itself; this one only claims to be it.
        let mut forge = Forge::empty();
        let claimed = Digest::sha256(b"the index itself");
        let itself = Descriptor::new(media_type::OCI_INDEX, claimed, 300);
        let index = add_index(&mut forge, &itself);
        let claimed = Descriptor::new(
            media_type::OCI_INDEX,
            itself.digest,
            index.bytes.len() as u64,
        );
        forge.pieces = vec![Piece::new(&claimed, &index.bytes)];
        forge.inventory.artifacts.clear();
        let bytes = index.bytes;
        forge.add_artifact(
            &Document {
                descriptor: claimed,
                bytes,
            },
            "1.4",
        );
        written(forge)
    }),
    attack("void-as-content", || written(with_void(0))),
    attack("void-and-content-of-one-name", || written(with_void(1))),
];

fn written(forge: Forge) -> Files {
    Files::Plain(forge.write(&[KEY]))
}

/// The first `from` of the inventory is `to`; the key signs it.
fn edited(from: &str, to: &str) -> Files {
    let anatomy = Forge::image().lay().signed_by(&[KEY]);
    let edited = anatomy.with_inventory(|text| text.replacen(from, to, 1));
    Files::Plain(edited.write())
}

/// Another image under the tag that all attacks use.
fn with_image(mut forge: Forge, layers: &[Descriptor]) -> Forge {
    let config = forge.add("application/vnd.example.config+json", b"{\"other\":true}");
    let text = ManifestText::new(media_type::OCI_MANIFEST)
        .config(&config)
        .layers(layers);
    let root = forge.add_manifest(&text);
    forge.add_artifact(&root, "1.4");
    forge
}

fn add_index(forge: &mut Forge, child: &Descriptor) -> Document {
    let entries = vec![descriptor_json(child)];
    let text = ManifestText::new(media_type::OCI_INDEX).with("manifests", entries);
    forge.add_manifest(&text)
}

/// The image with a void where its raw layer should be, and the layer itself as often as asked for.
fn with_void(copies: usize) -> Forge {
    let mut forge = Forge::image();
    let layer = forge.pieces.remove(0);
    // Voids stand behind the contents here, at the place that follows from them.
    forge
        .pieces
        .splice(0..0, vec![layer.clone(); copies])
        .for_each(drop);
    let end: u64 = forge
        .clone()
        .lay()
        .entries
        .iter()
        .map_while(|entry| entry.name.starts_with("blobs/").then(|| entry.size()))
        .sum();
    let zeros = vec![0; LAYER_BYTES.len()];
    forge.inventory.voids.push(Void {
        digest: layer.descriptor.digest.clone(),
        size: layer.descriptor.size,
        offset: end + 512,
        encoding: Encoding::Raw,
        part: None,
        reason: "the source was \u{1b}[2J tired".to_owned(),
        found: Digest::sha256(&zeros),
    });
    forge.voids.push(Piece {
        bytes: zeros,
        ..layer
    });
    forge
}
