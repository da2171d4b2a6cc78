//! The README tells an auditor how to check a bundle with stock tools. These are those very lines, run
//! without airlift in reach; they hold for a bundle of ours, and fail for one that was changed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::command::Airlift;
use crate::support::real::{run, tool_or_skip};

const MARKER: &str = "<!-- auditor -->\n```sh\n";

fn lines_of_the_readme() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, after) = text.split_once(MARKER).expect("the lines are marked");
    let (lines, _) = after.split_once("```\n").expect("the block ends");
    lines.to_owned()
}

/// A desk with `march.tar.zst` and `ops.key.pub`, as the README has them. `None`: a tool is missing.
fn desk_or_skip() -> Option<TempDir> {
    for tool in ["tar", "zstd", "openssl", "sha256sum"] {
        tool_or_skip(tool)?;
    }
    let desk = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = |below: &str| root.join(below).display().to_string();
    fs::copy(
        path("fixtures/keys/snakeoil-p256.pub"),
        desk.path().join("ops.key.pub"),
    )
    .unwrap();
    Airlift::new(&[
        "export",
        &format!("oci:{}", path("fixtures/foreign/buildah-multiarch")),
        &format!("oci:{}", path("fixtures/foreign/cosign-signed")),
        "--container",
        ".",
        "--name",
        "march",
        "--sign-key",
        &path("fixtures/keys/snakeoil-p256"),
    ])
    .directory(desk.path())
    .run()
    .assert_success();
    Some(desk)
}

fn audit(desk: &Path) -> Output {
    Command::new("sh")
        .args(["-c", &lines_of_the_readme()])
        .current_dir(desk)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap()
}

/// Unpacks the bundle, lets `change` at it, and packs it again with stock tools.
fn repack(desk: &Path, change: impl FnOnce(&Path)) {
    let (tar, work) = (tool_or_skip("tar").unwrap(), desk.join("work"));
    fs::create_dir(&work).unwrap();
    let (bundle, folder) = (desk.join("march.tar.zst"), work.display().to_string());
    let bundle = bundle.display().to_string();
    run(&tar, &["--zstd", "-xf", &bundle, "-C", &folder]);
    change(&work);
    run(&tar, &["--zstd", "-cf", &bundle, "-C", &folder, "."]);
}

#[track_caller]
fn assert_refused(desk: &Path) {
    let output = audit(desk);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success(), "accepted:\n{text}");
    assert!(!text.contains("is what its sender signed"), "{text}");
}

fn any_blob(work: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(work.join("blobs/sha256")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.remove(0)
}

#[test]
fn stock_tools_prove_a_bundle() {
    let Some(desk) = desk_or_skip() else { return };
    let output = audit(desk.path());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout),
        "Verified OK\nthe bundle is what its sender signed\n"
    );
}

#[test]
fn stock_tools_refuse_changed_content() {
    let Some(desk) = desk_or_skip() else { return };
    repack(desk.path(), |work| {
        let blob = any_blob(work);
        let mut bytes = fs::read(&blob).unwrap();
        bytes[0] ^= 1;
        fs::write(blob, bytes).unwrap();
    });
    assert_refused(desk.path());
}

#[test]
fn stock_tools_refuse_content_that_was_added() {
    let Some(desk) = desk_or_skip() else { return };
    repack(desk.path(), |work| {
        let hex = airlift::oci::Digest::sha256(b"smuggled").hex();
        fs::write(work.join("blobs/sha256").join(hex), b"smuggled").unwrap();
    });
    assert_refused(desk.path());
}

#[test]
fn stock_tools_refuse_content_that_was_left_out() {
    let Some(desk) = desk_or_skip() else { return };
    repack(desk.path(), |work| fs::remove_file(any_blob(work)).unwrap());
    assert_refused(desk.path());
}

#[test]
fn stock_tools_refuse_a_changed_inventory() {
    let Some(desk) = desk_or_skip() else { return };
    repack(desk.path(), |work| {
        let path = work.join("airlift/inventory.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replacen("\"1.0\"", "\"1.1\"", 1)).unwrap();
    });
    assert_refused(desk.path());
}

#[test]
fn stock_tools_refuse_another_signer() {
    let Some(desk) = desk_or_skip() else { return };
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keys/snakeoil-p256-other.pub");
    fs::copy(other, desk.path().join("ops.key.pub")).unwrap();
    assert_refused(desk.path());
}
