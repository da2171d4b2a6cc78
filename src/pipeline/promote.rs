//! Promotes artifacts from one connected registry to another: the copy of an export and an import without a bundle.
//!
//! The source is only read. What may go where is decided by [`PromotionEdge`]; who may do it, by whoever calls.
//!
//! **Invariants.** Planned before the first byte; tags last; bytes as they are, so a digest never changes. Every
//! repository is named through the edge, whatever the selection has found.
//! Specification: design.md, section 4.

use std::sync::Arc;

use jiff::Timestamp;

use super::export_plan::{Walking, check_collisions, nothing_read, walk_roots};
use super::import::{ImportedArtifact, list_artifacts, read_back};
use super::import_plan::name_artifact;
use super::overwrite::{MovesBack, Overwrites, TagPast, TagRules};
use super::place::Place;
use super::promotion_edge::PromotionEdge;
use super::select::Selected;
use super::survey::{Survey, survey_copy};
use crate::content::{
    Copy, CopyOptions, CopyReport, Events, Existing, MountSources, OnError, Plan, PlannedArtifact,
    ReferrerPolicy, Result, Source,
};
use crate::history::RunId;
use crate::oci::{Digest, Platform, Repository};
use crate::selection::RollbackTag;

/// How artifacts are promoted.
pub struct PromotionOptions {
    pub edge: PromotionEdge,
    pub platforms: Vec<Platform>,
    pub referrers: ReferrerPolicy,
    pub on_error: OnError,
    pub existing: Existing,
    /// How what a tag leaves is called afterwards; without a template it has no tag.
    pub rollback: Option<RollbackTag>,
    /// Contents in flight.
    pub concurrency: usize,
    pub now: Timestamp,
    pub events: Events,
    /// Whether everything is read back from the target at the end, and who hears of it.
    pub read_back: Option<Events>,
}

impl PromotionOptions {
    fn mounts(&self) -> MountSources {
        match self.edge.stays_in_registry() {
            true => MountSources::Source,
            false => MountSources::Filled,
        }
    }
}

/// Everything that is promoted, before the first byte moves.
pub struct PromotionPlan {
    pub plan: Arc<Plan>,
    /// The target's names, by position in [`Plan::repositories`].
    pub names: Vec<Repository>,
    /// References that could not be planned, and why.
    pub failures: Vec<(String, String)>,
    source: Arc<dyn Source>,
    source_host: String,
}

/// What a promotion did.
pub struct PromotionReport {
    pub copy: CopyReport,
    pub artifacts: Vec<ImportedArtifact>,
    /// Contents that were read back from the target.
    pub read_back: Option<usize>,
}

impl PromotionPlan {
    /// `REPOSITORY:TAG` or `REPOSITORY@DIGEST` at the target, and the digest of each artifact.
    pub fn artifact_names(&self) -> impl Iterator<Item = (String, &Digest)> {
        self.plan.artifacts.iter().map(|artifact| {
            let digest = &self.plan.manifests[artifact.root].descriptor.digest;
            let repository = &self.names[artifact.repository];
            let name = name_artifact(repository, artifact.tag.as_ref(), digest);
            (name, digest)
        })
    }

    /// The whole references of the artifacts at the source.
    pub fn source_references(&self) -> impl Iterator<Item = String> {
        let artifacts = self.plan.artifacts.iter();
        artifacts.map(|artifact| self.source_reference(artifact))
    }

    fn source_reference(&self, artifact: &PlannedArtifact) -> String {
        let digest = &self.plan.manifests[artifact.root].descriptor.digest;
        let repository = &self.plan.repositories[artifact.repository];
        let name = name_artifact(repository, artifact.tag.as_ref(), digest);
        format!("{}/{name}", self.source_host)
    }
}

/// Plans what was selected; `None` where nothing was.
pub async fn plan_promotion(
    options: &PromotionOptions,
    selected: &Selected,
) -> Result<Option<PromotionPlan>> {
    let (Some(source), Some(source_host)) =
        (selected.sources.first(), selected.source_names.first())
    else {
        return match selected.failures.is_empty() {
            true => Ok(None),
            false => Err(nothing_read(&selected.failures)),
        };
    };
    if selected.roots.is_empty() {
        return match selected.failures.is_empty() {
            true => Ok(None),
            false => Err(nothing_read(&selected.failures)),
        };
    }
    let walking = Walking {
        platforms: options.platforms.clone(),
        referrers: options.referrers,
        on_error: options.on_error,
    };
    let (mut plan, _, unread) = walk_roots(&walking, selected, &selected.roots).await?;
    plan.keep_each_digest_once();
    check_collisions(&plan)?;
    let repositories = plan.repositories.iter();
    let names = repositories.map(|repository| options.edge.name_at_target(repository));
    Ok(Some(PromotionPlan {
        names: names.collect::<Result<_>>()?,
        plan: Arc::new(plan),
        failures: selected.failures.iter().cloned().chain(unread).collect(),
        source: Arc::clone(source),
        source_host: source_host.clone(),
    }))
}

/// Asks the target what it has, and counts what would be moved.
pub async fn survey_promotion(
    plan: &PromotionPlan,
    target: &Place,
    options: &PromotionOptions,
) -> Result<Survey> {
    let mounts = options.mounts();
    let copied = (&*plan.plan, &plan.names[..], &mounts);
    survey_copy(copied, target, options.concurrency).await
}

/// Carries the plan out. `recorded` is the run that it is, and what is known of the target's past.
pub async fn run_promotion(
    plan: &PromotionPlan,
    target: &Place,
    options: &PromotionOptions,
    recorded: Option<(RunId, TagPast)>,
) -> Result<PromotionReport> {
    let overwrites = overwrites_of(plan, target, options, recorded)?;
    overwrites.check(&plan.names)?;
    let copy = Copy {
        plan: Arc::clone(&plan.plan),
        sources: vec![Arc::clone(&plan.source)],
        target: target.as_target(),
        names: plan.names.clone(),
        mounts: options.mounts(),
        options: CopyOptions {
            existing: options.existing,
            on_error: options.on_error,
            held: Arc::default(),
            overwrites: Some(Arc::new(overwrites)),
            concurrency: options.concurrency,
            events: Arc::clone(&options.events),
        },
    };
    let copied = copy.run().await;
    let report = copied.map_err(|error| match error.is_of_source() {
        true => error.on_side("source"),
        false => error,
    })?;
    let read_back = match &options.read_back {
        None => None,
        Some(events) => {
            let delivered = (&plan.plan, &plan.names[..], &report);
            Some(read_back(delivered, target, options.concurrency, events).await?)
        }
    };
    Ok(PromotionReport {
        artifacts: list_artifacts(plan.artifact_names(), &report),
        copy: report,
        read_back,
    })
}

/// A tag that moves back is told: whoever promotes may have meant it.
fn overwrites_of(
    plan: &PromotionPlan,
    target: &Place,
    options: &PromotionOptions,
    recorded: Option<(RunId, TagPast)>,
) -> Result<Overwrites> {
    let (run, past) = match recorded {
        Some((run, past)) => (run, Some(past)),
        None => (RunId::generate(options.now)?, None),
    };
    Ok(Overwrites {
        rules: TagRules {
            moves_back: MovesBack::Allow,
            rollback: options.rollback.clone(),
        },
        plan: Arc::clone(&plan.plan),
        source: Arc::clone(&plan.source),
        target: target.clone(),
        run: run.to_string(),
        now: options.now,
        events: Arc::clone(&options.events),
        past,
    })
}
