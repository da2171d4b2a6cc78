//! One container between two places, and the two ways through it. Every call opens its own connections,
//! as a process of its own would.

use std::collections::BTreeMap;
use std::path::Path;

use airlift::bundle::{Profile, PublicKey, SignaturePolicy, SigningKey, TrustedKeys};
use airlift::content::{
    CopyOptions, Document, Existing, OnError, ReferrerPolicy, Result, ignore_events,
};
use airlift::oci::{Digest, Manifest, Repository, Tag, media_type};
use airlift::pipeline::{
    AdmissionRules, AssumedWithin, Connections, Created, ExportOptions, ExportReport,
    ImportOptions, ImportReport, Replays, TagRules, Tailoring, Thinning, open_bundles,
    plan_exports, plan_import, run_export, run_import,
};
use airlift::registry::{Credentials, RegistryOptions};
use airlift::storage::{DirectoryContainer, Overwrite};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::artifacts::{Graph, descriptor_json};
use crate::support::command::corrector;
use crate::support::containers::places;
use crate::support::registry::Registry;
use crate::support::snapshot::Snapshot;

/// Its signatures are deterministic, so equal exports have equal bytes.
const KEY: &str = include_str!("../../../fixtures/keys/snakeoil-ed25519");
const PUBLIC_KEY: &str = include_str!("../../../fixtures/keys/snakeoil-ed25519.pub");
/// The same in every run, for the same reason.
const CREATED_SECONDS: i64 = 1_700_000_000;

/// A container, and how the two ends are spoken to.
pub(crate) struct Journey {
    pub(crate) container: TempDir,
    pub(crate) registry_options: RegistryOptions,
    pub(crate) concurrency: usize,
    /// Read everything back from the target at the end of an import.
    pub(crate) reads_back: bool,
    pub(crate) tailoring: Tailoring,
}

impl Journey {
    /// With three quick attempts for everything.
    pub(crate) fn new() -> Self {
        Self {
            container: tempfile::tempdir().unwrap(),
            registry_options: RegistryOptions {
                credentials: Credentials::Anonymous,
                attempts_max: 3,
                retry_delay_min: std::time::Duration::from_millis(1),
                ..RegistryOptions::default()
            },
            concurrency: 4,
            reads_back: false,
            tailoring: Tailoring::default(),
        }
    }

    pub(crate) fn connections(&self) -> Connections {
        Connections::new(self.registry_options.clone())
    }

    /// What an export of `references` is asked for; tests change a field.
    pub(crate) fn export_options(references: &[String]) -> ExportOptions {
        ExportOptions {
            references: references
                .iter()
                .map(|text| text.parse().unwrap())
                .collect(),
            name: None,
            pipeline: None,
            profile: Profile::Plain,
            volume_size: None,
            platforms: Vec::new(),
            referrers: ReferrerPolicy::Carry,
            on_error: OnError::Stop,
            max_artifacts: None,
            audience: Vec::new(),
            created: Created::Given(Timestamp::from_second(CREATED_SECONDS).unwrap()),
            expires: None,
            overwrite: Overwrite::Refuse,
            thinning: Thinning::default(),
            signatures: 1,
            events: ignore_events(),
        }
    }

    pub(crate) async fn export_with(&self, options: &ExportOptions) -> Result<Vec<ExportReport>> {
        let container = DirectoryContainer::create(self.container.path())?;
        let keys = [SigningKey::parse(KEY, None).unwrap()];
        let mut reports = Vec::new();
        for plan in plan_exports(options, &self.connections()).await? {
            reports.push(run_export(&plan, options, &container, &keys).await?);
        }
        Ok(reports)
    }

    pub(crate) async fn export(&self, references: &[String]) -> Result<ExportReport> {
        let mut reports = self.export_with(&Self::export_options(references)).await?;
        assert_eq!(reports.len(), 1);
        Ok(reports.remove(0))
    }

    pub(crate) fn import_options(&self) -> ImportOptions {
        ImportOptions {
            rules: AdmissionRules {
                lane: None,
                now: Timestamp::now(),
                sequence_min: None,
            },
            copy: CopyOptions {
                existing: Existing::Overwrite,
                on_error: OnError::Stop,
                held: std::sync::Arc::default(),
                overwrites: None,
                concurrency: self.concurrency,
                events: ignore_events(),
            },
            read_back: self.reads_back.then(ignore_events),
            tags: TagRules::default(),
            replays: Replays::Skip,
            assumed_within: AssumedWithin::default(),
            spool: std::env::temp_dir(),
            corrector: corrector(),
            missing: None,
            recorded: None,
        }
    }

    /// Brings everything that the container holds to `target`.
    pub(crate) async fn import(&self, target: &str) -> Result<Vec<ImportReport>> {
        self.import_with(target, &self.import_options()).await
    }

    pub(crate) async fn import_with(
        &self,
        target: &str,
        options: &ImportOptions,
    ) -> Result<Vec<ImportReport>> {
        let opened = open_bundles(&places(self.container.path()).await?, &trust()).await?;
        let target = target.parse().unwrap();
        let plans = plan_import(opened, &target, &options.rules, &self.tailoring).await?;
        let place = self.connections().target(&target).await?;
        let mut reports = Vec::new();
        for plan in &plans {
            reports.push(run_import(plan, &place, options).await?);
        }
        Ok(reports)
    }

    /// The files of the container and their bytes.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        files(self.container.path())
    }
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let entries = entries.map(|entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read(entry.path()).unwrap())
    });
    entries.collect()
}

pub(crate) fn trust() -> SignaturePolicy {
    let mut keys = TrustedKeys::default();
    keys.add(PublicKey::parse(PUBLIC_KEY).unwrap(), Vec::new());
    SignaturePolicy::Require { keys, threshold: 1 }
}

/// The error and its causes in one line.
pub(crate) fn text_of(error: &dyn std::error::Error) -> String {
    airlift::content::describe(error)
}

/// All roots of the graph, as they are named in `registry`.
pub(crate) fn references(registry: &Registry, graph: &Graph) -> Vec<String> {
    let address = registry.address();
    let name = |root: &crate::support::artifacts::Root| match &root.tag {
        Some(tag) => format!("{address}/{}:{tag}", root.repository),
        None => format!("{address}/{}@{}", root.repository, root.digest),
    };
    graph.roots.iter().map(name).collect()
}

/// What refers to each subject of each repository.
pub(crate) type Referrers = BTreeMap<(Repository, Digest), Vec<Document>>;

pub(crate) fn referrers_of((_, contents): &Snapshot) -> Referrers {
    let mut referrers = Referrers::new();
    for ((repository, digest), bytes) in contents {
        // Only manifests have a subject, whatever the registry calls them.
        let Ok(manifest) = Manifest::parse(bytes, "") else {
            continue;
        };
        let Some(subject) = manifest.subject else {
            continue;
        };
        let mut document = Document::of(&manifest.media_type, bytes.clone());
        document.descriptor.digest = digest.clone();
        let key = (repository.clone(), subject.digest);
        referrers.entry(key).or_default().push(document);
    }
    referrers
}

/// Gives a registry without the referrers API what clients would have left there.
pub(crate) fn put_lookup_tables(registry: &Registry) {
    for ((repository, subject), referrers) in referrers_of(&registry.snapshot()) {
        let entries: Vec<Value> = referrers
            .iter()
            .map(|document| descriptor_json(&document.descriptor))
            .collect();
        let table = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_INDEX,
            "manifests": entries,
        });
        let table = Document::of(media_type::OCI_INDEX, table.to_string());
        registry.put_manifest(&repository, table, Some(&Tag::of_referrers(&subject)));
    }
}
