//! Imports into a layout directory that are killed: every name in the index leads to whole content, and
//! after the next run the directory is that of an undisturbed one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use airlift::oci::{Digest, Manifest, media_type};
use serde_json::Value;
use tempfile::TempDir;

use super::{KILLS, World, export, files, import, kill_at_random_times};
use crate::road::{references, source_of};
use crate::support::artifacts::{Mix, arbitrary_graph_of};
use crate::support::command::Running;
use crate::support::registry::Referrers;

const GRAPH_SEED: u64 = 8;

type Files = BTreeMap<String, Vec<u8>>;

struct Import {
    container: TempDir,
    /// What an undisturbed run leaves: files, and the entries of the index in any order.
    blobs: Files,
    entries: BTreeSet<String>,
}

impl Import {
    fn new() -> Self {
        let graph = arbitrary_graph_of(GRAPH_SEED, Mix::ALL.small());
        let source = source_of(&graph, Referrers::Served);
        let container = tempfile::tempdir().unwrap();
        export(&references(&source, &graph), container.path())
            .run()
            .assert_success();
        let layout = tempfile::tempdir().unwrap();
        let target = target_of(layout.path());
        import(container.path(), &target).run().assert_success();
        let (blobs, entries) = take_apart(files(layout.path()));
        assert!(!entries.is_empty());
        Self {
            container,
            blobs,
            entries,
        }
    }
}

fn target_of(path: &Path) -> String {
    format!("oci:{}", path.display())
}

/// All files but the index, and the entries of the index.
fn take_apart(mut files: Files) -> (Files, BTreeSet<String>) {
    let index = files.remove("index.json").unwrap_or_else(|| b"{}".to_vec());
    let index: Value = serde_json::from_slice(&index).expect("the index is always JSON");
    let entries = index["manifests"].as_array().cloned().unwrap_or_default();
    let entries = entries.into_iter().map(|entry| entry.to_string());
    (files, entries.collect())
}

impl World for Import {
    type Fresh = TempDir;

    fn make(&self) -> TempDir {
        tempfile::tempdir().unwrap()
    }

    fn start(&self, layout: &TempDir) -> Running {
        import(self.container.path(), &target_of(layout.path())).spawn()
    }

    fn check_interrupted(&self, layout: &TempDir) {
        let (files, entries) = take_apart(files(layout.path()));
        for (name, bytes) in &files {
            let is_whole = self.blobs.get(name) == Some(bytes);
            assert!(
                is_whole || name.ends_with(".partial"),
                "`{name}` is not whole"
            );
        }
        for entry in entries {
            assert!(self.entries.contains(&entry), "{entry}");
            let entry: Value = serde_json::from_str(&entry).unwrap();
            assert_complete(&files, entry["digest"].as_str().unwrap());
        }
    }

    fn check_finished(&self, layout: &TempDir) {
        let (files, entries) = take_apart(files(layout.path()));
        let names: Vec<_> = files.keys().collect();
        assert!(files == self.blobs, "{names:?}");
        assert_eq!(entries, self.entries);
    }
}

/// Every name of a layout leads to whole content. A layout that was not begun is sound.
pub(crate) fn assert_sound(layout: &Path) {
    let (files, entries) = match layout.exists() {
        true => take_apart(files(layout)),
        false => return,
    };
    for entry in entries {
        let entry: Value = serde_json::from_str(&entry).unwrap();
        assert_complete(&files, entry["digest"].as_str().unwrap());
    }
}

/// Both hold the same files, and the same entries in any order.
pub(crate) fn assert_same(found: &Path, expected: &Path) {
    let (found, expected) = (take_apart(files(found)), take_apart(files(expected)));
    let names: [Vec<&String>; 2] = [found.0.keys().collect(), expected.0.keys().collect()];
    assert_eq!(names[0], names[1]);
    assert!(found.0 == expected.0, "the same names, and other bytes");
    assert_eq!(found.1, expected.1);
}

/// Everything below the manifest `digest` is there, foreign layers apart.
fn assert_complete(files: &Files, digest: &str) {
    let path = |digest: &str| format!("blobs/{}", digest.replace(':', "/"));
    let bytes = files
        .get(&path(digest))
        .unwrap_or_else(|| panic!("`{digest}` is missing"));
    let parsed: Digest = digest.parse().unwrap();
    assert_eq!(Digest::of(parsed.algorithm(), bytes), parsed);
    let Ok(manifest) = Manifest::parse(bytes, "") else {
        return;
    };
    for child in &manifest.children {
        assert_complete(files, &child.descriptor.digest.to_string());
    }
    for blob in manifest
        .blobs()
        .filter(|blob| !media_type::is_foreign(&blob.media_type))
    {
        let digest = blob.digest.to_string();
        assert!(files.contains_key(&path(&digest)), "`{digest}` is missing");
    }
}

#[test]
fn an_import_into_a_layout_that_is_killed_at_any_time_is_repeated_safely() {
    kill_at_random_times(&Import::new(), KILLS);
}

/// Killed between the first two steps, a run left a directory that no later run would take.
#[test]
fn a_layout_that_was_only_begun_is_taken_up_again() {
    let world = Import::new();
    let layout = world.make();
    std::fs::write(layout.path().join("oci-layout.partial"), "{").unwrap();
    super::finish(&world, &layout);
}
