//! Delivers planned bundles to a target: copy, and what became of every artifact.

use std::path::PathBuf;
use std::sync::Arc;

use super::admission::AdmissionRules;
use super::assumed::{AssumedWithin, FoundContents, find_assumed};
use super::import_plan::ImportPlan;
use super::missing::{forget_missing, note_missing};
use super::overwrite::{Overwrites, TagPast, TagRules};
use super::part::PartSelection;
use super::place::Place;
use super::rebuild::PlatformIndex;
use super::reconstruct::Reconstruction;
use super::spool::Spool;
use super::supply::Supply;
use crate::content::{
    ArtifactOutcome, Copy, CopyOptions, CopyReport, Error, ErrorKind, Events, MountSources, Plan,
    PresentBlobs, ReadBack, Result, Source,
};
use crate::dense::gzip::Corrector;
use crate::history::RunId;
use crate::oci::{Digest, Repository, Tag};
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
    /// What makes layers of some compressors again, by corrections.
    pub corrector: Corrector,
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

/// Delivers one bundle.
pub async fn run_import(
    import: &ImportPlan,
    target: &Place,
    options: &ImportOptions,
) -> Result<ImportReport> {
    let lane = options.rules.lane.as_deref();
    let delivered = deliver(import, target, options).await;
    let directory = options.missing.as_deref();
    match delivered {
        Ok(report) => {
            if import.left.is_empty() && report.copy.failed() == 0 {
                forget_missing(&import.bundle.inventory().name, lane, directory);
            }
            Ok(report)
        }
        Err(error) => Err(note_missing(error, lane, directory)),
    }
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
    let supply = supply_of(import, target, &found, options)?;
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
        Some(_) => copy.run_blobs(PresentBlobs::PushedAgain).await,
        None => copy.run().await,
    };
    let report = copied.map_err(|error| blame_bundle(error, import))?;
    let events = options.read_back.as_ref();
    let delivered = (&import.plan, &import.names[..], &report);
    let concurrency = options.copy.concurrency;
    let read_back = match (&import.bundle.inventory().repairs, events) {
        (Some(_), _) => {
            let events = events.unwrap_or(&options.copy.events);
            let read = read_back(delivered, target, concurrency, events).await;
            Some(read.map_err(blame_registry)?)
        }
        (None, Some(events)) => Some(read_back(delivered, target, concurrency, events).await?),
        (None, None) => None,
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
    options: &ImportOptions,
) -> Result<Supply> {
    let (bundle, source) = (&import.bundle, target.as_source());
    let reconstruction = if bundle.inventory().rebuilt.is_empty() {
        None
    } else {
        let layers = (Arc::clone(&source), found.clone());
        let spool = Spool::open(&options.spool)?;
        let corrector = options.corrector.clone();
        Some(Reconstruction::new(bundle, layers, spool, corrector))
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

/// What was pushed and still is not there as it should be: many registries keep the bytes that they have.
fn blame_registry(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unverified | ErrorKind::NotFound => Error::new(
            ErrorKind::Failed,
            "the target keeps other bytes under a digest that was pushed again; delete the blob there, and import this again",
        )
        .with_cause(error),
        _ => error.within("target: what was repaired cannot be read back"),
    }
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
