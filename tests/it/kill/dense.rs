//! Exports and imports of dense bundles that are killed: layers that were decompressed are gone with the process, and
//! the next run ends as an undisturbed one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use airlift::content::Memory;
use tempfile::TempDir;

use super::{KEY, PUBLIC_KEY, World, files, kill_at_random_times, layouts};
use crate::support::artifacts::{Dice, edit, gzip, image, tar_of};
use crate::support::command::{Airlift, Running};
use crate::support::registry::Registry;

/// They take longer than others, and meet less that is new.
const KILLS: usize = 6;

/// The image `apps/web:1.4` of three layers in one of its versions.
fn seed(source: &Registry, version: u64) {
    let repository = "apps/web".parse().unwrap();
    let layer = |number: u64| {
        let mut plain = tar_of(&mut Dice::new(number), 12, 30_000);
        for version in 1..=version {
            edit(&mut Dice::new(number << 8 | version), &mut plain);
        }
        gzip(&plain, 6)
    };
    let layers = [1, 2, 3].map(layer);
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let memory = Memory::new();
    let document = image(&memory, &repository, "amd64", &layers);
    memory.put_manifest(&repository, document, Some(&"1.4".parse().unwrap()));
    source.seed(&memory);
}

fn export(source: &Registry, directory: &Path, more: &[&str]) -> Airlift {
    let reference = format!("{}/apps/web:1.4", source.address());
    let path = |name: &str| directory.join(name).display().to_string();
    let (usb, spool) = (path("usb"), path("spool"));
    let arguments = [
        "export",
        &reference,
        "--container",
        &usb,
        "--sign-key",
        KEY,
        "--spool",
        &spool,
    ];
    Airlift::new(&[&arguments[..], more].concat()).env("SOURCE_DATE_EPOCH", "1700000000")
}

fn assert_spool_is_empty(directory: &Path) {
    if let Ok(entries) = fs::read_dir(directory.join("spool")) {
        assert_eq!(entries.count(), 0, "a decompressed layer is left");
    }
}

struct Export {
    source: Registry,
    /// What an undisturbed run leaves.
    objects: BTreeMap<String, Vec<u8>>,
}

impl Export {
    fn new() -> Self {
        let source = Registry::start();
        seed(&source, 0);
        let directory = tempfile::tempdir().unwrap();
        export(&source, directory.path(), &["--profile", "dense"])
            .run()
            .assert_success();
        let objects = files(&directory.path().join("usb"));
        assert_eq!(objects.len(), 1, "{:?}", objects.keys());
        Self { source, objects }
    }
}

impl World for Export {
    type Fresh = TempDir;

    fn make(&self) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("usb")).unwrap();
        directory
    }

    fn start(&self, directory: &TempDir) -> Running {
        export(&self.source, directory.path(), &["--profile", "dense"]).spawn()
    }

    fn check_interrupted(&self, directory: &TempDir) {
        assert_spool_is_empty(directory.path());
        for (name, bytes) in files(&directory.path().join("usb")) {
            let is_whole = self.objects.get(&name) == Some(&bytes);
            assert!(
                is_whole || name.ends_with(".partial"),
                "`{name}` is not whole"
            );
        }
    }

    fn check_finished(&self, directory: &TempDir) {
        assert_spool_is_empty(directory.path());
        assert!(files(&directory.path().join("usb")) == self.objects);
    }
}

/// A delta, and a layout that has the version before.
struct Import {
    directory: TempDir,
    undisturbed: TempDir,
}

impl Import {
    fn new() -> Self {
        let source = Registry::start();
        let directory = tempfile::tempdir().unwrap();
        let near = directory.path().join("near").display().to_string();
        let of_lane = ["--delta", "--assume-delivered", "--pipeline", "plant"];
        let of_lane = [&of_lane[..], &["--audience", "north", "--state", &near]].concat();
        for version in [0, 1] {
            seed(&source, version);
            let usb = directory.path().join("usb");
            export(&source, directory.path(), &of_lane)
                .run()
                .assert_success();
            fs::rename(usb, directory.path().join(format!("usb-{version}"))).unwrap();
        }
        let world = Self {
            directory,
            undisturbed: tempfile::tempdir().unwrap(),
        };
        for version in [0, 1] {
            let import = world.import(version, world.undisturbed.path());
            import.run().assert_success();
        }
        world
    }

    fn import(&self, version: u64, at: &Path) -> Airlift {
        let usb = self.directory.path().join(format!("usb-{version}"));
        let (usb, spool) = (usb.display().to_string(), at.join("spool"));
        let target = format!("oci:{}", at.join("far").display());
        let arguments = ["import", &usb, "--target", &target, "--trust", PUBLIC_KEY];
        let spool = spool.display().to_string();
        let more = ["--lane", "north", "--assumed-repositories", "**", "--spool"];
        Airlift::new(&[&arguments[..], &more, &[&spool]].concat())
    }
}

impl World for Import {
    type Fresh = TempDir;

    fn make(&self) -> TempDir {
        let fresh = tempfile::tempdir().unwrap();
        self.import(0, fresh.path()).run().assert_success();
        fresh
    }

    fn start(&self, fresh: &TempDir) -> Running {
        self.import(1, fresh.path()).spawn()
    }

    fn check_interrupted(&self, fresh: &TempDir) {
        assert_spool_is_empty(fresh.path());
        layouts::assert_sound(&fresh.path().join("far"));
    }

    fn check_finished(&self, fresh: &TempDir) {
        assert_spool_is_empty(fresh.path());
        let far = |directory: &TempDir| directory.path().join("far");
        layouts::assert_same(&far(fresh), &far(&self.undisturbed));
    }
}

#[test]
fn a_dense_export_that_is_killed_at_any_time_is_repeated_safely() {
    kill_at_random_times(&Export::new(), KILLS);
}

#[test]
fn the_import_of_a_delta_that_is_killed_at_any_time_is_repeated_safely() {
    kill_at_random_times(&Import::new(), KILLS);
}
