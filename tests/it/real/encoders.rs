//! Layers as real programs compress them here and now: each is recognised and made again byte for byte, those of
//! buildah, skopeo, Go and zlib by an exact encoder, those of GNU gzip and pigz at least by corrections.

use std::fs;
use std::io::{Cursor, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use airlift::dense::gzip::{Method, Recompression, Share, put_together, take_apart};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{fixture, text};
use crate::support::artifacts::Dice;
use crate::support::command::corrector;
use crate::support::real::{run, tool_or_skip};

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
/// More than two blocks of pgzip, and more than what an encoder is recognised on.
const LAYER_BYTES: usize = 2_300_000;
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Bytes as they are in layers: text with repetitions, records that are like each other, noise and zeros.
fn layer() -> Vec<u8> {
    let mut dice = Dice::new(11);
    let mut layer = Vec::with_capacity(LAYER_BYTES + 40_000);
    while layer.len() < LAYER_BYTES {
        let end = layer.len() + 2_000 + draw(&mut dice, 20_000);
        match draw(&mut dice, 8) {
            0 => layer.resize(end, 0),
            1 => layer.resize_with(end, || draw(&mut dice, 256).to_le_bytes()[0]),
            2 | 3 => add_records(&mut layer, end, &mut dice),
            _ => add_lines(&mut layer, end, &mut dice),
        }
    }
    layer.truncate(LAYER_BYTES);
    layer
}

fn draw(dice: &mut Dice, limit: usize) -> usize {
    usize::try_from(dice.roll() >> 33).expect("31 bits") % limit
}

fn add_lines(layer: &mut Vec<u8>, end: usize, dice: &mut Dice) {
    while layer.len() < end {
        let (name, number) = (draw(dice, 900) * draw(dice, 30), draw(dice, 70_000));
        layer.extend(
            format!("usr/lib/python3/{name:x}/module_{number}.py = \"{name:o}\"\n").bytes(),
        );
        if draw(dice, 9) == 0 && layer.len() > 40_000 {
            let from = layer.len() - 1 - draw(dice, 35_000);
            let to = layer.len().min(from + 20 + draw(dice, 600));
            layer.extend_from_within(from..to);
        }
    }
}

fn add_records(layer: &mut Vec<u8>, end: usize, dice: &mut Dice) {
    let mut address = draw(dice, 1 << 20);
    while layer.len() < end {
        address += 4 * draw(dice, 9);
        let low = address.to_le_bytes();
        let operation = [0x48, 0x8b, 0xe8, 0x0f][draw(dice, 4)];
        layer.extend([operation, low[0] & 7, low[0], low[1], low[2], 0, 0xff]);
    }
}

/// Takes a stream apart, and puts the same bytes together; who wrote it.
#[track_caller]
fn recognise(what: &str, compressed: &[u8]) -> Vec<Share> {
    let mut plain = Vec::new();
    let taken = take_apart(&mut Cursor::new(compressed), &mut plain, TWO, &corrector());
    let recompression = taken.unwrap();
    let recompression = recompression.unwrap_or_else(|| panic!("{what}: goes verbatim"));
    let bytes = recompression.to_bytes();
    let read = Recompression::from_bytes(&bytes).unwrap();
    let mut again = Vec::new();
    put_together(&read, &mut &*plain, &mut again, TWO, &corrector()).unwrap();
    assert!(again == compressed, "{what}: other bytes than before");
    let shares = read.shares();
    for share in &shares {
        let (method, kept) = (share.method, bytes.len());
        eprintln!("{what}: {method}, {} bytes, {kept} kept", compressed.len());
    }
    shares
}

/// The same, where one exact encoder wrote all of it.
#[track_caller]
fn assert_exact(what: &str, compressed: &[u8], accepts: impl Fn(&str) -> bool) {
    match &recognise(what, compressed)[..] {
        [
            Share {
                method: Method::Exact(encoder),
                ..
            },
        ] if accepts(&encoder.to_string()) => {}
        shares => panic!("{what}: {shares:?}"),
    }
}

/// What a program makes of its standard input.
fn compress(program: &Path, arguments: &[&str], plain: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let mut input = child.stdin.take().expect("it is piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(plain).expect("it reads its input"));
        child.wait_with_output().expect("it ends")
    });
    assert!(output.status.success(), "{}", program.display());
    output.stdout
}

/// Whether the name is that of pgzip, whatever the release that this machine's tools are built with.
fn is_pgzip(encoder: &str) -> bool {
    encoder.starts_with("pgzip klauspost-") && encoder.ends_with(" 5")
}

/// The blob of the only layer of a layout.
fn read_layer(layout: &Path) -> Vec<u8> {
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().expect("a digest");
        let hex = digest.strip_prefix("sha256:").expect("SHA-256");
        fs::read(layout.join("blobs/sha256").join(hex)).unwrap()
    };
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let index = read(&fs::read(layout.join("index.json")).unwrap());
    let manifest = read(&blob(&index["manifests"][0]));
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    blob(&manifest["layers"][0])
}

/// A layout with one layer that is not compressed.
fn write_layout(layout: &Path, layer: &[u8]) {
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let store = |media_type: &str, bytes: &[u8]| {
        let digest = Sha256::digest(bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(layout.join("blobs/sha256").join(&hex), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()})
    };
    let layer = store(LAYER_TYPE, layer);
    let root = json!({"type": "layers", "diff_ids": [layer["digest"]]});
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": root}).to_string();
    let config = store(CONFIG_TYPE, config.as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": [layer]});
    let mut manifest = store(MANIFEST_TYPE, manifest.to_string().as_bytes());
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "it"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion": "1.0.0"}"#,
    )
    .unwrap();
}

/// A layer as buildah writes it when it commits a tree.
fn commit_with_buildah(buildah: &Path, directory: &TempDir) -> PathBuf {
    let place = |name: &str| text(&directory.path().join(name));
    fs::create_dir(place("tree")).unwrap();
    for (number, content) in layer().chunks(300_000).enumerate() {
        fs::write(directory.path().join(format!("tree/{number}")), content).unwrap();
    }
    let (root, state) = (place("store"), place("run"));
    let call = |arguments: &[&str]| {
        let storage = [
            "--root",
            &root,
            "--runroot",
            &state,
            "--storage-driver",
            "vfs",
        ];
        run(buildah, &[&storage[..], arguments].concat())
    };
    let container = call(&["from", "scratch"]);
    let (container, layout) = (container.trim(), format!("oci:{}:it", place("layout")));
    call(&["add", "--quiet", container, &place("tree"), "/"]);
    call(&[
        "commit",
        "--quiet",
        "--timestamp",
        "0",
        "--disable-compression=false",
        container,
        &layout,
    ]);
    call(&["rm", container]);
    directory.path().join("layout")
}

#[test]
fn what_buildah_writes_is_named_exactly() {
    let Some(buildah) = tool_or_skip("buildah") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let layout = commit_with_buildah(&buildah, &directory);
    assert_exact("buildah", &read_layer(&layout), is_pgzip);
}

#[test]
fn what_skopeo_writes_is_named_exactly() {
    let Some(skopeo) = tool_or_skip("skopeo") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let [source, target] = ["source", "target"].map(|name| directory.path().join(name));
    write_layout(&source, &layer());
    let [from, to] = [&source, &target].map(|layout| format!("oci:{}:it", text(layout)));
    let how = ["--dest-compress", "--dest-compress-format", "gzip"];
    let start = ["--insecure-policy", "copy", "--quiet"];
    run(&skopeo, &[&start[..], &how, &[&from, &to]].concat());
    assert_exact("skopeo", &read_layer(&target), is_pgzip);
}

#[test]
fn what_go_writes_is_named_exactly() {
    let Some(go) = tool_or_skip("go") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("go-gzip");
    let built = Command::new(go)
        .args(["build", "-o"])
        .arg(&program)
        .arg(fixture("encoders/go-gzip.go"))
        .env("GO111MODULE", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOCACHE", directory.path().join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    let layer = layer();
    // Its slow levels are slower still in a build for tests; this is more than they are recognised on.
    let layer = &layer[..1_400_000];
    for level in ["1", "6", "9"] {
        let expected = format!("go-1.19 {level}");
        let stream = compress(&program, &[level], layer);
        assert_exact(&format!("Go {level}"), &stream, |encoder| {
            encoder == expected
        });
    }
}

#[test]
fn what_zlib_writes_for_python_is_named_exactly() {
    const PROGRAM: &str = "import sys, zlib\n\
        stream = zlib.compressobj(int(sys.argv[1]), zlib.DEFLATED, 31)\n\
        sys.stdout.buffer.write(stream.compress(sys.stdin.buffer.read()) + stream.flush())";
    let Some(python) = tool_or_skip("python3") else {
        return;
    };
    let layer = layer();
    for level in ["6", "9"] {
        let expected = format!("zlib {level}");
        let stream = compress(&python, &["-c", PROGRAM, level], &layer);
        assert_exact(&format!("Python {level}"), &stream, |encoder| {
            encoder == expected
        });
    }
}

/// The fast levels of pigz, 1 to 3, are not among them: no prediction is near to them, and they go verbatim.
#[test]
fn what_gzip_and_pigz_write_is_made_again() {
    let layer = layer();
    for (name, arguments) in [
        ("gzip", ["-1", "-c", "-n"]),
        ("gzip", ["-6", "-c", "-n"]),
        ("gzip", ["-9", "-c", "-n"]),
        ("pigz", ["-6", "-c", "-p1"]),
        ("pigz", ["-6", "-c", "-p2"]),
        ("pigz", ["-9", "-c", "-p1"]),
    ] {
        let Some(program) = tool_or_skip(name) else {
            return;
        };
        let stream = compress(&program, &arguments, &layer);
        let shares = recognise(&format!("{name} {}", arguments[0]), &stream);
        let corrections_bytes: u64 = shares.iter().map(|share| share.corrections_bytes).sum();
        assert!(
            corrections_bytes * 100 < stream.len() as u64,
            "{name} {arguments:?}: {corrections_bytes} bytes of corrections"
        );
    }
}
