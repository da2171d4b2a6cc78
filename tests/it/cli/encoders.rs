//! Which encoders wrote the layers of artifacts, as `inspect --encoders` tells.

use std::fs;
use std::io::Write;

use airlift::content::Memory;
use airlift::oci::{Algorithm, Repository, media_type};
use flate2::Compression;
use flate2::write::GzEncoder;
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::json::assert_documented;
use super::{Desk, repository_root};
use crate::support::artifacts::{Dice, LAYER, ManifestText, blob, image, index};
use crate::support::registry::{Fault, Registry, When};

const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// A file that a real encoder wrote.
fn written_by(name: &str) -> Vec<u8> {
    fs::read(repository_root().join("fixtures/encoders").join(name)).unwrap()
}

fn repository() -> Repository {
    "apps/web".parse().unwrap()
}

fn serve(memory: &Memory) -> Registry {
    let registry = Registry::start();
    registry.seed(memory);
    registry
}

/// `apps/web:1.4`: an index of two images that share a layer.
fn index_of_all() -> Registry {
    let memory = Memory::new();
    let repository = repository();
    let shared = written_by("pgzip/buildah.gz");
    let small = [
        "go/tar-small.9.gz",
        "python/layer.6.gz",
        "several/estargz.gz",
    ];
    let small = small.map(written_by);
    let layers: Vec<&[u8]> = [&shared]
        .into_iter()
        .chain(&small)
        .map(|it| &**it)
        .collect();
    let amd64 = image(&memory, &repository, "amd64", &layers);
    let typed = [
        (LAYER, shared.clone()),
        (LAYER, written_by("gzip/large.6.gz")),
        (LAYER, written_by("others/truncated.gz")),
        (LAYER, b"this was never compressed".to_vec()),
        (ZSTD, written_by("others/layer.zst")),
        (TAR, vec![0; 10_240]),
    ];
    let layers = typed.map(|(kind, bytes)| blob(&memory, &repository, kind, bytes));
    let config = blob(
        &memory,
        &repository,
        "application/vnd.oci.image.config.v1+json",
        json!({"os": "linux", "architecture": "arm64"}).to_string(),
    );
    let arm64 = ManifestText::new(media_type::OCI_MANIFEST)
        .config(&config)
        .layers(&layers)
        .document(Algorithm::Sha256);
    memory.put_manifest(&repository, arm64.clone(), None);
    let both = index(
        &memory,
        &repository,
        &[("amd64", &amd64), ("arm64", &arm64)],
    );
    memory.put_manifest(&repository, both, Some(&"1.4".parse().unwrap()));
    serve(&memory)
}

fn gzip(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn inspect(registry: &Registry, more: &str) -> crate::support::command::Output {
    let line = format!(
        "inspect --encoders {}/apps/web:1.4 {more}",
        registry.address()
    );
    Desk::new().run(&line)
}

#[test]
fn an_index_tells_the_encoder_of_each_layer_once() {
    let registry = index_of_all();
    let address = registry.address();
    let told = Desk::new().transcript(&[&format!("inspect --encoders {address}/apps/web:1.4")]);
    assert_snapshot!(told);
    // Nine layers, and what is recognised by its beginning is not fetched again.
    assert_eq!(registry.log().count("GET", "/blobs/"), 9);
}

#[test]
fn every_layer_of_zlib_is_named_with_its_level_whatever_its_size() {
    let memory = Memory::new();
    let mut dice = Dice::new(7);
    let large: Vec<u8> = (0..40)
        .flat_map(|_| [dice.noise(100_000), vec![b'x'; 100_000]].concat())
        .collect();
    let layers = [
        gzip(&large, 6),
        gzip(&large, 9),
        gzip(b"a layer of one line", 6),
    ];
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let document = image(&memory, &repository(), "amd64", &layers);
    memory.put_manifest(&repository(), document, Some(&"1.4".parse().unwrap()));
    let registry = serve(&memory);
    let told = inspect(&registry, "--output json").json();
    let of_layer = |layer: &Value| {
        assert_eq!(layer["method"], "exact");
        (
            layer["encoders"][0]["name"].as_str().unwrap().to_owned(),
            layer["plainBytes"].as_u64().unwrap(),
        )
    };
    let found: Vec<_> = told["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(of_layer)
        .collect();
    let size = large.len() as u64;
    let expected = [("zlib 6", size), ("zlib 9", size), ("zlib 6", 19)];
    assert_eq!(found, expected.map(|(name, size)| (name.to_owned(), size)));
    let all: usize = layers.iter().map(|it| it.len()).sum();
    assert_eq!(
        told["methods"][0],
        json!({"method": "exact", "layers": 3, "sizeBytes": all})
    );
}

#[test]
fn a_layer_with_other_bytes_is_an_error_and_no_row() {
    for name in [
        "pgzip/buildah.gz",
        "others/truncated.gz",
        "others/layer.zst",
    ] {
        let memory = Memory::new();
        let layer = written_by(name);
        let document = image(&memory, &repository(), "amd64", &[&layer]);
        memory.put_manifest(&repository(), document, Some(&"1.4".parse().unwrap()));
        let registry = serve(&memory);
        let digest = airlift::oci::Digest::sha256(&layer);
        let when = When::get(&format!("/blobs/{digest}")).always();
        registry.fault(when, Fault::FlipByte(layer.len() - 1));
        let told = inspect(&registry, "");
        told.assert_code(4).assert_stderr(&digest.to_string());
        assert_eq!(told.stdout, "");
    }
}

#[test]
fn a_layout_is_inspected_too_and_a_reference_is_no_bundle() {
    let desk = Desk::with_bundle();
    let told = desk.run("inspect --encoders oci:near/buildah-multiarch");
    told.assert_success()
        .assert_stdout("pgzip 5 (klauspost 1.15.10–1.18.0)");
    for line in [
        "inspect",
        "inspect usb --encoders oci:near/helm-chart",
        "inspect usb --plain-http",
        "inspect --encoders oci:near/helm-chart --trust ops.key.pub",
    ] {
        desk.run(line).assert_code(2);
    }
}

#[test]
fn encoders_are_printed_as_documented() {
    let registry = index_of_all();
    let told = inspect(&registry, "--output json").json();
    assert_documented("inspect --encoders", &[told]);
}
