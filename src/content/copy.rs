//! The copy: carries a plan from its sources to a target, in two phases.
//!
//! Phase 1 moves blobs and then manifests by digest, children before parents; nobody who pulls by tag sees
//! any of it. Phase 2 begins when every byte has been checked: referrers, lookup tables, cosign's tags, and
//! the tags of the artifacts last. Without `OnError::Continue` one failure in phase 1 means no phase 2.
//!
//! **Invariants.** A tag moves only when everything that it needs is at the target. Existence is asked of
//! the target repository itself, and a blob is mounted only from a repository that this copy has filled.
//! Repeating a copy is harmless and moves only what is missing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::concurrent::for_each;
use super::event::{Event, Events};
use super::plan::{Plan, PlannedArtifact, PlannedManifest};
use super::{
    BlobOutcome, Content, Document, Error, ErrorKind, Referrer, Result, Source, Target,
    fetch_document,
};
use crate::oci::{Digest, Pin, Repository};

/// What to do with a tag that the target has already, for other content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    #[default]
    Overwrite,
    /// The artifact is left as it is at the target.
    Keep,
    /// Nothing is moved.
    Fail,
}

/// Whether one artifact's failure stops the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    #[default]
    Stop,
    Continue,
}

#[derive(Clone)]
pub struct CopyOptions {
    pub existing: Existing,
    pub on_error: OnError,
    /// Contents in flight.
    pub concurrency: usize,
    pub events: Events,
}

/// What became of one artifact, in plan order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactOutcome {
    Delivered,
    /// Everything was there already.
    Unchanged,
    /// The target's tag was kept.
    Kept,
    Failed(String),
}

/// What a copy did. Sizes are bytes.
#[derive(Clone, Debug, Default)]
pub struct CopyReport {
    pub outcomes: Vec<Option<ArtifactOutcome>>,
    pub pushed_bytes: u64,
    pub pushed_contents: usize,
    pub mounted_contents: usize,
    pub present_bytes: u64,
    pub present_contents: usize,
    pub tags_moved: usize,
}

impl CopyReport {
    pub fn failed(&self) -> usize {
        let is_failed = |outcome: &&Option<ArtifactOutcome>| {
            matches!(outcome, Some(ArtifactOutcome::Failed(_)))
        };
        self.outcomes.iter().filter(is_failed).count()
    }
}

/// A copy about to be made: the plan, and the target's names for the plan's repositories.
pub struct Copy {
    pub plan: Arc<Plan>,
    pub sources: Vec<Arc<dyn Source>>,
    pub target: Arc<dyn Target>,
    /// By position in [`Plan::repositories`].
    pub names: Vec<Repository>,
    pub options: CopyOptions,
}

#[derive(Default)]
struct Progress {
    report: CopyReport,
    failures: HashMap<Digest, String>,
    /// Manifests that were not at the target before.
    new_manifests: HashSet<usize>,
}

impl Copy {
    /// Carries the plan out.
    pub async fn run(self) -> Result<CopyReport> {
        let run = Arc::new(Run {
            progress: Mutex::default(),
            copy: self,
        });
        run.copy.announce();
        let chosen = run.choose_artifacts().await?;
        let (first, second) = run.copy.split_manifests(&chosen);
        run.clone().copy_blobs(&first, &second).await?;
        run.clone().push_manifests(&first).await?;
        run.clone().push_manifests(&second).await?;
        let publishing = Arc::clone(&run);
        for_each(chosen, run.copy.options.concurrency, move |artifact| {
            let run = Arc::clone(&publishing);
            async move { run.publish(artifact).await }
        })
        .await?;
        let report = std::mem::take(&mut run.lock().report);
        Ok(report)
    }

    fn announce(&self) {
        (self.options.events)(Event::Planned {
            contents: self.plan.blobs.len() + self.plan.manifests.len(),
            bytes: self.plan.size_bytes(),
        });
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

    fn name(&self, repository: usize) -> &Repository {
        &self.names[repository]
    }

    async fn document(&self, manifest: &PlannedManifest) -> Result<Document> {
        if let Some(bytes) = &manifest.bytes {
            return Ok(Document {
                descriptor: manifest.descriptor.clone(),
                bytes: bytes.clone(),
            });
        }
        let pin = Pin::Digest(manifest.descriptor.digest.clone());
        let source = &*self.sources[manifest.place.source];
        let mut document = fetch_document(source, &manifest.place.repository, &pin).await?;
        document.descriptor = manifest.descriptor.clone();
        Ok(document)
    }
}

struct Run {
    copy: Copy,
    progress: Mutex<Progress>,
}

impl Run {
    fn lock(&self) -> MutexGuard<'_, Progress> {
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

    async fn check_existing(&self, position: usize) -> Result<()> {
        let artifact = &self.copy.plan.artifacts[position];
        let Some(tag) = &artifact.tag else {
            return Ok(());
        };
        let name = self.copy.name(artifact.repository);
        let found = self
            .copy
            .target
            .resolve_tag(name, tag)
            .await
            .map_err(at_target)?;
        let wanted = &self.copy.plan.manifests[artifact.root].descriptor.digest;
        match found {
            Some(found) if found != *wanted && self.copy.options.existing == Existing::Fail => {
                Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!(
                        "the target has `{name}:{tag}` already, as `{found}`, and `{wanted}` is to come"
                    ),
                ))
            }
            Some(found) if found != *wanted => {
                self.lock().report.outcomes[position] = Some(ArtifactOutcome::Kept);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn copy_blobs(self: Arc<Self>, first: &[usize], second: &[usize]) -> Result<()> {
        let manifests = first
            .iter()
            .chain(second)
            .map(|m| &self.copy.plan.manifests[*m]);
        let mut blobs: Vec<usize> = manifests.flat_map(|m| m.blobs.iter().copied()).collect();
        blobs.sort_unstable();
        blobs.dedup();
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
        let source = Arc::clone(&self.copy.sources[blob.place.source]);
        let events = Arc::clone(&self.copy.options.events);
        let content = Content::new(
            source,
            blob.place.repository.clone(),
            blob.descriptor.clone(),
        )
        .with_events(events);
        let size = blob.descriptor.size;
        let mut filled: Option<&Repository> = None;
        let mut was_moved = false;
        for repository in &blob.repositories {
            let name = self.copy.name(*repository);
            let exists = self
                .copy
                .target
                .exists(name, &blob.descriptor)
                .await
                .map_err(at_target)?;
            if exists {
                self.note_present(size);
            } else {
                let outcome = self.copy.target.push_blob(name, &content, filled).await;
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
                target
                    .push_manifest(name, document)
                    .await
                    .map_err(at_target)?;
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

    /// Phase 2 for one artifact: referrers findable, cosign's tags, and its own tag last.
    async fn publish(&self, position: usize) -> Result<()> {
        let artifact = &self.copy.plan.artifacts[position];
        let outcome = match self.failure_of(artifact) {
            Some(reason) => ArtifactOutcome::Failed(reason),
            None => match self.publish_tags(artifact).await {
                Ok(has_moved) if has_moved || self.is_new(artifact) => ArtifactOutcome::Delivered,
                Ok(_) => ArtifactOutcome::Unchanged,
                Err(error) if self.copy.options.on_error == OnError::Stop => return Err(error),
                Err(error) => ArtifactOutcome::Failed(describe(&error)),
            },
        };
        self.lock().report.outcomes[position] = Some(outcome);
        Ok(())
    }

    fn is_new(&self, artifact: &PlannedArtifact) -> bool {
        let progress = self.lock();
        let manifests = self.copy.plan.manifests_of(artifact);
        manifests
            .iter()
            .any(|manifest| progress.new_manifests.contains(manifest))
    }

    fn failure_of(&self, artifact: &PlannedArtifact) -> Option<String> {
        let progress = self.lock();
        let failures = &progress.failures;
        let missing = self
            .copy
            .plan
            .find_missing(artifact, |digest| failures.contains_key(digest))?;
        failures.get(missing).cloned()
    }

    async fn publish_tags(&self, artifact: &PlannedArtifact) -> Result<bool> {
        let name = self.copy.name(artifact.repository);
        let mut has_moved = false;
        for (subject, manifest) in self.copy.plan.links_of(artifact) {
            let entry = Referrer {
                descriptor: manifest.descriptor.clone(),
                artifact_type: manifest.artifact_type.clone(),
            };
            let linked = self.copy.target.link_referrer(name, subject, &entry).await;
            linked.map_err(at_target)?;
        }
        for referrer in &artifact.referrers {
            if let Some(tag) = &referrer.tag {
                let manifest = &self.copy.plan.manifests[referrer.manifest];
                has_moved |= self.point(name, manifest, tag).await?;
            }
        }
        if let Some(tag) = &artifact.tag {
            has_moved |= self
                .point(name, &self.copy.plan.manifests[artifact.root], tag)
                .await?;
        }
        Ok(has_moved)
    }

    /// Moves a tag, unless it is there already.
    async fn point(
        &self,
        name: &Repository,
        manifest: &PlannedManifest,
        tag: &crate::oci::Tag,
    ) -> Result<bool> {
        let target = &self.copy.target;
        let found = target.resolve_tag(name, tag).await.map_err(at_target)?;
        if found.as_ref() == Some(&manifest.descriptor.digest) {
            return Ok(false);
        }
        let document = self.copy.document(manifest).await?;
        target.tag(name, &document, tag).await.map_err(at_target)?;
        self.lock().report.tags_moved += 1;
        (self.copy.options.events)(Event::Tagged(name.clone(), tag.clone()));
        Ok(true)
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

fn at_target(error: Error) -> Error {
    error.on_side("target")
}

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
