//! Things in a container that only look like objects: links, pipes and folders cannot be committed well.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use super::attacks::KEY;
use super::forge::Forge;
use crate::support::command::{Output, airlift};

/// Imports a container in which `place` has put something under the name that it is given.
fn import_with(place: impl FnOnce(&Path)) -> Output {
    let home = tempdir().expect("a directory");
    let container = home.path().join("container");
    fs::create_dir(&container).expect("the home is ours");
    fs::write(home.path().join("outside"), Forge::image().write(&[KEY])).expect("ours");
    place(&container.join("bundle.tar.zst"));
    let key = format!("{}/fixtures/keys/{KEY}.pub", env!("CARGO_MANIFEST_DIR"));
    let layout = home.path().join("layout");
    let target = format!("oci:{}", layout.display());
    let bundles = container.display().to_string();
    let output = airlift(&["import", &bundles, "--target", &target, "--trust", &key]);
    assert!(!layout.exists(), "nothing is published");
    output
}

#[test]
fn a_link_to_a_good_bundle_is_not_followed() {
    let output = import_with(|path| symlink("../outside", path).expect("a link"));
    output.assert_code(4).assert_stderr("bundle.tar.zst");
    output.assert_stderr("links are not followed");
}

#[test]
fn a_pipe_is_not_waited_for() {
    let output = import_with(|path| {
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.expect("mkfifo starts").success());
    });
    output.assert_code(4).assert_stderr("is not a regular file");
}

#[test]
fn a_folder_is_no_object() {
    let output = import_with(|path| fs::create_dir(path).expect("a folder"));
    output.assert_code(4).assert_stderr("is not a regular file");
}

#[test]
fn a_link_to_a_device_is_not_read() {
    let output = import_with(|path| symlink("/dev/zero", path).expect("a link"));
    output
        .assert_code(4)
        .assert_stderr("links are not followed");
}
