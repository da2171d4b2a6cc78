//! The copy: carries a plan from its sources to a target, in two phases.
//!
//! Phase 1 moves blobs and then manifests by digest, children before parents; nobody who pulls by tag sees
//! any of it. Phase 2 begins when every byte has been checked: referrers, lookup tables, cosign's tags, and
//! the tags of the artifacts last. Without `OnError::Continue` one failure in phase 1 means no phase 2.
//!
//! **Invariants.** A tag moves only when everything that it needs is at the target. Existence is asked of
//! the target repository itself, and a blob is mounted only from a repository that this copy has filled, or
//! that it reads from within one registry, where the operator has named both ends.
//! Repeating a copy is harmless and moves only what is missing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::concurrent::{for_each, for_each_to_its_end};
use super::copy_options::{CopyOptions, CopyReport, Existing, OnError, PresentBlobs};
use super::event::Event;
use super::plan::{Plan, PlannedManifest};
use super::provision::provide;
use super::{
    BlobOutcome, Content, Document, Error, ErrorKind, Result, Source, Target, fetch_document,
};
use crate::oci::{Digest, Pin, Repository};

/// Blobs in flight hold a few pieces each in memory; together not more than this.
const WINDOW_KIB: usize = 48 << 10;
/// The most that one blob in flight holds, however large it is.
const BLOB_IN_FLIGHT_MAX_KIB: u64 = 12 << 10;

/// A copy about to be made: the plan, and the target's names for the plan's repositories.
pub struct Copy {
    pub plan: Arc<Plan>,
    pub sources: Vec<Arc<dyn Source>>,
    pub target: Arc<dyn Target>,
    /// By position in [`Plan::repositories`].
    pub names: Vec<Repository>,
    pub mounts: MountSources,
    pub options: CopyOptions,
}

/// From where the target may be asked to mount a blob.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MountSources {
    /// Repositories that this copy has filled.
    #[default]
    Filled,
    /// These, and those in which each of these blobs was found before.
    Found(HashMap<Digest, Repository>),
    /// The repository that the blob would be read from too: source and target are one registry.
    Source,
}

#[derive(Default)]
pub(super) struct Progress {
    pub(super) report: CopyReport,
    pub(super) failures: HashMap<Digest, String>,
    /// Manifests that were not at the target before.
    pub(super) new_manifests: HashSet<usize>,
}

impl Copy {
    /// Carries the plan out.
    pub async fn run(self) -> Result<CopyReport> {
        let run = Arc::new(Run::new(self, PresentBlobs::Spared));
        run.copy.announce();
        let chosen = run.choose_artifacts().await?;
        let (first, second) = run.copy.split_manifests(&chosen);
        let manifests = first.iter().chain(&second);
        let manifests = manifests.map(|manifest| &run.copy.plan.manifests[*manifest]);
        let filled = manifests.flat_map(|manifest| &manifest.repositories);
        run.copy.prepare_target(filled.copied().collect()).await?;
        run.clone().copy_blobs(&first, &second).await?;
        run.clone().push_manifests(&first).await?;
        run.clone().push_manifests(&second).await?;
        let publishing = Arc::clone(&run);
        let limit = run.copy.options.concurrency;
        for_each_to_its_end(chosen, limit, move |artifact| {
            let run = Arc::clone(&publishing);
            async move { run.publish(artifact).await }
        })
        .await?;
        let report = std::mem::take(&mut run.lock().report);
        Ok(report)
    }

    /// Carries out the blobs of the plan alone, whether a manifest needs them or not.
    pub async fn run_blobs(self, present: PresentBlobs) -> Result<CopyReport> {
        let run = Arc::new(Run::new(self, present));
        run.copy.announce();
        let filled = run.copy.plan.blobs.iter();
        let filled = filled.flat_map(|blob| blob.repositories.iter().copied());
        run.copy.prepare_target(filled.collect()).await?;
        let all = (0..run.copy.plan.blobs.len()).collect();
        run.clone().copy_blobs_at(all).await?;
        let report = std::mem::take(&mut run.lock().report);
        Ok(report)
    }

    fn announce(&self) {
        (self.options.events)(Event::Planned {
            contents: self.plan.blobs.len() + self.plan.manifests.len(),
            bytes: self.plan.size_bytes(),
        });
    }

    /// Lets the target create what it must have before anything is pushed into these repositories of the plan.
    async fn prepare_target(&self, repositories: BTreeSet<usize>) -> Result<()> {
        let names: Vec<&Repository> = repositories.into_iter().map(|it| self.name(it)).collect();
        let CopyOptions {
            on_error, events, ..
        } = &self.options;
        provide(&*self.target, &names, *on_error, events).await
    }

    /// The manifests below the artifacts' tags, and those that only their referrers need; in plan order.
    fn split_manifests(&self, chosen: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let artifacts = || {
            chosen
                .iter()
                .map(|position| &self.plan.artifacts[*position])
        };
        let first: HashSet<usize> = artifacts()
            .flat_map(|a| self.plan.manifests_below(a.root))
            .collect();
        let second: HashSet<usize> = artifacts()
            .flat_map(|a| &a.referrers)
            .flat_map(|referrer| self.plan.manifests_below(referrer.manifest))
            .filter(|manifest| !first.contains(manifest))
            .collect();
        let in_order = |set: HashSet<usize>| {
            let mut list: Vec<usize> = set.into_iter().collect();
            list.sort_unstable();
            list
        };
        (in_order(first), in_order(second))
    }

    pub(super) fn name(&self, repository: usize) -> &Repository {
        &self.names[repository]
    }

    pub(super) async fn document(&self, manifest: &PlannedManifest) -> Result<Document> {
        if let Some(bytes) = &manifest.bytes {
            return Ok(Document {
                descriptor: manifest.descriptor.clone(),
                bytes: bytes.clone(),
            });
        }
        let pin = Pin::Digest(manifest.descriptor.digest.clone());
        let source = &*self.sources[manifest.place.source];
        let fetched = fetch_document(source, &manifest.place.repository, &pin).await;
        let mut document = fetched.map_err(Error::of_source)?;
        document.descriptor = manifest.descriptor.clone();
        Ok(document)
    }
}

pub(super) struct Run {
    pub(super) copy: Copy,
    /// Permits for a KiB of content in flight each.
    window: Semaphore,
    progress: Mutex<Progress>,
    present: PresentBlobs,
}

impl Run {
    fn new(copy: Copy, present: PresentBlobs) -> Self {
        Self {
            copy,
            window: Semaphore::new(WINDOW_KIB),
            progress: Mutex::default(),
            present,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the target for the tags, and decides which artifacts are delivered.
    async fn choose_artifacts(self: &Arc<Self>) -> Result<Vec<usize>> {
        let count = self.copy.plan.artifacts.len();
        self.lock().report.outcomes = vec![None; count];
        if self.copy.options.existing == Existing::Overwrite {
            return Ok((0..count).collect());
        }
        let run = Arc::clone(self);
        for_each(0..count, self.copy.options.concurrency, move |position| {
            let run = Arc::clone(&run);
            async move { run.check_existing(position).await }
        })
        .await?;
        let progress = self.lock();
        let is_open = |position: &usize| progress.report.outcomes[*position].is_none();
        Ok((0..count).filter(is_open).collect())
    }

    async fn copy_blobs(self: Arc<Self>, first: &[usize], second: &[usize]) -> Result<()> {
        let manifests = first
            .iter()
            .chain(second)
            .map(|m| &self.copy.plan.manifests[*m]);
        let mut blobs: Vec<usize> = manifests.flat_map(|m| m.blobs.iter().copied()).collect();
        blobs.sort_unstable();
        blobs.dedup();
        self.copy_blobs_at(blobs).await
    }

    async fn copy_blobs_at(self: Arc<Self>, blobs: Vec<usize>) -> Result<()> {
        let limit = self.copy.options.concurrency;
        let run = Arc::clone(&self);
        for_each(blobs, limit, move |blob| {
            let run = Arc::clone(&run);
            async move {
                let copied = run.copy_blob(blob).await;
                let descriptor = &run.copy.plan.blobs[blob].descriptor;
                run.settle(&descriptor.digest, copied)
            }
        })
        .await
    }

    /// Brings one blob to every repository that needs it.
    async fn copy_blob(&self, position: usize) -> Result<()> {
        let blob = &self.copy.plan.blobs[position];
        let held_kib = (blob.descriptor.size >> 10).min(BLOB_IN_FLIGHT_MAX_KIB) + 1;
        let held = self
            .window
            .acquire_many(u32::try_from(held_kib).unwrap_or(1))
            .await;
        // The window is never closed.
        let _held = held.ok();
        let source = Arc::clone(&self.copy.sources[blob.place.source]);
        let events = Arc::clone(&self.copy.options.events);
        let content = Content::new(
            source,
            blob.place.repository.clone(),
            blob.descriptor.clone(),
        )
        .with_events(events);
        let size = blob.descriptor.size;
        let mut filled: Option<&Repository> = match &self.copy.mounts {
            MountSources::Filled => None,
            MountSources::Found(found) => found.get(&blob.descriptor.digest),
            MountSources::Source => Some(&blob.place.repository),
        };
        let mut was_moved = false;
        for repository in &blob.repositories {
            let name = self.copy.name(*repository);
            let target = &self.copy.target;
            let is_spared = self.present == PresentBlobs::Spared
                && target
                    .exists(name, &blob.descriptor)
                    .await
                    .map_err(at_target)?;
            if is_spared {
                self.note_present(size);
            } else {
                let outcome = target.push_blob(name, &content, filled).await;
                let outcome = outcome.map_err(at_target)?;
                was_moved |= outcome == BlobOutcome::Pushed;
                self.note_pushed(outcome, size);
            }
            filled = Some(name);
        }
        if !was_moved {
            (self.copy.options.events)(Event::Spared(size));
        }
        Ok(())
    }

    fn note_present(&self, size: u64) {
        let report = &mut self.lock().report;
        report.present_bytes += size;
        report.present_contents += 1;
    }

    fn note_pushed(&self, outcome: BlobOutcome, size: u64) {
        let report = &mut self.lock().report;
        match outcome {
            BlobOutcome::Pushed => {
                report.pushed_bytes += size;
                report.pushed_contents += 1;
            }
            BlobOutcome::Mounted => report.mounted_contents += 1,
        }
    }

    /// Notes a failure, or ends the copy with it.
    fn settle(&self, digest: &Digest, done: Result<()>) -> Result<()> {
        match done {
            Ok(()) => (self.copy.options.events)(Event::ContentDone(digest.clone())),
            Err(error) if self.copy.options.on_error == OnError::Stop => return Err(error),
            Err(error) => {
                let error = match error.is_of_source() {
                    true => error.on_side("source"),
                    false => error,
                };
                self.lock()
                    .failures
                    .insert(digest.clone(), describe(&error));
            }
        }
        Ok(())
    }

    /// Pushes manifests, children before parents, as many at once as do not depend on each other.
    async fn push_manifests(self: Arc<Self>, positions: &[usize]) -> Result<()> {
        for level in group_by_height(&self.copy.plan, positions).into_values() {
            let run = Arc::clone(&self);
            for_each(level, self.copy.options.concurrency, move |manifest| {
                let run = Arc::clone(&run);
                async move {
                    let digest = run.copy.plan.manifests[manifest].descriptor.digest.clone();
                    let pushed = run.push_manifest(manifest).await;
                    run.settle(&digest, pushed)
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn push_manifest(&self, position: usize) -> Result<()> {
        let manifest = &self.copy.plan.manifests[position];
        let size = manifest.descriptor.size;
        self.check_children(manifest)?;
        let mut document = None;
        for repository in &manifest.repositories {
            let name = self.copy.name(*repository);
            let target = &self.copy.target;
            if target
                .exists(name, &manifest.descriptor)
                .await
                .map_err(at_target)?
            {
                self.note_present(size);
                continue;
            }
            if document.is_none() {
                document = Some(self.copy.document(manifest).await?);
            }
            if let Some(document) = &document {
                let pushed = target.push_manifest(name, document).await;
                pushed.map_err(|error| explain_refusal(error, manifest))?;
            }
            self.note_pushed(BlobOutcome::Pushed, size);
            self.lock().new_manifests.insert(position);
        }
        let event = if document.is_some() {
            Event::Moved(size)
        } else {
            Event::Spared(size)
        };
        (self.copy.options.events)(event);
        Ok(())
    }

    fn check_children(&self, manifest: &PlannedManifest) -> Result<()> {
        let plan = &self.copy.plan;
        let blobs = manifest
            .blobs
            .iter()
            .map(|blob| &plan.blobs[*blob].descriptor.digest);
        let children = manifest
            .children
            .iter()
            .map(|c| &plan.manifests[*c].descriptor.digest);
        let progress = self.lock();
        match blobs
            .chain(children)
            .find_map(|digest| progress.failures.get(digest))
        {
            Some(reason) => Err(Error::new(ErrorKind::Failed, reason.clone())),
            None => Ok(()),
        }
    }
}

/// Manifests by their distance from the leaves, so that no level depends on itself.
fn group_by_height(plan: &Plan, positions: &[usize]) -> BTreeMap<usize, Vec<usize>> {
    let mut heights: HashMap<usize, usize> = HashMap::new();
    let mut levels: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    // Children stand before parents in the plan, so one pass in its order is enough.
    for position in positions {
        let children = plan.manifests[*position].children.iter();
        let below = children.filter_map(|child| heights.get(child)).max();
        let height = below.map_or(0, |below| below + 1);
        heights.insert(*position, height);
        levels.entry(height).or_default().push(*position);
    }
    levels
}

/// Content that could not be read is not the target's failure, whoever was to write it.
pub(super) fn at_target(error: Error) -> Error {
    match error.is_of_source() {
        true => error,
        false => error.on_side("target"),
    }
}

/// Registries that want every child of an index say so in many ways; we know what they mean.
fn explain_refusal(error: Error, manifest: &PlannedManifest) -> Error {
    let is_refusal = matches!(
        error.kind(),
        ErrorKind::Refused | ErrorKind::NotFound | ErrorKind::Failed | ErrorKind::Unsupported
    );
    if !(manifest.is_sparse && is_refusal) {
        return at_target(error);
    }
    let message = format!(
        "target: the sparse index `{}` was refused",
        manifest.descriptor.digest
    );
    Error::new(ErrorKind::Unsupported, message).with_cause(SparseIndexRefused(error))
}

/// The target wants every platform of an index.
#[derive(Debug, thiserror::Error)]
#[error("not every platform of it is carried, and this registry wants them all")]
pub struct SparseIndexRefused(#[source] Error);

/// The error and its causes in one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
