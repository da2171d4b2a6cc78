//! Two registries, a container between them, and a lane that answers: what an exporter and an importer with ledgers of
//! their own do, in one process.

use std::fs;
use std::path::{Path, PathBuf};

use airlift::bundle::{Profile, SigningKey, TrustedKeys};
use airlift::content::{Error, Result};
use airlift::history::{Basis, Ledger, Recorded, RunKind, RunLink, Trigger};
use airlift::pipeline::{
    AdmissionRules, AssumedWithin, Assumes, Connections, Created, Delivered, Dense, ExportMemory,
    ExportOptions, ExportReport, Exporter, ImportOptions, MissingContents, PipelineRequest,
    Receipts, References, Remembrance, TagSelection, Tailoring, Thinning, find_receipts,
    note_repair, open_bundles, plan_exports, plan_import, plan_repair, record_receipt, select,
};
use airlift::storage::DirectoryContainer;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::bundle::road::{names_in, public_key, signing_key};
use crate::road::{Journey, trust};
use crate::support::command::corrector;
use crate::support::containers::places;
use crate::support::registry::Registry;

/// Signs receipts.
const RECEIPT_KEY: &str = "snakeoil-p256";
const BUNDLE_KEY: &str = "snakeoil-ed25519";
pub(super) const LANE: &str = "north";

/// How an export is thinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thin {
    /// `--profile dense`
    Dense,
    /// `--incremental`
    Incremental,
    /// `--delta`
    Delta,
    /// `--delta --assume-delivered`
    AssumedDelta,
}

/// A directory in memory where there is one: a ledger writes through to the disk at every turn.
pub(super) fn quick_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

pub(super) struct World {
    home: TempDir,
    pub(super) source: Registry,
    pub(super) target: Registry,
    journey: Journey,
}

impl World {
    pub(super) fn new() -> Self {
        let world = Self {
            home: quick_directory(),
            source: Registry::start(),
            target: Registry::start(),
            journey: Journey::new(),
        };
        fs::create_dir(world.usb()).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The container.
    pub(super) fn usb(&self) -> PathBuf {
        self.path("usb")
    }

    pub(super) fn spool(&self) -> PathBuf {
        self.path("spool")
    }

    /// The state directory of the importer.
    pub(super) fn far(&self) -> PathBuf {
        self.path("far")
    }

    /// Objects of the container, oldest names first.
    pub(super) fn objects(&self) -> Vec<String> {
        names_in(&self.usb())
    }

    pub(super) fn connections(&self) -> Connections {
        self.journey.connections()
    }

    pub(super) fn thinning(&self, thin: Thin) -> Thinning {
        let basis = match thin {
            Thin::AssumedDelta => Basis::AssumeDelivered,
            _ => Basis::Confirmed,
        };
        let dense = |references| Dense {
            level: 3,
            spool: self.spool(),
            references,
            corrector: corrector(),
        };
        Thinning {
            assumes: match thin {
                Thin::Dense => Assumes::Nothing,
                _ => Assumes::Known(basis),
            },
            dense: match thin {
                Thin::Dense => Some(dense(References::Bundle)),
                Thin::Incremental => None,
                Thin::Delta | Thin::AssumedDelta => Some(dense(References::Target)),
            },
        }
    }

    /// What an export of the pipeline `plant` for the lane is asked for.
    pub(super) fn options(&self, references: &[String], thin: Thin) -> ExportOptions {
        let thinning = self.thinning(thin);
        ExportOptions {
            pipeline: Some(PipelineRequest {
                name: "plant".to_owned(),
                sequence: None,
            }),
            profile: match thinning.dense {
                Some(_) => Profile::Dense,
                None => Profile::Plain,
            },
            audience: vec![LANE.to_owned()],
            created: Created::Now(Timestamp::now()),
            thinning,
            ..Journey::export_options(references)
        }
    }

    pub(super) async fn near_ledger(&self) -> Ledger {
        Ledger::open(&self.path("near")).await.unwrap()
    }

    async fn export_memory(&self) -> ExportMemory {
        ExportMemory {
            ledger: self.near_ledger().await,
            trigger: Trigger::Manual,
            who: "a test".to_owned(),
            comment: None,
            container: self.usb().display().to_string(),
            upload_place: self.usb().display().to_string(),
            link: RunLink::default(),
            clock: Timestamp::now,
        }
    }

    fn keys() -> [SigningKey; 1] {
        [signing_key(BUNDLE_KEY)]
    }

    pub(super) async fn export(
        &self,
        references: &[String],
        thin: Thin,
    ) -> Result<Vec<ExportReport>> {
        self.export_with(&self.options(references, thin)).await
    }

    pub(super) async fn export_with(&self, options: &ExportOptions) -> Result<Vec<ExportReport>> {
        let mut plans = plan_exports(options, &self.connections()).await?;
        self.write(options, &mut plans).await
    }

    async fn write(
        &self,
        options: &ExportOptions,
        plans: &mut [airlift::pipeline::ExportPlan],
    ) -> Result<Vec<ExportReport>> {
        let memory = match options.pipeline {
            Some(_) => Some(self.export_memory().await),
            None => None,
        };
        let exporter = Exporter {
            options,
            container: &DirectoryContainer::create(&self.usb())?,
            keys: &Self::keys(),
            memory: memory.as_ref(),
        };
        let mut reports = Vec::new();
        let written = exporter.run(plans, |_, report| reports.push(report.clone()));
        written.await?;
        Ok(reports)
    }

    /// What `export --repair` does.
    pub(super) async fn repair(
        &self,
        references: &[String],
        missing: &MissingContents,
    ) -> Result<Vec<ExportReport>> {
        let options = self.options(references, Thin::Incremental);
        let memory = self.export_memory().await;
        let everything = TagSelection::all(options.referrers, options.on_error);
        let selected = select(&options.references, &self.connections(), &everything).await?;
        let plan = plan_repair(&options, &selected, &memory, missing).await?;
        note_repair(&memory, ("plant", &plan), missing).await?;
        self.write(&options, &mut [plan]).await
    }

    pub(super) fn import_options(&self) -> ImportOptions {
        ImportOptions {
            rules: AdmissionRules {
                lane: Some(LANE.to_owned()),
                now: Timestamp::now(),
                sequence_min: None,
            },
            spool: self.spool(),
            assumed_within: AssumedWithin::default(),
            ..self.journey.import_options()
        }
    }

    pub(super) async fn remembrance(&self) -> Remembrance {
        let state = self.far();
        Remembrance {
            ledger: Ledger::open(&state).await.unwrap(),
            kind: RunKind::Import,
            trigger: Trigger::Manual,
            who: "a test".to_owned(),
            comment: None,
            lane: Some(LANE.to_owned()),
            target: self.target.address(),
            container: None,
            link: RunLink::default(),
            receipts: Some(Receipts::new(signing_key(RECEIPT_KEY), &state, None)),
            clock: Timestamp::now,
        }
    }

    /// Delivers everything that the path holds, in order, up to the first that fails.
    pub(super) async fn import_from(&self, path: &Path) -> Result<Vec<Delivered>> {
        self.import_with(path, &self.import_options()).await
    }

    pub(super) async fn import_with(
        &self,
        path: &Path,
        options: &ImportOptions,
    ) -> Result<Vec<Delivered>> {
        let opened = open_bundles(&places(path).await?, &trust()).await?;
        let target = self.target.address().parse().unwrap();
        let plans = plan_import(opened, &target, &options.rules, &Tailoring::default()).await?;
        let place = self.connections().target(&target).await?;
        let memory = self.remembrance().await;
        let mut delivered = Vec::new();
        for plan in &plans {
            delivered.push(memory.deliver(plan, &place, options, None).await?);
        }
        Ok(delivered)
    }

    pub(super) async fn import(&self) -> Result<Vec<Delivered>> {
        self.import_from(&self.usb()).await
    }

    /// The newest object of the container alone.
    pub(super) async fn import_newest(&self) -> Result<Vec<Delivered>> {
        let newest = self.newest();
        self.import_from(&newest).await
    }

    pub(super) fn newest(&self) -> PathBuf {
        let sequence = |name: &String| -> u64 {
            let mut parts = name.split('.').next().unwrap().rsplit('-');
            parts.nth(1).and_then(|it| it.parse().ok()).unwrap_or(0)
        };
        let objects = self.objects().into_iter();
        self.usb().join(objects.max_by_key(sequence).unwrap())
    }

    /// Receipts that the far side has written.
    pub(super) fn receipts(&self) -> PathBuf {
        self.path("far/receipts")
    }

    /// Brings all receipts home that the path holds, oldest first.
    pub(super) async fn bring_receipts(&self, path: &Path) -> Result<Vec<Recorded>> {
        let mut keys = TrustedKeys::default();
        keys.add(public_key(RECEIPT_KEY), vec![LANE.to_owned()]);
        let now = Timestamp::now();
        let found = find_receipts(&places(path).await?).await?;
        let verified: Result<Vec<_>> = found.into_iter().map(|it| it.verify(&keys, now)).collect();
        let mut verified = verified?;
        verified.sort_by_key(|(_, it)| it.receipt.created);
        let ledger = self.near_ledger().await;
        let mut recorded = Vec::new();
        for (shown, receipt) in &verified {
            recorded.push(record_receipt(&ledger, (shown, receipt), "a test", now).await?);
        }
        Ok(recorded)
    }

    /// Exports, imports and brings the answer home.
    pub(super) async fn travel(&self, references: &[String], thin: Thin) {
        self.export(references, thin).await.unwrap();
        self.import_newest().await.unwrap();
        self.bring_receipts(&self.receipts()).await.unwrap();
    }

    /// The lists of missing content that the far side has written.
    pub(super) fn missing_lists(&self) -> Vec<PathBuf> {
        let directory = self.path("far/missing");
        match directory.is_dir() {
            true => {
                let names = names_in(&directory).into_iter();
                names.map(|name| directory.join(name)).collect()
            }
            false => Vec::new(),
        }
    }

    pub(super) fn missing_list(&self) -> MissingContents {
        let lists = self.missing_lists();
        assert_eq!(lists.len(), 1, "{lists:?}");
        MissingContents::read(&lists[0]).unwrap()
    }

    /// No file has a name there, whatever has happened.
    pub(super) fn assert_spool_is_empty(&self) {
        if self.spool().is_dir() {
            assert_eq!(names_in(&self.spool()), [""; 0]);
        }
    }
}

/// What was missing, as the error tells it.
pub(super) fn missing_of(error: &Error) -> Option<&MissingContents> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(missing) = cause.downcast_ref() {
            return Some(missing);
        }
        next = cause.source();
    }
    None
}
