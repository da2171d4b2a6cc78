//! The road in process: a source is exported into a directory, and a directory is imported into memory.
//!
//! It goes through the same functions as the commands; only the pinning of tags at a registry is left out,
//! because a test knows its roots.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use airlift::bundle::{
    Load, Past, PublicKey, SignaturePolicy, SigningKey, ToldEvent, ToldKind, TrustedKeys,
    Verification, plan_volumes, room_in_last, verify_volume,
};
use airlift::content::{
    Copy, CopyOptions, CopyReport, Events, Existing, Memory, MountSources, OnError, Place,
    ReferrerPolicy, Result, Root as WalkRoot, Source, Walk, WalkOptions, assemble, ignore_events,
};
use airlift::oci::{Digest, Pin};
use airlift::pipeline::{
    AdmissionRules, Carriage, Created, ExportOptions, ExportPlan, ExportReport, ImportPlan,
    OpenedBundle, Tailoring, TargetReference, Thinning, open_bundles, open_volumes, plan_import,
    run_export,
};
use airlift::storage::{DirectoryContainer, Overwrite};
use jiff::Timestamp;

pub(crate) use airlift::bundle::Profile;

use crate::support::artifacts::{Graph, Root};
use crate::support::containers::places;

/// The test key `fixtures/keys/NAME`.
pub(crate) fn signing_key(name: &str) -> SigningKey {
    SigningKey::parse(&key_file(name), None).expect("a test key")
}

pub(crate) fn public_key(name: &str) -> PublicKey {
    PublicKey::parse(&key_file(&format!("{name}.pub"))).expect("a test key")
}

fn key_file(name: &str) -> String {
    let path = format!("{}/fixtures/keys/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("a test key")
}

/// Trusts these test keys, and wants all of them.
pub(crate) fn trust(names: &[&str]) -> SignaturePolicy {
    let mut keys = TrustedKeys::default();
    for name in names {
        keys.add(public_key(name), Vec::new());
    }
    SignaturePolicy::Require {
        keys,
        threshold: names.len(),
    }
}

/// The time that deterministic exports say they were made at.
pub(crate) fn created() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

/// One export that is being prepared.
pub(crate) struct Export<'a> {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) roots: &'a [Root],
    pub(crate) name: &'a str,
    pub(crate) profile: Profile,
    pub(crate) volume_size: Option<u64>,
    pub(crate) on_error: OnError,
    /// Whether it tells as much of the past of its artifacts as there is room for.
    pub(crate) is_telling: bool,
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) thinning: Thinning,
    pub(crate) events: Events,
}

impl<'a> Export<'a> {
    /// Unsigned, of one volume, in the plain profile, and over at the first failure.
    pub(crate) fn new(source: Arc<dyn Source>, roots: &'a [Root]) -> Self {
        Self {
            source,
            roots,
            name: "bundle",
            profile: Profile::Plain,
            volume_size: None,
            on_error: OnError::Stop,
            is_telling: false,
            keys: Vec::new(),
            thinning: Thinning::default(),
            events: ignore_events(),
        }
    }

    pub(crate) fn of(graph: &'a Graph) -> Self {
        Self::new(Arc::clone(&graph.memory) as Arc<dyn Source>, &graph.roots)
    }

    pub(crate) fn guard(mut self) -> Self {
        self.profile = Profile::Guard;
        self
    }

    pub(crate) fn volumes_of(mut self, size: u64) -> Self {
        self.volume_size = Some(size);
        self
    }

    pub(crate) fn telling(mut self) -> Self {
        self.is_telling = true;
        self
    }

    pub(crate) fn signed(mut self, names: &[&str]) -> Self {
        self.keys = names.iter().map(|name| signing_key(name)).collect();
        self
    }

    pub(crate) fn continue_on_errors(mut self) -> Self {
        self.on_error = OnError::Continue;
        self
    }

    pub(crate) fn options(&self) -> ExportOptions {
        ExportOptions {
            references: Vec::new(),
            name: Some(self.name.parse().unwrap()),
            pipeline: None,
            profile: self.profile,
            volume_size: self.volume_size,
            platforms: Vec::new(),
            referrers: ReferrerPolicy::Carry,
            on_error: self.on_error,
            max_artifacts: None,
            audience: Vec::new(),
            created: Created::Given(created()),
            expires: None,
            overwrite: Overwrite::Refuse,
            thinning: self.thinning.clone(),
            signatures: self.keys.len(),
            events: Arc::clone(&self.events),
        }
    }

    /// What will be written. `None`: the plan does not fit volumes of this size.
    pub(crate) async fn plan(&self) -> Result<Option<ExportPlan>> {
        let walk = Walk::new(vec![Arc::clone(&self.source)], WalkOptions::default());
        let mut found = Vec::new();
        for root in self.roots {
            let place = Place {
                source: 0,
                repository: root.repository.clone(),
            };
            let pin = Pin::Digest(root.digest.clone());
            let tag = root.tag.clone();
            found.push(walk.find(WalkRoot { place, pin, tag }).await?);
        }
        let plan = assemble(&walk.into_nodes(), found);
        let digests: Vec<String> = self.roots.iter().map(|r| r.digest.to_string()).collect();
        let set = Digest::sha256(digests.concat().as_bytes()).hex()[..32].to_owned();
        let carriage = Carriage::whole(&plan);
        let load = Load {
            plan: &plan,
            blobs: &carriage.blobs,
            lists_bytes: 0,
            profile: self.profile,
            signatures: self.keys.len(),
        };
        let Ok(volumes) = plan_volumes(&load, self.volume_size) else {
            return Ok(None);
        };
        Ok(Some(ExportPlan {
            name: self.name.to_owned(),
            position: None,
            set,
            plan,
            sources: vec![Arc::clone(&self.source)],
            source_names: vec!["source.example".to_owned()],
            volumes,
            profile: self.profile,
            carriage,
            repairs: None,
            past: None,
            failures: Vec::new(),
        }))
    }

    fn tell(&self, plan: &ExportPlan) -> Option<Past> {
        const FIELD_BYTES: u64 = 8;
        let roots = plan.plan.artifacts.iter();
        let events = roots.flat_map(|artifact| {
            let root = &plan.plan.manifests[artifact.root].descriptor;
            (0..40).map(|second| ToldEvent {
                digest: root.digest.clone(),
                kind: ToldKind::Promoted,
                time: Timestamp::from_second(second).expect("a time"),
                who: Some("w".repeat(300)),
                comment: None,
                pipeline: None,
                source: None,
                target: None,
                bundle: None,
                inventory: None,
            })
        });
        let past = Past {
            who: Some("ops".to_owned()),
            comment: Some("c".repeat(500)),
            events: events.collect(),
        };
        let load = Load {
            plan: &plan.plan,
            blobs: &plan.carriage.blobs,
            lists_bytes: 0,
            profile: plan.profile,
            signatures: self.keys.len(),
        };
        let room = room_in_last(&load, self.volume_size.unwrap_or(u64::MAX), &plan.volumes);
        past.fit(room.saturating_sub(FIELD_BYTES))
    }

    /// Plans and writes it into the directory.
    pub(crate) async fn run(self, directory: &Path) -> Result<ExportReport> {
        let mut plan = self.plan().await?.expect("it fits the volume size");
        if self.is_telling {
            plan.past = self.tell(&plan);
        }
        let container = DirectoryContainer::create(directory)?;
        run_export(&plan, &self.options(), &container, &self.keys).await
    }
}

/// Opens, admits and plans everything that the path stands for.
pub(crate) async fn plan_imports(path: &Path, policy: &SignaturePolicy) -> Result<Vec<ImportPlan>> {
    plan_opened(open_bundles(&places(path).await?, policy).await?).await
}

/// Admits and plans bundles that were opened.
pub(crate) async fn plan_opened(opened: Vec<OpenedBundle>) -> Result<Vec<ImportPlan>> {
    let target = TargetReference::Layout {
        path: PathBuf::new(),
    };
    let rules = AdmissionRules {
        lane: None,
        now: created(),
        sequence_min: None,
    };
    plan_import(opened, &target, &rules, &Tailoring::default()).await
}

/// Delivers one planned bundle into memory.
pub(crate) async fn deliver(import: &ImportPlan, target: &Arc<Memory>) -> Result<CopyReport> {
    let copy = Copy {
        plan: Arc::clone(&import.plan),
        sources: vec![Arc::clone(&import.bundle) as Arc<dyn Source>],
        target: Arc::clone(target) as _,
        names: import.names.clone(),
        mounts: MountSources::Filled,
        options: CopyOptions {
            existing: Existing::Overwrite,
            on_error: OnError::Stop,
            held: std::sync::Arc::default(),
            overwrites: None,
            concurrency: 4,
            events: ignore_events(),
        },
    };
    copy.run().await
}

/// Imports every bundle of the path into an empty place.
pub(crate) async fn import(path: &Path, policy: &SignaturePolicy) -> Result<Arc<Memory>> {
    let target = Arc::new(Memory::new());
    for plan in plan_imports(path, policy).await? {
        deliver(&plan, &target).await?;
    }
    Ok(target)
}

/// Verifies every volume of the path; a volume that is refused is an error.
pub(crate) async fn verify(path: &Path, policy: &SignaturePolicy) -> Result<Vec<Verification>> {
    let (volumes, refused) = open_volumes(&places(path).await?, policy).await?;
    if let Some(refused) = refused.into_iter().next() {
        return Err(refused.error.into());
    }
    let mut verified = Vec::new();
    for volume in &volumes {
        verified.push(verify_volume(volume, &|_| {}).await?);
    }
    Ok(verified)
}

/// The names in a directory, sorted.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The content of every file of a directory, by name.
pub(crate) fn files_in(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let read = |name: String| {
        let bytes = std::fs::read(directory.join(&name)).expect("the file is there");
        (name, bytes)
    };
    names_in(directory).into_iter().map(read).collect()
}
