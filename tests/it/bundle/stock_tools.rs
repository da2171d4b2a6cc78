//! What other people's tools make of a bundle: `zstd`, `tar` and `skopeo` read it without us.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use super::road::{Export, Profile, names_in};
use super::round_trip::runtime;
use crate::support::artifacts::{Dice, Root, helm_chart, image, index};
use crate::support::command::airlift;
use crate::support::real::{run, tool_or_skip};
use airlift::content::Memory;
use airlift::oci::Digest;
use std::sync::Arc;

const KEY: &str = "snakeoil-p256";

/// An image of two platforms, a chart, and where they are tagged.
struct World {
    memory: Arc<Memory>,
    roots: Vec<Root>,
}

fn world() -> World {
    let memory = Memory::new();
    let mut dice = Dice::new(11);
    let repository = "apps/web".parse().expect("a repository name");
    let layer = dice.noise(300_000);
    let amd64 = image(&memory, &repository, "amd64", &[&layer, b"one"]);
    let arm64 = image(&memory, &repository, "arm64", &[&layer, b"two"]);
    let both = index(
        &memory,
        &repository,
        &[("amd64", &amd64), ("arm64", &arm64)],
    );
    let charts = "charts/web".parse().expect("a repository name");
    let chart = helm_chart(&memory, &charts, "web");
    let roots = [(repository, both, "1.4"), (charts, chart, "1.2.3")];
    let roots = roots.map(|(repository, document, tag)| {
        let tag = tag.parse().expect("a tag");
        memory.put_manifest(&repository, document.clone(), Some(&tag));
        Root {
            repository,
            tag: Some(tag),
            digest: document.descriptor.digest,
        }
    });
    World {
        memory: Arc::new(memory),
        roots: roots.into(),
    }
}

/// Exports the world and says the paths of the volumes.
fn exported(change: impl FnOnce(Export<'_>) -> Export<'_>) -> (TempDir, Vec<String>) {
    let world = world();
    let directory = tempdir().expect("a directory");
    let export = Export::new(Arc::clone(&world.memory) as _, &world.roots).signed(&[KEY]);
    runtime()
        .block_on(change(export).run(directory.path()))
        .unwrap();
    let path = |name: &String| directory.path().join(name).display().to_string();
    let paths = names_in(directory.path()).iter().map(path).collect();
    (directory, paths)
}

/// Copies both artifacts out of the layout with `skopeo`, and compares the digests.
fn check_with_skopeo(skopeo: &Path, layout: &Path) {
    let world = world();
    let out = tempdir().expect("a directory");
    for root in &world.roots {
        let tag = root.tag.as_ref().expect("every root has a tag");
        let name = format!("{}:{tag}", root.repository);
        let source = format!("oci:{}:{name}", layout.display());
        let target = format!("dir:{}", out.path().join(tag.as_str()).display());
        // No policy file of the machine decides over a test.
        run(
            skopeo,
            &[
                "--insecure-policy",
                "copy",
                "--all",
                "--preserve-digests",
                "-q",
                &source,
                &target,
            ],
        );
        let manifest = fs::read(out.path().join(tag.as_str()).join("manifest.json")).unwrap();
        assert_eq!(Digest::sha256(&manifest), root.digest, "{name}");
    }
}

/// `zstd -dc OBJECT | tar -x -C DIRECTORY`
fn unpack_by_pipe(zstd: &Path, object: &str, directory: &Path) {
    let mut unzstd = Command::new(zstd)
        .args(["-dc", object])
        .stdout(Stdio::piped())
        .spawn()
        .expect("zstd starts");
    let status = Command::new("tar")
        .arg("-x")
        .arg("-C")
        .arg(directory)
        .stdin(unzstd.stdout.take().expect("it is a pipe"))
        .status();
    assert!(unzstd.wait().expect("zstd ends").success());
    assert!(status.expect("tar ends").success());
}

#[test]
fn zstd_and_tar_accept_a_bundle() {
    let (Some(zstd), Some(tar)) = (tool_or_skip("zstd"), tool_or_skip("tar")) else {
        return;
    };
    let (_directory, paths) = exported(|export| export);
    run(&zstd, &["-q", "-t", &paths[0]]);
    let listed = run(&tar, &["--zstd", "-tf", &paths[0]]);
    let names: Vec<&str> = listed.lines().collect();
    assert!(names.contains(&"oci-layout") && names.contains(&"index.json"));
    assert_eq!(names.last(), Some(&"airlift/end"));
    assert_eq!(listed.matches("blobs/sha256/").count(), 11, "{listed}");
}

#[test]
fn skopeo_reads_a_bundle_that_tar_has_unpacked() {
    let (Some(zstd), Some(skopeo)) = (tool_or_skip("zstd"), tool_or_skip("skopeo")) else {
        return;
    };
    let (_directory, paths) = exported(|export| export);
    let layout = tempdir().expect("a directory");
    unpack_by_pipe(&zstd, &paths[0], layout.path());
    check_with_skopeo(&skopeo, layout.path());
}

#[test]
fn skopeo_reads_two_volumes_in_one_directory() {
    let (Some(zstd), Some(skopeo)) = (tool_or_skip("zstd"), tool_or_skip("skopeo")) else {
        return;
    };
    let (_directory, paths) = exported(|export| export.volumes_of(325_000));
    assert_eq!(paths.len(), 2, "{paths:?}");
    let layout = tempdir().expect("a directory");
    // In the wrong order: the files of one volume do not replace those of another.
    for path in paths.iter().rev() {
        unpack_by_pipe(&zstd, path, layout.path());
    }
    check_with_skopeo(&skopeo, layout.path());
}

#[test]
fn plain_tar_reads_the_guard_profile() {
    let (Some(tar), Some(skopeo)) = (tool_or_skip("tar"), tool_or_skip("skopeo")) else {
        return;
    };
    let (_directory, paths) = exported(|mut export| {
        export.profile = Profile::Guard;
        export
    });
    assert!(paths[0].ends_with(".tar"));
    let layout = tempdir().expect("a directory");
    let into = layout.path().display().to_string();
    run(&tar, &["-xf", &paths[0], "-C", &into]);
    check_with_skopeo(&skopeo, layout.path());
}

#[test]
fn skopeo_reads_what_unpack_has_made() {
    let Some(skopeo) = tool_or_skip("skopeo") else {
        return;
    };
    let (directory, _) = exported(|export| export.volumes_of(325_000));
    let layout = tempdir().expect("a directory");
    let into = layout.path().join("layout");
    let key = format!("{}/fixtures/keys/{KEY}.pub", env!("CARGO_MANIFEST_DIR"));
    let bundle = directory.path().display().to_string();
    let target = format!("oci:{}", into.display());
    airlift(&["unpack", &bundle, &target, "--trust", &key]).assert_success();
    check_with_skopeo(&skopeo, &into);
}
