//! Transfers: what travels and in which order, what stays, and what is left when one fails or is interrupted.

mod clouds;
mod faults;
mod limited;
mod resume;
mod road;

pub(crate) use resume::large_stock;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use airlift::bundle::SignaturePolicy;
use airlift::content::{OnError, Result, ignore_events};
use airlift::pipeline::{
    ContainerSurvey, Demand, ReadBackPolicy, Selection, SourcePolicy, TransferOptions,
    TransferReport, plan_transfer, run_transfer,
};
use airlift::storage::{DirectoryContainer, Overwrite};
use tempfile::{TempDir, tempdir};
use tokio::runtime::{Builder, Runtime};

use crate::bundle::road::Export;
use crate::support::artifacts::{Mix, arbitrary_graph_of};
use crate::support::command::airlift;

const VOLUME_BYTES: u64 = 200_000;

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn key(name: &str) -> String {
    format!("{}/fixtures/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A directory with two bundles: `bundle` of several volumes, the last countersigned, and `small` of one.
pub(crate) struct Stock(TempDir);

impl Stock {
    pub(crate) fn new() -> Self {
        let directory = tempdir().expect("a directory");
        let large = arbitrary_graph_of(1, Mix::ALL.small());
        let mut export = Export::of(&large)
            .signed(&["snakeoil-ed25519"])
            .volumes_of(VOLUME_BYTES);
        runtime()
            .block_on(export.run(directory.path()))
            .expect("an export");
        export = Export::of(&large).signed(&["snakeoil-ed25519"]);
        export.name = "small";
        runtime()
            .block_on(export.run(directory.path()))
            .expect("an export");
        let stock = Self(directory);
        let last = stock.volumes().pop().expect("a volume");
        let path = stock.path().join(last).display().to_string();
        let trust = key("snakeoil-ed25519.pub");
        let second = key("snakeoil-p256");
        airlift(&["sign", &path, "--sign-key", &second, "--trust", &trust]).assert_success();
        stock
    }

    /// The same for every test that only reads it.
    fn shared() -> &'static Self {
        static STOCK: OnceLock<Stock> = OnceLock::new();
        STOCK.get_or_init(Self::new)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The volumes of `bundle`, in order.
    fn volumes(&self) -> Vec<String> {
        let files = contents(self.path());
        let names = files.into_keys();
        names
            .filter(|name| name.starts_with("bundle") && name.ends_with(".tar.zst"))
            .collect()
    }
}

/// Every file of a directory.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, fs::read(path).expect("a file"))
        })
        .collect()
}

/// Everything, from one directory to another, with the defaults of the command.
fn options(source: &Path, target: &Path) -> TransferOptions {
    TransferOptions {
        source: Arc::new(DirectoryContainer::open(source).expect("a directory")),
        target: Arc::new(DirectoryContainer::create(target).expect("a directory")),
        selection: Selection::default(),
        demand: Demand::Now,
        policy: SignaturePolicy::AcceptUnsigned,
        overwrite: Overwrite::Refuse,
        read_back: ReadBackPolicy::Skip,
        source_policy: SourcePolicy::Keep,
        on_error: OnError::Stop,
        events: ignore_events(),
    }
}

fn transfer(options: &TransferOptions) -> Result<TransferReport> {
    let (mut source, mut target) = (ContainerSurvey::default(), ContainerSurvey::default());
    runtime().block_on(async {
        let plan = plan_transfer(options, &mut source, &mut target).await?;
        run_transfer(options, plan).await
    })
}

/// One that must succeed.
#[track_caller]
fn transfer_well(options: &TransferOptions) -> TransferReport {
    let report = transfer(options).unwrap();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    report
}
