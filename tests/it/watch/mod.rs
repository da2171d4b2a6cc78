//! The watch, whole: what comes into a directory, in which way, and what becomes of it.
//!
//! Most tests run it in process, with a short settle time, and read what it tells; signals and exit codes are
//! tested with the binary, in `process` and `killed`.

mod arriving;
mod copies;
mod devices;
mod early;
mod hooked;
mod killed;
mod lanes;
mod places;
mod process;
mod queue;
mod refused;
mod renewed;
mod replaced;
mod settled;
mod shared;
mod starting;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use airlift::bundle::SignaturePolicy;
use airlift::history::{Ledger, RunKind, RunLink, Trigger};
use airlift::pipeline::{
    Connections, DeliveredSource, OneOff, Opener, PolicyReader, Remembrance, Tailoring,
    TargetReference, Until, WatchEvent, WatchOptions, WatchReport, run_watch,
};
use airlift::storage::{DirectoryContainer, StorageContainer};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::bundle::road::trust;
use crate::road::Journey;
use crate::support::command::airlift;
use crate::support::registry::registry_with_layers;
use crate::support::wait;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SETTLE_TIME: Duration = Duration::from_millis(300);
/// Longer than any test.
const LONG: Duration = Duration::from_hours(1);

fn key(name: &str) -> String {
    format!("{ROOT}/fixtures/keys/{name}")
}

/// Bundles in `usb`, a watched directory `drop`, the layout `far` and the ledger in `state`.
struct Station {
    directory: TempDir,
}

impl Station {
    fn new() -> Self {
        let station = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(station.path("drop")).unwrap();
        station
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Exports a fixture or a registry's repository into `usb`.
    fn export(&self, source: &str, name: &str, more: &[&str]) {
        let source = match source.contains('/') {
            true => source.to_owned(),
            false => format!("oci:{ROOT}/fixtures/foreign/{source}"),
        };
        let (usb, signer) = (self.text("usb"), key("snakeoil-p256"));
        let mut arguments = vec!["export", &source, "--container", &usb, "--name", name];
        arguments.extend(more);
        if !more.contains(&"--sign-key") && !more.contains(&"--unsigned") {
            arguments.extend(["--sign-key", &signer]);
        }
        airlift(&arguments).assert_success();
    }

    /// The chart, a small bundle, as `usb/NAME.tar.zst`.
    fn export_chart(&self, name: &str) -> Vec<u8> {
        self.export("helm-chart", name, &[]);
        fs::read(self.path(&format!("usb/{name}.tar.zst"))).unwrap()
    }

    /// The volumes of an image of three layers, in `usb`.
    fn export_volumes(&self) -> Vec<String> {
        let registry = registry_with_layers();
        let source = format!("{}/apps/web:1.4", registry.address());
        self.export(&source, "web", &["--volume-size", "200kB"]);
        let names = names(&self.path("usb"));
        assert!(names.len() > 1, "{names:?}");
        names
    }

    /// Renames a copy of an exported object into the watched directory.
    fn bring(&self, name: &str) {
        self.bring_as(name, name);
    }

    fn bring_as(&self, name: &str, new: &str) {
        let hidden = self.path(&format!("drop/.{new}"));
        fs::copy(self.path("usb").join(name), &hidden).unwrap();
        fs::rename(&hidden, self.path("drop").join(new)).unwrap();
    }

    fn drop_bytes(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path("drop").join(name), bytes).unwrap();
    }

    fn watch(&self) -> Watch {
        self.watch_with(|_| {})
    }

    fn watch_with(&self, change: impl FnOnce(&mut WatchOptions)) -> Watch {
        let runtime = Runtime::new().unwrap();
        let mut options = self.options();
        change(&mut options);
        options.open_target = target_opener(&options.target);
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        options.events =
            Arc::new(move |event: &WatchEvent| sink.lock().unwrap().push(event.clone()));
        let memory = runtime.block_on(self.remember(&options.target));
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async { run_watch(&options, &memory, &stopping).await.unwrap() })
        });
        Watch {
            told,
            stop,
            thread: Some(thread),
        }
    }

    fn options(&self) -> WatchOptions {
        let drop = self.path("drop");
        let target = TargetReference::Layout {
            path: self.path("far"),
        };
        WatchOptions {
            open_container: directory_opener(&drop),
            directory: Some(drop),
            queue: None,
            read_trust: reading(trust(&["snakeoil-p256"])),
            open_target: target_opener(&target),
            target,
            import: Journey::new().import_options(),
            tailoring: Tailoring::default(),
            one_off: OneOff::Accept,
            source: DeliveredSource::Keep,
            interval: Duration::from_millis(500),
            settle_time: SETTLE_TIME,
            until: Until::Stopped,
            only: Vec::new(),
            events: Arc::new(|_| {}),
        }
    }

    async fn remember(&self, target: &TargetReference) -> Remembrance {
        Remembrance {
            ledger: Ledger::open(&self.path("state")).await.unwrap(),
            kind: RunKind::Watch,
            trigger: Trigger::Source,
            who: "a test".to_owned(),
            comment: None,
            lane: None,
            target: target.to_string(),
            container: None,
            link: RunLink::default(),
            receipts: None,
            clock: Timestamp::now,
        }
    }

    /// Names of the tags at the target.
    fn tags(&self) -> Vec<String> {
        let Ok(index) = fs::read(self.path("far/index.json")) else {
            return Vec::new();
        };
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        let manifests = index["manifests"].as_array().unwrap();
        let name = |entry: &serde_json::Value| {
            let annotation = &entry["annotations"]["org.opencontainers.image.ref.name"];
            annotation.as_str().map(str::to_owned)
        };
        manifests.iter().filter_map(name).collect()
    }
}

fn directory_opener(path: &Path) -> Opener<Arc<dyn StorageContainer>> {
    let path = path.to_owned();
    Arc::new(move || {
        let opened = DirectoryContainer::open(&path);
        let opened = opened.map(|open| Arc::new(open) as Arc<dyn StorageContainer>);
        Box::pin(std::future::ready(opened))
    })
}

fn target_opener(target: &TargetReference) -> Opener<airlift::pipeline::Place> {
    let target = target.clone();
    Arc::new(move || {
        let target = target.clone();
        let connections = Connections::new(Journey::new().registry_options);
        Box::pin(async move { connections.target(&target).await })
    })
}

/// The same keys whenever they are read.
fn reading(policy: SignaturePolicy) -> PolicyReader {
    Arc::new(move || Ok(policy.clone()))
}

/// Changes bytes of the content, and neither headers nor inventory.
fn damage(bytes: &mut [u8]) {
    let start = if bytes.len() > 60_000 { 20_000 } else { 300 };
    for byte in &mut bytes[start..start + 300] {
        *byte ^= 1;
    }
}

/// A watch under way, stopped when dropped.
struct Watch {
    told: Arc<Mutex<Vec<WatchEvent>>>,
    stop: CancellationToken,
    thread: Option<JoinHandle<WatchReport>>,
}

impl Watch {
    /// What it told, but for signs of life.
    fn lines(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let events = told
            .iter()
            .filter(|event| !matches!(event, WatchEvent::Listed { .. }));
        events.map(ToString::to_string).collect()
    }

    fn listings(&self) -> usize {
        let told = self.told.lock().unwrap();
        let listed = told
            .iter()
            .filter(|event| matches!(event, WatchEvent::Listed { .. }));
        listed.count()
    }

    fn count(&self, part: &str) -> usize {
        self.lines()
            .iter()
            .filter(|line| line.contains(part))
            .count()
    }

    /// Waits until it tells this.
    #[track_caller]
    fn await_line(&self, part: &str) {
        let told = wait::within(wait::PATIENCE, || self.count(part) > 0);
        assert!(told, "`{part}` is not among {:#?}", self.lines());
    }

    /// Waits until it has looked again, and had time to find out what there is.
    #[track_caller]
    fn await_listings(&self, more: usize) {
        let before = self.listings();
        wait::until("it looks again", || self.listings() >= before + more);
    }

    fn end(mut self) -> WatchReport {
        self.stop.cancel();
        self.join()
    }

    fn join(&mut self) -> WatchReport {
        let thread = self.thread.take().expect("it ends once");
        thread.join().expect("the watch ends well")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, is told by the test that waits for its lines.
            drop(thread.join());
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(name)
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Two keys are trusted, and both must have signed.
fn two_signers() -> SignaturePolicy {
    trust(&["snakeoil-p256", "snakeoil-ed25519"])
}
