//! Delivers opened bundles to a target: admission, plan, copy, and what became of every artifact.
//!
//! The plan of an import is made by the same walk as that of an export, over the bundle; what it finds must
//! be what the inventory promises, artifact by artifact and referrer by referrer.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::admission::{AdmissionRules, check_forks};
use super::assumed::{AssumedPlace, AssumedWithin, FoundContents, find_assumed, list_assumed};
use super::missing::note_missing;
use super::open_bundles::OpenedBundle;
use super::overwrite::{Overwrites, TagPast, TagRules};
use super::part::{LeftArtifact, Part, PartSelection};
use super::place::{Place, TargetReference};
use super::rebuild::{PlatformIndex, rebuild_sparse_indexes};
use super::reconstruct::Reconstruction;
use super::spool::Spool;
use super::supply::Supply;
use super::target_names::{check_collisions, name_at_target};
use crate::bundle::{Artifact, Bundle, Inventory, KeyId};
use crate::content::{
    ArtifactOutcome, Copy, CopyOptions, CopyReport, Error, ErrorKind, Events, FoundArtifact,
    MountSources, Place as SourcePlace, Plan, PlannedBlob, ReadBack, ReferrerPolicy, Result, Root,
    Source, Walk, WalkOptions, assemble,
};
use crate::history::RunId;
use crate::oci::{Digest, Pin, Repository, Tag};
use crate::selection::RenameRules;

/// What of every bundle is delivered, and as what. By default all of it, as it is.
#[derive(Clone, Default)]
pub struct Tailoring {
    /// `None` takes everything.
    pub part: Option<Box<PartSelection>>,
    pub renames: RenameRules,
    pub platform_index: PlatformIndex,
}

/// What an import does with every bundle.
#[derive(Clone)]
pub struct ImportOptions {
    pub rules: AdmissionRules,
    pub copy: CopyOptions,
    pub read_back: ReadBackPolicy,
    pub tags: TagRules,
    /// What is done with a bundle that was delivered before.
    pub replays: Replays,
    /// Where content that bundles do not carry may be.
    pub assumed_within: AssumedWithin,
    /// Where layers are decompressed while they are made again.
    pub spool: PathBuf,
    /// Where what is missing is written, for the exporter.
    pub missing: Option<PathBuf>,
    /// The run that this import is, and what its target was before, where that is recorded.
    pub recorded: Option<(RunId, TagPast)>,
}

/// What is done with a bundle that was delivered before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replays {
    /// Nothing: all of it that was asked for is there.
    #[default]
    Skip,
    /// It is delivered like one that comes late: where rules have changed, something is missing.
    Deliver,
}

/// Whether everything is read back from the target at the end.
pub(super) type ReadBackPolicy = Option<Events>;

/// One bundle, planned and admitted.
pub struct ImportPlan {
    pub bundle: Arc<Bundle>,
    pub signers: Vec<KeyId>,
    pub plan: Arc<Plan>,
    /// The target's names, by position in [`Plan::repositories`].
    pub names: Vec<Repository>,
    /// What is not carried, and looked for at the target.
    pub(super) assumed: Vec<AssumedPlace>,
    /// The artifacts that are taken, by position in the inventory's list; in the order of the plan.
    pub taken: Vec<usize>,
    /// What of the bundle was not selected.
    pub left: Vec<LeftArtifact>,
    pub warnings: Vec<String>,
}

/// What an import of one bundle did.
#[derive(Debug)]
pub struct ImportReport {
    pub copy: CopyReport,
    pub artifacts: Vec<ImportedArtifact>,
    /// Contents that were read back from the target.
    pub read_back: Option<usize>,
}

impl ImportReport {
    /// What is told of a bundle that was delivered before.
    pub(super) fn unchanged(import: &ImportPlan) -> Self {
        let artifacts = import
            .artifact_names()
            .map(|(name, digest)| ImportedArtifact {
                name,
                digest: digest.clone(),
                outcome: ArtifactOutcome::Unchanged,
                replaced: None,
                rollback_tag: None,
            });
        Self {
            copy: CopyReport::default(),
            artifacts: artifacts.collect(),
            read_back: None,
        }
    }
}

#[derive(Debug)]
pub struct ImportedArtifact {
    /// `REPOSITORY:TAG` or `REPOSITORY@DIGEST` at the target.
    pub name: String,
    pub digest: Digest,
    pub outcome: ArtifactOutcome,
    /// What its tag stood for before, where it has moved from other content.
    pub replaced: Option<Digest>,
    /// The tag that the replaced content was given, where one was asked for.
    pub rollback_tag: Option<Tag>,
}

impl ImportPlan {
    /// The inventory's rows of the artifacts, in the order of the plan.
    pub fn listed(&self) -> impl Iterator<Item = &Artifact> {
        let listed = &self.bundle.inventory().artifacts;
        self.taken.iter().map(|position| &listed[*position])
    }

    /// `REPOSITORY:TAG` or `REPOSITORY@DIGEST` at the source, of each artifact.
    pub fn source_names(&self) -> impl Iterator<Item = String> {
        self.plan.artifacts.iter().map(|artifact| {
            let repository = &self.plan.repositories[artifact.repository];
            let digest = &self.plan.manifests[artifact.root].descriptor.digest;
            name_artifact(repository, artifact.tag.as_ref(), digest)
        })
    }

    /// `REPOSITORY:TAG` or `REPOSITORY@DIGEST` at the target, and the digest of each artifact.
    pub fn artifact_names(&self) -> impl Iterator<Item = (String, &Digest)> {
        self.plan.artifacts.iter().map(|artifact| {
            let digest = &self.plan.manifests[artifact.root].descriptor.digest;
            let repository = &self.names[artifact.repository];
            let name = name_artifact(repository, artifact.tag.as_ref(), digest);
            (name, digest)
        })
    }
}

/// `REPOSITORY:TAG`, or `REPOSITORY@DIGEST` where there is no tag.
pub(super) fn name_artifact(repository: &Repository, tag: Option<&Tag>, digest: &Digest) -> String {
    match tag {
        Some(tag) => format!("{repository}:{tag}"),
        None => format!("{repository}@{digest}"),
    }
}

/// Admits every bundle and plans it; nothing is moved, and one that is refused refuses all.
pub async fn plan_import(
    opened: Vec<OpenedBundle>,
    target: &TargetReference,
    rules: &AdmissionRules,
    tailoring: &Tailoring,
) -> Result<Vec<ImportPlan>> {
    let inventories = opened.iter().map(|opened| {
        (
            opened.bundle.inventory(),
            opened.bundle.last().inventory_digest(),
        )
    });
    check_forks(inventories).map_err(|cause| {
        Error::unverified("the bundles contradict each other").with_cause(cause)
    })?;
    let mut plans = Vec::new();
    for opened in opened {
        let name = opened.bundle.last().name().to_owned();
        let mut warnings = rules.check(opened.bundle.inventory()).map_err(|cause| {
            Error::unverified(format!("cannot import `{name}`")).with_cause(cause)
        })?;
        let bundle = Arc::new(opened.bundle);
        let part = match &tailoring.part {
            Some(selection) => selection.select(&bundle).await,
            None => Ok(Part::everything(&bundle)),
        };
        let part = part.map_err(|error| refuse(error, &name))?;
        let mut plan = plan_bundle(&bundle, &part.taken)
            .await
            .map_err(|error| refuse(error, &name))?;
        if tailoring.platform_index == PlatformIndex::Rebuild {
            warnings.extend(rebuild_sparse_indexes(&mut plan, &*bundle).await?);
        }
        let names = plan
            .repositories
            .iter()
            .map(|repository| name_at_target(repository, target, &tailoring.renames));
        plans.push(ImportPlan {
            assumed: list_assumed(&bundle, &plan, (target, &tailoring.renames))?,
            taken: part.taken,
            left: part.left,
            names: names.collect::<Result<_>>()?,
            plan: Arc::new(plan),
            signers: opened.signers,
            bundle,
            warnings,
        });
    }
    check_collisions(&plans)?;
    Ok(plans)
}

/// Signed content that makes no sense is refused like unsigned content; trouble with reading is not.
fn refuse(error: Error, name: &str) -> Error {
    let message = format!("cannot import `{name}`");
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::Refused | ErrorKind::Unsupported => {
            Error::unverified(message).with_cause(error)
        }
        _ => error.within(message),
    }
}

/// Plans the artifacts at these positions of the inventory.
async fn plan_bundle(bundle: &Arc<Bundle>, taken: &[usize]) -> Result<Plan> {
    let inventory = bundle.inventory();
    let absent: HashMap<_, _> = inventory
        .artifacts
        .iter()
        .flat_map(|artifact| &artifact.absent)
        .map(|absent| (absent.digest.clone(), absent.reason))
        .collect();
    let options = WalkOptions {
        platforms: Vec::new(),
        referrers: ReferrerPolicy::Carry,
        absent,
    };
    let walk = Walk::new(vec![Arc::clone(bundle) as Arc<dyn Source>], options);
    let mut found = Vec::new();
    for artifact in taken.iter().map(|position| &inventory.artifacts[*position]) {
        let root = Root {
            place: SourcePlace {
                source: 0,
                repository: inventory.repository(artifact.repository).clone(),
            },
            pin: Pin::Digest(artifact.root.digest.clone()),
            tag: artifact.tag.clone(),
        };
        let walked = walk.find(root).await?;
        check_referrers(inventory, artifact, &walked)?;
        check_absent(bundle, artifact, &walked)?;
        found.push(walked);
    }
    let mut plan = assemble(&walk.into_nodes(), found);
    if inventory.repairs.is_some() {
        plan = plan_blobs(bundle);
    }
    check_roots(inventory, taken, &plan)?;
    check_blobs(bundle, &plan).await?;
    Ok(plan)
}

/// The blobs of a bundle that has no artifacts, for the repositories that its rows name.
fn plan_blobs(bundle: &Bundle) -> Plan {
    let repositories = bundle.inventory().repositories.clone();
    let mut seen = HashSet::new();
    let volumes = bundle.volumes().iter();
    let rows = volumes.flat_map(|volume| &volume.inventory().contents);
    let blobs = rows.filter_map(|row| {
        let positions: Vec<usize> = row.repositories.iter().map(|it| *it as usize).collect();
        let repository = repositories.get(*positions.first()?)?.clone();
        let is_new = bundle.carries(&row.digest) && seen.insert(&row.digest);
        is_new.then(|| PlannedBlob {
            descriptor: row.descriptor(),
            place: SourcePlace {
                source: 0,
                repository,
            },
            repositories: positions,
        })
    });
    Plan {
        blobs: blobs.collect(),
        repositories: repositories.clone(),
        ..Plan::default()
    }
}

/// The walk must find exactly the referrers that the inventory promises for the artifact.
fn check_referrers(
    inventory: &Inventory,
    artifact: &Artifact,
    found: &FoundArtifact,
) -> Result<()> {
    let promised: HashSet<_> = artifact
        .referrers
        .iter()
        .map(|r| (&r.subject, &r.digest))
        .collect();
    let walked: HashSet<_> = found
        .referrers
        .iter()
        .map(|r| (&r.subject, &r.digest))
        .collect();
    match promised.difference(&walked).next() {
        None => Ok(()),
        Some((subject, digest)) => Err(Error::unverified(format!(
            "the inventory promises `{digest}` as a referrer of `{subject}` in `{}`, and it is not one",
            inventory.repository(artifact.repository)
        ))),
    }
}

/// What an artifact lacks must be what the inventory says it lacks, and must not be in the bundle.
fn check_absent(bundle: &Bundle, artifact: &Artifact, found: &FoundArtifact) -> Result<()> {
    let listed: HashSet<_> = artifact
        .absent
        .iter()
        .map(|a| (&a.digest, a.reason))
        .collect();
    let walked: HashSet<_> = found
        .absent
        .iter()
        .map(|(digest, reason)| (digest, *reason))
        .collect();
    let wrong = listed
        .symmetric_difference(&walked)
        .chain(listed.iter().filter(|(digest, _)| bundle.carries(digest)))
        .next();
    match wrong {
        None => Ok(()),
        Some((digest, _)) => Err(Error::unverified(format!(
            "the inventory is wrong about whether `{digest}` is left out of `{}`",
            bundle.inventory().repository(artifact.repository)
        ))),
    }
}

/// The manifests must be of the size and type that the list of artifacts gives them.
fn check_roots(inventory: &Inventory, taken: &[usize], plan: &Plan) -> Result<()> {
    let listed = taken.iter().map(|position| &inventory.artifacts[*position]);
    for (listed, planned) in listed.zip(&plan.artifacts) {
        let found = &plan.manifests[planned.root].descriptor;
        if listed.root.descriptor() != *found {
            return Err(Error::unverified(format!(
                "the inventory lists `{}` as `{}` of {} bytes, and it is `{}` of {}",
                found.digest,
                listed.root.media_type,
                listed.root.size,
                found.media_type,
                found.size
            )));
        }
    }
    Ok(())
}

/// Every blob that the manifests name must be in the bundle, before anything is moved.
async fn check_blobs(bundle: &Arc<Bundle>, plan: &Plan) -> Result<()> {
    for blob in &plan.blobs {
        let digest = &blob.descriptor.digest;
        let is_there = bundle.find_assumed(digest).is_some()
            || bundle.find_rebuilt(digest).is_some()
            || bundle.has(&blob.place.repository, &blob.descriptor).await?;
        if !is_there {
            return Err(Error::unverified(format!(
                "a manifest in `{}` needs the blob `{}`, which the bundle does not carry",
                blob.place.repository, blob.descriptor.digest
            )));
        }
    }
    Ok(())
}

/// Delivers one bundle.
pub async fn run_import(
    import: &ImportPlan,
    target: &Place,
    options: &ImportOptions,
) -> Result<ImportReport> {
    let lane = options.rules.lane.as_deref();
    let delivered = deliver(import, target, options).await;
    delivered.map_err(|error| note_missing(error, lane, options.missing.as_deref()))
}

async fn deliver(
    import: &ImportPlan,
    target: &Place,
    options: &ImportOptions,
) -> Result<ImportReport> {
    let overwrites = overwrites_of(import, target, options)?;
    overwrites.check(&import.names)?;
    let within = &options.assumed_within;
    let found = find_assumed(&import.bundle, &import.assumed, (target, within)).await?;
    let supply = supply_of(import, target, &found, &options.spool)?;
    let copy = Copy {
        plan: Arc::clone(&import.plan),
        sources: vec![Arc::new(supply)],
        target: target.as_target(),
        names: import.names.clone(),
        mounts: MountSources::Found(found),
        options: CopyOptions {
            overwrites: Some(Arc::new(overwrites)),
            ..options.copy.clone()
        },
    };
    let copied = match import.bundle.inventory().repairs {
        Some(_) => copy.run_blobs().await,
        None => copy.run().await,
    };
    let report = copied.map_err(|error| blame_bundle(error, import))?;
    let read_back = match &options.read_back {
        None => None,
        Some(events) => {
            let delivered = (&import.plan, &import.names[..], &report);
            let concurrency = options.copy.concurrency;
            Some(read_back(delivered, target, concurrency, events).await?)
        }
    };
    Ok(ImportReport {
        artifacts: list_artifacts(import.artifact_names(), &report),
        copy: report,
        read_back,
    })
}

/// Where the contents of a bundle come from.
fn supply_of(
    import: &ImportPlan,
    target: &Place,
    found: &FoundContents,
    spool: &Path,
) -> Result<Supply> {
    let (bundle, source) = (&import.bundle, target.as_source());
    let reconstruction = match bundle.inventory().rebuilt.is_empty() {
        true => None,
        false => {
            let layers = (Arc::clone(&source), found.clone());
            Some(Reconstruction::new(bundle, layers, Spool::open(spool)?))
        }
    };
    Ok(Supply {
        bundle: Arc::clone(bundle),
        target: source,
        found: found.clone(),
        reconstruction: reconstruction.map(Arc::new),
    })
}

/// Reads everything back that is said to be at the target now, and counts it.
pub(super) async fn read_back(
    (plan, names, report): (&Arc<Plan>, &[Repository], &CopyReport),
    target: &Place,
    concurrency: usize,
    events: &Events,
) -> Result<usize> {
    let is_there = |position: &usize| {
        let outcome = &report.outcomes[*position];
        matches!(
            outcome,
            Some(ArtifactOutcome::Delivered | ArtifactOutcome::Unchanged)
        )
    };
    let check = ReadBack {
        plan: Arc::clone(plan),
        names: names.to_vec(),
        target: target.as_source(),
        artifacts: (0..report.outcomes.len()).filter(is_there).collect(),
        concurrency,
        events: Arc::clone(events),
    };
    let checked = check.run().await;
    checked.map_err(|error| error.within("target: what was read back is not right"))
}

/// What could not be read is told as the bundle's failure.
fn blame_bundle(error: Error, import: &ImportPlan) -> Error {
    match error.is_of_source() {
        true => {
            let name = &import.bundle.inventory().name;
            error.within(format!("the content of the bundle `{name}` cannot be read"))
        }
        false => error,
    }
}

fn overwrites_of(
    import: &ImportPlan,
    target: &Place,
    options: &ImportOptions,
) -> Result<Overwrites> {
    let now = options.rules.now;
    let (run, past) = match options.recorded.clone() {
        Some((run, past)) => (run, Some(past)),
        None => (RunId::generate(now)?, None),
    };
    Ok(Overwrites {
        rules: options.tags.clone(),
        plan: Arc::clone(&import.plan),
        source: Arc::clone(&import.bundle) as Arc<dyn Source>,
        target: target.clone(),
        run: run.to_string(),
        now,
        events: Arc::clone(&options.copy.events),
        past,
    })
}

/// What became of each artifact of a plan, by its name at the target and its digest.
pub(super) fn list_artifacts<'p>(
    names: impl Iterator<Item = (String, &'p Digest)>,
    report: &CopyReport,
) -> Vec<ImportedArtifact> {
    let unreached = || ArtifactOutcome::Failed("it was not reached".to_owned());
    names
        .zip(&report.outcomes)
        .enumerate()
        .map(|(position, ((name, digest), outcome))| {
            let replaced = report.replaced.get(&position);
            ImportedArtifact {
                name,
                digest: digest.clone(),
                outcome: outcome.clone().unwrap_or_else(unreached),
                replaced: replaced.map(|it| it.digest.clone()),
                rollback_tag: replaced.and_then(|it| it.rollback_tag.clone()),
            }
        })
        .collect()
}
