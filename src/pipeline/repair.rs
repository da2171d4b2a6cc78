//! Plans a bundle that brings what another one did not find at its target, and nothing else.
//!
//! **Invariants.** The list of what is missing is a wish of the far side. Only what this pipeline has sent to that lane
//! before is exported, from where this export's own sources have it. From then on the lane is not thought to have it,
//! until it says so again. Specification: FORMAT.md, "Version 2", Repairs.

use std::sync::Arc;

use super::export_carriage::Carriage;
use super::export_memory::ExportMemory;
use super::export_plan::{ExportOptions, ExportPlan};
use super::missing::{MissingContent, MissingContents};
use super::select::Selected;
use crate::bundle::Repairs;
use crate::content::{Error, ErrorKind, Place, Plan, PlannedBlob, Result};
use crate::history::{ContentKind, PayloadContent, PipelineId};
use crate::oci::{Descriptor, Digest, Repository};

/// The ledger keeps no media type, and blobs need none.
const BLOB_MEDIA_TYPE: &str = "application/octet-stream";

/// Why what is missing is not exported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotRepair {
    #[error("it is about the pipeline `{found}`, and this export is of `{pipeline}`")]
    OtherPipeline { found: String, pipeline: String },
    #[error("it does not say which lane it is of, and `--audience` does not name one lane")]
    NoLane,
    #[error("it is of the lane `{0}`, which `--audience` does not name")]
    OtherLane(String),
    #[error("nothing is known of the pipeline `{0}` here")]
    UnknownPipeline(String),
    #[error("this pipeline has never sent `{0}` to that lane")]
    NeverSent(Digest),
    #[error("no source of this export has `{0}` any more")]
    NoSource(Digest),
    #[error("it lists nothing")]
    Nothing,
}

/// By whom it is asked for.
struct Wish {
    pipeline: PipelineId,
    lane: String,
}

/// Plans the bundle; `selected` says which sources there are.
pub async fn plan_repair(
    options: &ExportOptions,
    selected: &Selected,
    memory: &ExportMemory,
    missing: &MissingContents,
) -> Result<ExportPlan> {
    let wish = examine(options, memory, missing).await?;
    let mut plan = Plan::default();
    for content in &missing.missing {
        let sent = find_sent(memory, &wish, content).await?;
        let blob = find_source(selected, &sent, &mut plan.repositories).await?;
        plan.blobs.push(blob);
    }
    let repairs = Repairs {
        lane: wish.lane,
        sequence: missing.sequence.unwrap_or_default(),
        inventory: missing.inventory.clone(),
    };
    let digests: Vec<String> = missing
        .missing
        .iter()
        .map(|it| it.digest.to_string())
        .collect();
    let described = format!("repair {} {}", repairs.inventory, digests.join(" "));
    let mut export = ExportPlan {
        name: String::new(),
        position: None,
        set: Digest::sha256(described.as_bytes()).hex()[..32].to_owned(),
        carriage: Carriage::whole(&plan),
        plan,
        sources: selected.sources.clone(),
        source_names: selected.source_names.clone(),
        volumes: Vec::new(),
        profile: options.profile,
        past: None,
        repairs: Some(repairs),
        failures: Vec::new(),
    };
    export.cut(options)?;
    Ok(export)
}

/// Notes that the lane does not have what the bundle repairs.
pub async fn note_repair(
    memory: &ExportMemory,
    (name, repair): (&str, &ExportPlan),
    missing: &MissingContents,
) -> Result<()> {
    let Some(known) = memory.ledger.find_pipeline(name).await? else {
        return Ok(());
    };
    let lane = repair.repairs.as_ref().map_or("", |it| &it.lane);
    let digests: Vec<Digest> = missing.missing.iter().map(|it| it.digest.clone()).collect();
    let now = (memory.clock)();
    let marked = memory.ledger.mark_missing((&known.id, lane), &digests, now);
    marked.await.map(drop)
}

async fn examine(
    options: &ExportOptions,
    memory: &ExportMemory,
    missing: &MissingContents,
) -> Result<Wish> {
    let name = options
        .pipeline
        .as_ref()
        .map_or("", |request| &request.name);
    let found = missing.pipeline.as_deref().unwrap_or_default();
    if found != name {
        return Err(refuse(CannotRepair::OtherPipeline {
            found: found.to_owned(),
            pipeline: name.to_owned(),
        }));
    }
    let lane = match (&missing.lane, &*options.audience) {
        (Some(lane), _) => lane,
        (None, [lane]) => lane,
        (None, _) => return Err(refuse(CannotRepair::NoLane)),
    };
    if !options.audience.contains(lane) {
        return Err(refuse(CannotRepair::OtherLane(lane.clone())));
    }
    if missing.missing.is_empty() {
        return Err(refuse(CannotRepair::Nothing));
    }
    let known = memory.ledger.find_pipeline(name).await?;
    let known = known.ok_or_else(|| refuse(CannotRepair::UnknownPipeline(name.to_owned())))?;
    Ok(Wish {
        pipeline: known.id,
        lane: lane.clone(),
    })
}

async fn find_sent(
    memory: &ExportMemory,
    wish: &Wish,
    content: &MissingContent,
) -> Result<PayloadContent> {
    let to = (&wish.pipeline, &*wish.lane);
    let sent = memory.ledger.find_sent(to, &content.digest).await?;
    let mut sent = sent
        .filter(|sent| sent.kind == ContentKind::Blob)
        .ok_or_else(|| refuse(CannotRepair::NeverSent(content.digest.clone())))?;
    let wanted = |name: &String| content.repositories.iter().any(|it| it.as_str() == name);
    if sent.repositories.iter().any(wanted) {
        sent.repositories.retain(wanted);
    }
    Ok(sent)
}

/// The first source that has the content in a repository to which it was sent.
async fn find_source(
    selected: &Selected,
    sent: &PayloadContent,
    repositories: &mut Vec<Repository>,
) -> Result<PlannedBlob> {
    let descriptor = Descriptor::new(BLOB_MEDIA_TYPE, sent.digest.clone(), sent.size_bytes);
    let names: Vec<Repository> = sent
        .repositories
        .iter()
        .filter_map(|it| it.parse().ok())
        .collect();
    for (source, place) in selected.sources.iter().enumerate() {
        for repository in &names {
            let has = Arc::clone(place).has(repository, &descriptor).await;
            match has {
                Ok(true) => {
                    return Ok(PlannedBlob {
                        descriptor,
                        place: Place {
                            source,
                            repository: repository.clone(),
                        },
                        repositories: positions_of(&names, repositories),
                    });
                }
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.on_side("source")),
            }
        }
    }
    Err(refuse(CannotRepair::NoSource(sent.digest.clone())))
}

fn positions_of(names: &[Repository], repositories: &mut Vec<Repository>) -> Vec<usize> {
    let mut positions = Vec::new();
    for name in names {
        let known = repositories.iter().position(|it| it == name);
        positions.push(known.unwrap_or_else(|| {
            repositories.push(name.clone());
            repositories.len() - 1
        }));
    }
    positions
}

fn refuse(cause: CannotRepair) -> Error {
    let message = "what is missing cannot be exported again";
    Error::new(ErrorKind::Refused, message).with_cause(cause)
}
