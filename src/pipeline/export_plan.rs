//! Plans an export: pins tags, walks the graphs, names the bundle, assigns volumes. Nothing is moved yet.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::describe::describe_images;
use super::export_carriage::Carriage;
use super::export_thin::Thinning;
use super::name_template::NameTemplate;
use super::place::{Connections, SourceReference};
use super::select::{Selected, select};
use super::select_tags::TagSelection;
use crate::bundle::{Past, Profile, Repairs, Slice};
use crate::content::{
    AbsentReason, Error, ErrorKind, Events, FoundArtifact, OnError, Place, Plan, PlannedArtifact,
    ReferrerPolicy, Result, Root, Source, Walk, WalkOptions, assemble, describe,
};
use crate::history::ExportPosition;
use crate::oci::{Digest, Platform, Repository, Tag};
use crate::storage::Overwrite;

const CONCURRENT_ROOTS: usize = 8;

/// What an export was asked for.
#[derive(Clone)]
pub struct ExportOptions {
    pub references: Vec<SourceReference>,
    pub name: Option<NameTemplate>,
    /// Where it is `None`, the bundles are one-off.
    pub pipeline: Option<PipelineRequest>,
    pub profile: Profile,
    pub volume_size: Option<u64>,
    pub platforms: Vec<Platform>,
    pub referrers: ReferrerPolicy,
    pub on_error: OnError,
    pub max_artifacts: Option<usize>,
    pub audience: Vec<String>,
    pub created: Created,
    pub expires: Option<Timestamp>,
    pub overwrite: Overwrite,
    pub thinning: Thinning,
    /// How many keys will sign; signatures take room in a volume.
    pub signatures: usize,
    pub events: Events,
}

/// When a bundle says that it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// By the clock. A bundle that is gone on with keeps the time of its first run.
    Now(Timestamp),
    /// As it was asked for, so that the same content gives the same bytes.
    Given(Timestamp),
}

impl Created {
    pub fn time(self) -> Timestamp {
        match self {
            Self::Now(time) | Self::Given(time) => time,
        }
    }

    /// Whether a bundle that was begun with this time may be gone on with.
    pub(super) fn admits(self, begun: Timestamp) -> bool {
        match self {
            Self::Now(_) => true,
            Self::Given(time) => time == begun,
        }
    }
}

impl ExportOptions {
    /// What bundles are to be called, and the time that may be in it.
    pub(super) fn naming(&self) -> (Option<&NameTemplate>, Timestamp) {
        (self.name.as_ref(), self.created.time())
    }
}

/// The pipeline that an export belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineRequest {
    pub name: String,
    /// The number to go on with where what was known of the pipeline is lost.
    pub sequence: Option<u64>,
}

/// One bundle to be written.
pub struct ExportPlan {
    pub name: String,
    /// Its place in a pipeline; given when it is its turn.
    pub position: Option<ExportPosition>,
    /// The start of the plan's digest, the same in all volumes.
    pub set: String,
    pub plan: Plan,
    pub sources: Vec<Arc<dyn Source>>,
    pub source_names: Vec<String>,
    /// What of the plan is carried; decided when it is its turn, and everything before.
    pub carriage: Carriage,
    pub volumes: Vec<Vec<Slice>>,
    pub profile: Profile,
    /// What the bundle tells of its artifacts; known when it is its turn.
    pub past: Option<Past>,
    /// The bundle that this one completes, where it does.
    pub repairs: Option<Repairs>,
    /// References that could not be planned, and why.
    pub failures: Vec<(String, String)>,
}

impl ExportPlan {
    /// `REGISTRY/REPOSITORY:TAG`, or with the digest where there is no tag.
    pub fn show_artifact(&self, artifact: &PlannedArtifact) -> String {
        let source = &self.source_names[artifact.source];
        let repository = &self.plan.repositories[artifact.repository];
        if let Some(tag) = &artifact.tag {
            format!("{source}/{repository}:{tag}")
        } else {
            let digest = &self.plan.manifests[artifact.root].descriptor.digest;
            format!("{source}/{repository}@{digest}")
        }
    }
}

/// Plans bundles of everything that the references stand for.
pub async fn plan_exports(
    options: &ExportOptions,
    connections: &Connections,
) -> Result<Vec<ExportPlan>> {
    let everything = TagSelection::all(options.referrers, options.on_error);
    let selected = select(&options.references, connections, &everything).await?;
    plan_selected(options, &selected).await
}

/// Plans one bundle, or several where `max_artifacts` cuts a longer list, and none where nothing is selected.
pub async fn plan_selected(
    options: &ExportOptions,
    selected: &Selected,
) -> Result<Vec<ExportPlan>> {
    if selected.roots.is_empty() && !selected.failures.is_empty() {
        return Err(nothing_read(&selected.failures));
    }
    let size = options.max_artifacts.unwrap_or(usize::MAX).max(1);
    let count = selected.roots.len().div_ceil(size);
    let mut plans = Vec::new();
    for (number, roots) in (1..).zip(selected.roots.chunks(size)) {
        let mut plan = plan_export(options, selected, roots, (number, count)).await?;
        if number == 1 {
            plan.failures.splice(..0, selected.failures.iter().cloned());
        }
        plans.push(plan);
    }
    Ok(plans)
}

pub(super) fn nothing_read(failures: &[(String, String)]) -> Error {
    let (shown, reason) = failures.first().cloned().unwrap_or_default();
    Error::new(
        ErrorKind::Failed,
        format!("source: no artifact could be read; `{shown}`: {reason}"),
    )
}

async fn plan_export(
    options: &ExportOptions,
    selected: &Selected,
    roots: &[Root],
    (number, count): (usize, usize),
) -> Result<ExportPlan> {
    let walking = Walking {
        platforms: options.platforms.clone(),
        referrers: options.referrers,
        on_error: options.on_error,
    };
    let (mut plan, kinds, failures) = walk_roots(&walking, selected, roots).await?;
    describe_images(&mut plan, &selected.sources, &kinds).await;
    plan.keep_each_digest_once();
    check_collisions(&plan)?;
    let digest = digest_plan(&plan, options, &selected.source_names);
    let mut export = ExportPlan {
        set: digest.hex()[..32].to_owned(),
        name: String::new(),
        position: None,
        carriage: Carriage::whole(&plan),
        plan,
        sources: selected.sources.clone(),
        source_names: selected.source_names.clone(),
        volumes: Vec::new(),
        profile: options.profile,
        past: None,
        repairs: None,
        failures,
    };
    export.cut(options)?;
    let number = (count > 1).then_some(number);
    export.name = match &options.name {
        // The place in a pipeline is part of the name, and is given later.
        Some(template) if options.pipeline.is_none() => {
            export.render(template, number, options.created.time())
        }
        _ => export.default_name(None),
    };
    export.check_names()?;
    Ok(export)
}

/// How graphs are walked at the source.
pub(super) struct Walking {
    pub platforms: Vec<Platform>,
    pub referrers: ReferrerPolicy,
    pub on_error: OnError,
}

type Walked = (Plan, Vec<crate::oci::ManifestKind>, Vec<(String, String)>);

/// The plan of these roots, and what could not be read.
pub(super) async fn walk_roots(
    walking: &Walking,
    selected: &Selected,
    roots: &[Root],
) -> Result<Walked> {
    let walk_options = WalkOptions {
        platforms: walking.platforms.clone(),
        referrers: walking.referrers,
        absent: HashMap::new(),
    };
    let walk = Walk::new(selected.sources.clone(), walk_options);
    let mut found = Vec::new();
    let mut failures = Vec::new();
    let walks: Vec<_> = roots
        .iter()
        .map(|root| {
            let walked = walk.find(root.clone());
            async move { (root, walked.await) }
        })
        .collect();
    let mut walks = stream::iter(walks).buffered(CONCURRENT_ROOTS);
    while let Some((root, walked)) = walks.next().await {
        let shown = show_root(root, &selected.source_names);
        match walked {
            Ok(artifact) => found.push(artifact),
            Err(error) if walking.on_error == OnError::Stop => {
                return Err(error.within(format!("source: cannot read `{shown}`")));
            }
            Err(error) => failures.push((shown, describe(&error))),
        }
    }
    drop(walks);
    drop_attached(&mut found);
    if found.is_empty() {
        return Err(nothing_read(&failures));
    }
    let nodes = walk.into_nodes();
    let kinds = found
        .iter()
        .map(|artifact| nodes[&artifact.root].manifest.kind)
        .collect();
    Ok((assemble(&nodes, found), kinds, failures))
}

/// `REGISTRY/REPOSITORY:TAG`, as messages and lists name a root.
fn show_root(root: &Root, source_names: &[String]) -> String {
    let source = &source_names[root.place.source];
    match &root.tag {
        Some(tag) => format!("{source}/{}:{tag}", root.place.repository),
        None => format!("{source}/{}@{}", root.place.repository, root.pin),
    }
}

/// Cosign's tags of subjects in this export travel as referrers of those, not as artifacts of their own.
fn drop_attached(found: &mut Vec<FoundArtifact>) {
    let attached: HashSet<(Place, Tag)> = found
        .iter()
        .flat_map(|artifact| {
            let tags = artifact
                .referrers
                .iter()
                .filter_map(|referrer| referrer.tag.clone());
            tags.map(|tag| (artifact.place.clone(), tag))
        })
        .collect();
    found.retain(|artifact| match &artifact.tag {
        Some(tag) => !attached.contains(&(artifact.place.clone(), tag.clone())),
        None => true,
    });
}

/// The source host is dropped at the target, so one name must not stand for two contents.
pub(super) fn check_collisions(plan: &Plan) -> Result<()> {
    let mut seen: HashMap<(usize, &Tag), usize> = HashMap::new();
    for artifact in &plan.artifacts {
        let attached = artifact
            .referrers
            .iter()
            .map(|r| (r.tag.as_ref(), r.manifest));
        for (tag, manifest) in attached.chain([(artifact.tag.as_ref(), artifact.root)]) {
            let Some(tag) = tag else { continue };
            let before = seen.insert((artifact.repository, tag), manifest);
            if before.is_some_and(|before| before != manifest) {
                let repository = &plan.repositories[artifact.repository];
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!(
                        "two sources have different content for `{repository}:{tag}`; take them apart"
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Everything that decides the bytes, apart from times and keys.
#[derive(Serialize)]
struct PlanDigest<'a> {
    writer: String,
    profile: Profile,
    volume_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline: Option<&'a str>,
    audience: &'a [String],
    expires: Option<Timestamp>,
    /// What is assumed or rebuilt is not part of it: the same content has the same set, whatever the target has.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<i32>,
    artifacts: Vec<ArtifactDigest<'a>>,
}

#[derive(Serialize)]
struct ArtifactDigest<'a> {
    source: &'a str,
    repository: &'a Repository,
    tag: &'a Option<Tag>,
    root: &'a Digest,
    absent: &'a [(Digest, AbsentReason)],
    referrers: Vec<(&'a Digest, &'a Digest, &'a Option<Tag>)>,
}

fn digest_plan(plan: &Plan, options: &ExportOptions, source_names: &[String]) -> Digest {
    let artifacts = plan.artifacts.iter().map(|artifact| ArtifactDigest {
        source: &source_names[artifact.source],
        repository: &plan.repositories[artifact.repository],
        tag: &artifact.tag,
        root: &plan.manifests[artifact.root].descriptor.digest,
        absent: &artifact.absent,
        referrers: artifact
            .referrers
            .iter()
            .map(|r| {
                (
                    &r.subject,
                    &plan.manifests[r.manifest].descriptor.digest,
                    &r.tag,
                )
            })
            .collect(),
    });
    let described = PlanDigest {
        writer: crate::bundle::writer_version(),
        profile: options.profile,
        volume_size: options.volume_size,
        pipeline: options.pipeline.as_ref().map(|p| p.name.as_str()),
        audience: &options.audience,
        expires: options.expires,
        level: options.thinning.dense.as_ref().map(|dense| dense.level),
        artifacts: artifacts.collect(),
    };
    // Strings, numbers and lists cannot fail to be JSON.
    Digest::sha256(&serde_json::to_vec(&described).unwrap_or_default())
}
