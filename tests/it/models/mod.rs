//! The models of this program, option by option, between two real `docker-registry`: pipelines of ACR Transfer as
//! `config import-acr` reads them, and Alibaba's import rules with their figures. Promotion is in `real::promotion`.
//!
//! The table in README, section "Beside its models", names for every option the test that runs it.

mod acr;
mod alibaba;
mod azure;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use airlift::content::Memory;
use airlift::oci::{Digest, Repository};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::artifacts::{dated_image, index};
use crate::support::command::{Airlift, Output};
use crate::support::real::DockerRegistry;
use crate::support::registry::Registry;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/keys");

/// Two empty registries, and a desk with keys and the configuration file.
struct Works {
    near: DockerRegistry,
    far: DockerRegistry,
    desk: TempDir,
}

impl Works {
    fn start_or_skip() -> Option<Self> {
        let works = Self {
            near: DockerRegistry::start_or_skip()?,
            far: DockerRegistry::start_or_skip()?,
            desk: tempfile::tempdir().expect("a temporary directory"),
        };
        std::fs::create_dir(works.path("keys")).expect("the desk is ours");
        for name in ["out.key", "in.key.pub"] {
            let from = match name.strip_suffix(".pub") {
                Some(_) => "snakeoil-p256.pub",
                None => "snakeoil-p256",
            };
            let key = std::fs::read(Path::new(KEYS).join(from)).expect("the key is there");
            // Written and not copied: a key that others may write to is refused.
            std::fs::write(works.path("keys").join(name), key).expect("the desk is ours");
        }
        Some(works)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.desk.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes the file; `DESK`, `NEAR` and `FAR` in it are the desk and the registries.
    fn configure(&self, text: &str) {
        let desk = self.desk.path().display().to_string();
        let text = text
            .replace("DESK", &desk)
            .replace("NEAR", &self.near.address())
            .replace("FAR", &self.far.address());
        std::fs::write(self.path("airlift.toml"), text).expect("the desk is ours");
    }

    fn command(&self, line: &str) -> Airlift {
        let words: Vec<&str> = line.split_whitespace().collect();
        Airlift::new(&words)
            .env("AIRLIFT_CONFIG", &self.text("airlift.toml"))
            .directory(self.desk.path())
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).run()
    }

    /// Names in a directory of the desk, sorted; none where it is not there.
    fn names(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory))
            .into_iter()
            .flatten();
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The newest run of a kind, as `runs show` tells it: for programs, and for people.
    fn newest_run(&self, kind: &str) -> (Value, String) {
        let state = self.text("state");
        let listed = self.run(&format!(
            "runs --kind {kind} --top 1 --state {state} --output json"
        ));
        let id = text_of(&listed.assert_success().json()["runs"][0]["id"]);
        let show = format!("runs show {id} --state {state}");
        let document = self.run(&format!("{show} --output json"));
        let shown = self.run(&show);
        (
            document.assert_success().json(),
            shown.assert_success().stdout.clone(),
        )
    }
}

/// Puts what memory holds into a registry.
fn fill(registry: &DockerRegistry, memory: &Memory) {
    let fake = Registry::start();
    fake.seed(memory);
    let container = tempfile::tempdir().expect("a temporary directory");
    let (from, container) = (fake.address(), container.path().display());
    let by_hand = |line: String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Airlift::new(&words).run().assert_success();
    };
    let key = format!("{KEYS}/snakeoil-p256");
    by_hand(format!(
        "export {from}/** --container {container} --sign-key {key}"
    ));
    let to = registry.address();
    by_hand(format!(
        "import {container} --target {to} --trust {key}.pub"
    ));
}

/// Puts images of these days of January 2020 into the registry.
fn stock(registry: &DockerRegistry, images: &[(&str, &str, usize)]) {
    let memory = Memory::new();
    for (repository, tag, day) in images {
        put(&memory, repository, tag, *day);
    }
    fill(registry, &memory);
}

/// The tags of a repository, and what they stand for; none where it is not there.
fn tags_of(registry: &DockerRegistry, repository: &str) -> BTreeMap<String, String> {
    let line = format!("list {}/{repository} --output json", registry.address());
    let words: Vec<&str> = line.split(' ').collect();
    let listed = Airlift::new(&words).run();
    if listed.code != Some(0) {
        listed.assert_stderr("404 Not Found");
        return BTreeMap::new();
    }
    let document = listed.json();
    let tags = document["tags"].as_array().expect("a list").iter();
    let tag_of = |tag: &Value| {
        let name = text_of(&tag["name"]);
        let (_, tag) = name.rsplit_once(':').expect("a repository and a tag");
        tag.to_owned()
    };
    tags.map(|tag| (tag_of(tag), text_of(&tag["digest"])))
        .collect()
}

fn text_of(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// Where a registry keeps the layer of an image that [`put`] has made for this day.
fn layer_in(registry: &DockerRegistry, day: usize) -> PathBuf {
    let digest = Digest::sha256(format!("layer of {}", moment(day)).as_bytes());
    let hex = digest.hex();
    let blobs = registry.storage().join("docker/registry/v2/blobs/sha256");
    blobs.join(&hex[..2]).join(hex).join("data")
}

fn moment(day: usize) -> String {
    format!("2020-01-{day:02}T00:00:00Z")
}

/// An image of this day of January 2020, under its tag; images of one day share their layer.
fn put(memory: &Memory, repository: &str, tag: &str, day: usize) {
    let repository: Repository = repository.parse().expect("a repository");
    let image = dated_image(memory, &repository, "amd64", &moment(day));
    let tag = tag.parse().expect("a tag");
    memory.put_manifest(&repository, image, Some(&tag));
}

/// An index of one image for each architecture, under its tag.
fn put_index(memory: &Memory, repository: &str, tag: &str, architectures: &[&str]) {
    let repository: Repository = repository.parse().expect("a repository");
    let images: Vec<_> = architectures
        .iter()
        .map(|architecture| dated_image(memory, &repository, architecture, &moment(1)))
        .collect();
    let children: Vec<_> = architectures.iter().copied().zip(&images).collect();
    let root = index(memory, &repository, &children);
    memory.put_manifest(&repository, root, Some(&tag.parse().expect("a tag")));
}
