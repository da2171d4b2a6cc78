//! Bundles that earlier versions wrote: they import for ever, to the same digests.
//!
//! The code that made them is kept, so that a new format version can be frozen the same way; it runs only
//! when `AIRLIFT_WRITE_FIXTURES` is set, and never over what is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use airlift::content::Memory;
use airlift::oci::{Algorithm, Descriptor, Digest, Repository, media_type};
use tokio::runtime::{Builder, Runtime};

use crate::bundle::road::{Export, deliver, names_in, plan_imports, trust, verify};
use crate::bundle::warped::{Warp, Warped};
use crate::support::artifacts::{
    Dice, LAYER, ManifestText, Root, SIGNATURE, image, index, referrer_of,
};

const KEY: &str = "snakeoil-p256";
const BUNDLES: [&str; 5] = ["plain", "guard", "referrers", "void", "volumes"];
const TEXT: &str = "application/vnd.oci.image.layer.v1.tar";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/frozen/v1")
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The objects of a bundle: its name, and for volumes a number behind it.
fn objects(bundle: &str) -> Vec<PathBuf> {
    let names = names_in(&fixtures()).into_iter();
    let is_of = |name: &String| name.split('.').next() == Some(bundle);
    let objects = names.filter(is_of);
    objects.map(|name| fixtures().join(name)).collect()
}

/// What an import of the bundle delivers, one line for each tag.
async fn delivered(bundle: &str) -> String {
    let folder = tempfile::tempdir().expect("a directory");
    for object in objects(bundle) {
        let name = object.file_name().expect("a name");
        fs::copy(&object, folder.path().join(name)).expect("the directory is ours");
    }
    let policy = trust(&[KEY]);
    for volume in verify(folder.path(), &policy).await.expect("it is read") {
        // Frames that another zstd would write otherwise are proven by their content.
        assert_eq!(volume.faults, [], "{bundle}");
    }
    let target = Arc::new(Memory::new());
    for plan in plan_imports(folder.path(), &policy)
        .await
        .expect("it is admitted")
    {
        deliver(&plan, &target).await.expect("it is delivered");
    }
    let (tags, contents) = target.snapshot();
    let lines = tags
        .iter()
        .map(|((repository, tag), digest)| format!("{bundle} {repository}:{tag} {digest}\n"));
    format!(
        "{bundle} {} contents\n{}",
        contents.len(),
        lines.collect::<String>()
    )
}

#[test]
fn frozen_bundles_import_to_the_same_digests() {
    let list = fixtures().join("DIGESTS");
    if std::env::var_os("AIRLIFT_WRITE_FIXTURES").is_some() && !list.exists() {
        fs::create_dir_all(fixtures()).expect("the fixtures are ours");
        runtime().block_on(freeze());
        let found: String = BUNDLES
            .map(|name| runtime().block_on(delivered(name)))
            .concat();
        fs::write(&list, found).expect("the fixtures are ours");
    }
    let expected = fs::read_to_string(&list).expect("fixtures/frozen/v1/DIGESTS");
    let found: String = BUNDLES
        .map(|name| runtime().block_on(delivered(name)))
        .concat();
    assert_eq!(found, expected);
}

#[test]
fn a_frozen_void_is_still_told() {
    let verified = runtime().block_on(verify(&objects("void")[0], &trust(&[KEY])));
    assert_eq!(verified.expect("it is read")[0].voids, 1);
}

#[test]
fn every_frozen_object_belongs_to_a_bundle() {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for bundle in BUNDLES {
        count.insert(bundle, objects(bundle).len());
    }
    let expected = [
        ("guard", 1),
        ("plain", 1),
        ("referrers", 1),
        ("void", 1),
        ("volumes", 4),
    ];
    assert_eq!(count, BTreeMap::from(expected));
    let objects: usize = count.values().sum();
    assert_eq!(
        names_in(&fixtures()).len(),
        objects + 1,
        "and the list of digests"
    );
}

/// Writes the bundles of this format version.
async fn freeze() {
    let world = World::new();
    let memory = Arc::new(world.memory);
    let source = || Arc::clone(&memory) as Arc<dyn airlift::content::Source>;
    let export = |name, roots| {
        let mut export = Export::new(source(), roots).signed(&[KEY]);
        export.name = name;
        export
    };
    let into = fixtures();
    let plain = export("plain", &world.app[..]);
    plain.run(&into).await.expect("it is written");
    let guard = export("guard", &world.app[..]).guard();
    guard.run(&into).await.expect("it is written");
    let referrers = export("referrers", &world.signed[..]);
    referrers.run(&into).await.expect("it is written");
    let volumes = export("volumes", &world.app[..]).volumes_of(100_000);
    volumes.run(&into).await.expect("it is written");
    let mut void = export("void", &world.broken[..]).continue_on_errors();
    void.source = Warped::at(&memory, &world.large, Warp::BrokenAt(10 << 20));
    void.run(&into).await.expect("it is written");
}

/// What the bundles of version 1 were made from.
struct World {
    memory: Memory,
    app: Vec<Root>,
    signed: Vec<Root>,
    broken: Vec<Root>,
    /// A layer that compresses to nearly nothing, so that the void of it is small.
    large: Digest,
}

impl World {
    fn new() -> Self {
        let memory = Memory::new();
        let app = make_app(&memory);
        let signed = make_signed(&memory);
        let name: Repository = "apps/broken".parse().expect("a repository name");
        let bytes = vec![7; 13 << 20];
        let large = Digest::sha256(&bytes);
        let layer = memory.put_blob(&name, TEXT, large.clone(), bytes);
        let text = ManifestText::new(media_type::OCI_MANIFEST)
            .config(&layer)
            .layers(std::slice::from_ref(&layer));
        let bad = text.document(Algorithm::Sha256);
        memory.put_manifest(&name, bad.clone(), None);
        let good = image(&memory, &name, "amd64", &[b"good"]);
        let broken = vec![
            root(&memory, &name, "bad", bad),
            root(&memory, &name, "good", good),
        ];
        Self {
            memory,
            app,
            signed,
            broken,
            large,
        }
    }
}

fn root(
    memory: &Memory,
    name: &Repository,
    tag: &str,
    document: airlift::content::Document,
) -> Root {
    let tag = tag.parse().expect("a tag");
    memory.put_manifest(name, document.clone(), Some(&tag));
    Root {
        repository: name.clone(),
        tag: Some(tag),
        digest: document.descriptor.digest,
    }
}

/// An index of two images: raw and compressed layers, one under SHA-512, one of no bytes.
fn make_app(memory: &Memory) -> Vec<Root> {
    let name: Repository = "apps/web".parse().expect("a repository name");
    let noise = Dice::new(1).noise(135_000);
    let amd64 = image(memory, &name, "amd64", &[&noise, b""]);
    let text = "a line that comes again\n".repeat(3000);
    let digest = Digest::of(Algorithm::Sha512, text.as_bytes());
    let wide: Descriptor = memory.put_blob(&name, TEXT, digest, text);
    let raw = memory.put_blob(&name, LAYER, Digest::sha256(&noise), noise);
    let manifest = ManifestText::new(media_type::OCI_MANIFEST)
        .config(&wide)
        .layers(&[raw, wide.clone()])
        .spaced()
        .document(Algorithm::Sha256);
    memory.put_manifest(&name, manifest.clone(), None);
    let both = index(memory, &name, &[("amd64", &amd64), ("arm64", &manifest)]);
    vec![root(memory, &name, "1.4", both)]
}

/// An image with a signature, a signature of that, and a tag as cosign makes them.
fn make_signed(memory: &Memory) -> Vec<Root> {
    let name: Repository = "apps/signed".parse().expect("a repository name");
    let document = image(memory, &name, "amd64", &[b"signed"]);
    let signature = referrer_of(memory, &name, &document.descriptor, SIGNATURE);
    referrer_of(memory, &name, &signature.descriptor, SIGNATURE);
    let cosign = image(memory, &name, "cosign", &[b"payload"]);
    let tag = format!("sha256-{}.sig", document.descriptor.digest.hex());
    memory.put_manifest(&name, cosign, Some(&tag.parse().expect("a tag")));
    vec![root(memory, &name, "2.0", document)]
}
