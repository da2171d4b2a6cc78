//! Plans opened bundles: admission, the walk over each bundle, and the names at the target. Nothing is moved.
//!
//! The plan of an import is made by the same walk as that of an export, over the bundle; what it finds must
//! be what the inventory promises, artifact by artifact and referrer by referrer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::admission::{AdmissionRules, check_forks};
use super::assumed::{AssumedPlace, list_assumed};
use super::import::Tailoring;
use super::open_bundles::OpenedBundle;
use super::part::{LeftArtifact, Part};
use super::place::TargetReference;
use super::rebuild::{PlatformIndex, rebuild_sparse_indexes};
use super::target_names::{check_collisions, name_at_target};
use crate::bundle::{Artifact, Bundle, Inventory, KeyId};
use crate::content::{
    Error, ErrorKind, FoundArtifact, Place as SourcePlace, Plan, PlannedBlob, ReferrerPolicy,
    Result, Root, Source, Walk, WalkOptions, assemble,
};
use crate::oci::{Descriptor, Digest, Pin, Repository, Tag};

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
        let Descriptor { digest, size, .. } = &blob.descriptor;
        let assumed = bundle.find_assumed(digest).map(|row| row.size);
        let listed = assumed.or_else(|| bundle.find_rebuilt(digest).map(|row| row.size));
        if let Some(listed) = listed.filter(|listed| listed != size) {
            return Err(Error::unverified(format!(
                "the inventory lists `{digest}` with {listed} bytes, and a manifest with {size}"
            )));
        }
        if !bundle.has(&blob.place.repository, &blob.descriptor).await? {
            return Err(Error::unverified(format!(
                "a manifest in `{}` needs the blob `{}`, which the bundle does not carry",
                blob.place.repository, blob.descriptor.digest
            )));
        }
    }
    Ok(())
}
