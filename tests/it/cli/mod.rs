//! The program as a black box: what is typed, what is told, and the exit code.
//!
//! What people read is held by transcripts in `snapshots`; `INSTA_UPDATE=always cargo test cli` writes
//! them anew, and the change is then read like any other.

mod broken_off;
mod config;
mod config_faults;
mod container;
mod creation;
mod documents;
mod encoders;
mod export;
mod help;
mod history;
mod import;
mod import_rules;
mod json;
mod mirror;
mod mistakes;
mod outages;
mod output;
mod pipelines;
mod promotion;
mod receipts;
mod recorded;
mod registries;
mod replays;
mod rerun;
mod rollback;
mod runs;
mod sas;
mod secrets;
mod select;
mod select_facts;
mod select_large;
mod serve;
mod signals;
mod thin;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::command::{Airlift, Output};
use crate::support::registry::registry_with_layers;

const KEYS: [(&str, &str); 9] = [
    ("snakeoil-p256", "ops.key"),
    ("snakeoil-p256.pub", "ops.key.pub"),
    ("snakeoil-p256-other", "other.key"),
    ("snakeoil-p256-other.pub", "other.key.pub"),
    ("snakeoil-ed25519", "ed.key"),
    ("snakeoil-ed25519.pub", "ed.key.pub"),
    ("snakeoil-p256-encrypted", "encrypted.key"),
    ("snakeoil-p256-encrypted.pub", "encrypted.key.pub"),
    ("snakeoil-p256-sec1", "sec1.key"),
];

fn repository_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory to work in: keys, and the foreign layouts under `near`.
struct Desk {
    directory: TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixtures = repository_root().join("fixtures");
        for (from, to) in KEYS {
            let key = fs::read(fixtures.join("keys").join(from)).unwrap();
            fs::write(directory.path().join(to), key).unwrap();
        }
        symlink(fixtures.join("foreign"), directory.path().join("near")).unwrap();
        Self { directory }
    }

    /// With the chart, signed by `ops.key`, in `usb/chart.tar.zst`.
    fn with_bundle() -> Self {
        let desk = Self::new();
        desk.run("export oci:near/helm-chart --container usb --sign-key ops.key --name chart")
            .assert_success();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
        // Whatever the umask is: a key that others may write to is refused.
        fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o644)).unwrap();
    }

    fn command(&self, line: &str) -> Airlift {
        let words: Vec<&str> = line.split_whitespace().collect();
        Airlift::new(&words).directory(self.directory.path())
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).run()
    }

    /// Names in a directory, sorted.
    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(directory)).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries
            .map(name)
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The lines, each with what it told and its exit code. Ports become `PORT`,
    /// and this directory `/DESK`.
    fn transcript(&self, lines: &[&str]) -> String {
        let told = lines.iter().map(|line| tell(line, &self.run(line)));
        let own_path = self.directory.path().canonicalize().unwrap();
        let own_path = format!("{}/", own_path.display());
        told.collect::<String>().replace(&own_path, "/DESK/")
    }
}

fn tell(line: &str, output: &Output) -> String {
    let Output {
        code,
        stdout,
        stderr,
    } = output;
    let code = code.map_or("a signal".to_owned(), |code| code.to_string());
    without_ports(&format!(
        "$ airlift {line}\n{stderr}{stdout}[exit code {code}]\n\n"
    ))
}

/// `127.0.0.1:40123` differs in every run.
fn without_ports(text: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut parts = text.split(HOST);
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str(HOST);
        clean.push_str("PORT");
        clean.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    clean
}
