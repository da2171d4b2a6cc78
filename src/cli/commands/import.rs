//! `airlift import`: verified bundles into a registry or a layout.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bundle::KeyId;
use crate::cli::container_args::{locate, parse_container};
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::keys::TrustArguments;
use crate::cli::origin::Origin;
use crate::cli::output::{Output, table};
use crate::cli::progress::Progress;
use crate::cli::registry_args::RegistryArguments;
use crate::cli::size::{count, show_size};
use crate::cli::state_args::{CommentArgument, StateArguments};
use crate::content::{
    ArtifactOutcome, CopyOptions, Error, Events, Existing, OnError, RootedDirectory,
};
use crate::pipeline::{
    AdmissionRules, Connections, ImportOptions, ImportPlan, ImportReport, Place, PlatformIndex,
    Remembrance, Survey, TargetReference, open_bundles, plan_import, run_import, survey_import,
};
use crate::storage::{ContainerReference, Purpose};

/// Verify bundles and deliver them to a registry
///
/// Signatures are decided upon before anything is parsed; every byte is checked while it is moved; tags move
/// last, when everything that they need is there. The repository path is kept, the source host is dropped.
///
/// Example: airlift import /mnt/usb --target registry.local:5000/mirror --trust ops.key.pub
#[derive(Args)]
pub(in crate::cli) struct ImportArguments {
    /// Bundles, or directories of them
    #[arg(value_name = "CONTAINER|BUNDLE", required = true, value_parser = parse_container)]
    pub(super) bundles: Vec<ContainerReference>,

    /// `REGISTRY[/PREFIX]` or `oci:DIR`
    #[arg(long, value_name = "TARGET")]
    pub(super) target: String,

    #[command(flatten)]
    state: StateArguments,

    #[command(flatten)]
    comment: CommentArgument,

    #[command(flatten)]
    pub(super) delivery: DeliveryArguments,
}

/// What importing and unpacking have in common.
#[derive(Args)]
pub(in crate::cli) struct DeliveryArguments {
    /// What to do with a tag that is there already for other content
    #[arg(long, value_name = "POLICY", default_value = "overwrite")]
    existing: ExistingArgument,

    /// An index of which not every platform is carried arrives as it is, or is made anew under another digest
    #[arg(long, value_name = "HOW", default_value = "sparse")]
    platform_index: PlatformIndexArgument,

    /// Deliver what can be delivered, and exit with 3
    #[arg(long)]
    continue_on_errors: bool,

    /// The lane that this import belongs to, for bundles that are meant for some lanes only
    #[arg(long, value_name = "LANE")]
    pub(super) lane: Option<String>,

    /// Refuse bundles of a pipeline below this sequence
    #[arg(long, value_name = "N")]
    min_sequence: Option<u64>,

    /// Read everything back from the target afterwards
    #[arg(long)]
    check: bool,

    /// Print what would be moved, to the byte, and move nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    #[command(flatten)]
    pub(super) trust: TrustArguments,

    #[command(flatten)]
    pub(super) registries: RegistryArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum ExistingArgument {
    Overwrite,
    /// The target's artifact stays
    Keep,
    /// Nothing is moved
    Fail,
}

#[derive(Clone, Copy, ValueEnum)]
enum PlatformIndexArgument {
    /// The digest stays; some registries refuse it
    Sparse,
    /// Signatures of the original no longer apply
    Rebuild,
}

pub(in crate::cli) async fn run(
    arguments: ImportArguments,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    let target = parse_target(&arguments.target)?;
    let delivery = &arguments.delivery;
    if !origin.is_pipeline() {
        delivery.registries.refuse_validated(&target)?;
    }
    let lane = (&target, delivery.lane.as_deref());
    let described = (&*arguments.bundles, &arguments.comment);
    let memory = arguments.state.remember(lane, described, origin).await?;
    delivery
        .deliver(&arguments.bundles, &target, memory.as_ref(), output)
        .await
}

pub(super) fn parse_target(text: &str) -> anyhow::Result<TargetReference> {
    let parsed = text.parse().map_err(|_| {
        UsageError::new(format!("`{text}` is not a target")).hint(
            "expected `REGISTRY[/PREFIX]`, such as `registry.local:5000/mirror`, or `oci:DIR`",
        )
    });
    Ok(parsed?)
}

impl DeliveryArguments {
    pub(super) async fn deliver(
        &self,
        bundles: &[ContainerReference],
        target: &TargetReference,
        memory: Option<&Remembrance>,
        output: Output,
    ) -> anyhow::Result<Exit> {
        let policy = self.trust.policy()?;
        let connections = self.registries.connect().await?;
        let opened = open_bundles(&locate(bundles, Purpose::Import).await?, &policy).await?;
        let options = self.options(output);
        let plans = plan_import(opened, target, &options.0.rules, self.platform_index()).await?;
        for warning in plans.iter().flat_map(|plan| &plan.warnings) {
            Output::warn(warning);
        }
        if self.trust.insecure_accept_unsigned {
            Output::warn("signatures were not checked: anybody may have made these bundles");
        }
        if self.dry_run {
            if let Some(memory) = memory {
                for plan in &plans {
                    let notes = memory.preview(plan).await?;
                    for note in &notes {
                        Output::warn(note);
                    }
                }
            }
            return dry_run(&plans, target, &connections, output).await;
        }
        let place = connections.target(target).await?;
        run_all(&plans, target, (&place, memory), options, output).await
    }

    pub(super) fn platform_index(&self) -> PlatformIndex {
        match self.platform_index {
            PlatformIndexArgument::Sparse => PlatformIndex::Sparse,
            PlatformIndexArgument::Rebuild => PlatformIndex::Rebuild,
        }
    }

    fn options(&self, output: Output) -> (ImportOptions, Progress) {
        let progress = Progress::new(output, "importing", "content");
        let options = self.options_with(progress.events(), || progress.events_of("reading back"));
        (options, progress)
    }

    /// What a delivery is asked for; `events` are told what moves.
    pub(super) fn options_with(
        &self,
        events: Events,
        read_back: impl FnOnce() -> Events,
    ) -> ImportOptions {
        ImportOptions {
            rules: AdmissionRules {
                lane: self.lane.clone(),
                now: Timestamp::now(),
                sequence_min: self.min_sequence,
            },
            copy: CopyOptions {
                existing: match self.existing {
                    ExistingArgument::Overwrite => Existing::Overwrite,
                    ExistingArgument::Keep => Existing::Keep,
                    ExistingArgument::Fail => Existing::Fail,
                },
                on_error: match self.continue_on_errors {
                    true => OnError::Continue,
                    false => OnError::Stop,
                },
                held: std::sync::Arc::default(),
                concurrency: CONTENTS_IN_FLIGHT,
                events,
            },
            read_back: self.check.then(read_back),
        }
    }
}

/// Contents that are pushed at once; large ones wait for room in the copy's window of memory.
const CONTENTS_IN_FLIGHT: usize = 16;

async fn run_all(
    plans: &[ImportPlan],
    target: &TargetReference,
    (place, memory): (&Place, Option<&Remembrance>),
    (options, progress): (ImportOptions, Progress),
    output: Output,
) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let mut text = String::new();
    let mut documents = Vec::new();
    let mut failure = None;
    for plan in plans {
        let report = deliver_one(plan, place, &options, memory).await;
        progress.finish();
        match report {
            Ok(report) => {
                text.push_str(&show_report(plan, &report, target));
                documents.push(report_document(plan, &report));
                if report.copy.failed() > 0 {
                    exit = Exit::PartlyFailed;
                }
            }
            Err(error) => {
                let name = &plan.bundle.inventory().name;
                let message = format!("cannot import `{name}` to `{target}`");
                failure = Some(anyhow::Error::new(error).context(message));
                break;
            }
        }
    }
    // What was delivered before a failure is told all the same.
    if failure.is_none() || !documents.is_empty() {
        let document = json!({ "target": target.to_string(), "bundles": documents });
        output.print(&text, &document)?;
    }
    failure.map_or(Ok(exit), Err)
}

/// Delivers a bundle; where there is a ledger, by its rules, and what it decided is told.
async fn deliver_one(
    plan: &ImportPlan,
    place: &Place,
    options: &ImportOptions,
    memory: Option<&Remembrance>,
) -> Result<ImportReport, Error> {
    let Some(memory) = memory else {
        return run_import(plan, place, options).await;
    };
    let delivered = memory.deliver(plan, place, options, None).await?;
    for note in delivered.notes(&plan.bundle.inventory().name) {
        Output::warn(&note);
    }
    Ok(delivered.report)
}

fn show_signers(signers: &[KeyId]) -> String {
    let signers: Vec<String> = signers.iter().map(ToString::to_string).collect();
    if signers.is_empty() {
        "nobody that was checked".to_owned()
    } else {
        signers.join(", ")
    }
}

fn show_report(plan: &ImportPlan, report: &ImportReport, target: &TargetReference) -> String {
    let inventory = plan.bundle.inventory();
    let copy = &report.copy;
    let mut text = format!(
        "{} → {target}\n  inventory {}\n  signed by {}\n",
        inventory.name,
        plan.bundle.last().inventory_digest(),
        show_signers(&plan.signers)
    );
    text.push_str(&format!(
        "{}, {} moved, {} there already, {} mounted, {} moved\n",
        count(report.artifacts.len(), "artifact"),
        show_size(copy.pushed_bytes),
        show_size(copy.present_bytes),
        count(copy.mounted_contents, "blob"),
        count(copy.tags_moved, "tag"),
    ));
    let rows: Vec<Vec<String>> = report
        .artifacts
        .iter()
        .map(|artifact| {
            let outcome = show_outcome(&artifact.outcome);
            vec![outcome, artifact.name.clone(), artifact.digest.to_string()]
        })
        .collect();
    for line in table(&rows).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    if let Some(contents) = report.read_back {
        text.push_str(&format!(
            "{} read back and right\n",
            count(contents, "content")
        ));
    }
    text
}

fn show_outcome(outcome: &ArtifactOutcome) -> String {
    match outcome {
        ArtifactOutcome::Delivered => "delivered".to_owned(),
        ArtifactOutcome::Unchanged => "unchanged".to_owned(),
        ArtifactOutcome::Kept => "kept".to_owned(),
        ArtifactOutcome::Held(reason) => format!("kept: {reason}"),
        ArtifactOutcome::Failed(reason) => format!("failed: {reason}"),
    }
}

fn report_document(plan: &ImportPlan, report: &ImportReport) -> Value {
    let artifacts: Vec<Value> = report
        .artifacts
        .iter()
        .map(|artifact| {
            let (outcome, reason) = match &artifact.outcome {
                ArtifactOutcome::Failed(reason) => ("failed".to_owned(), Some(reason)),
                ArtifactOutcome::Held(reason) => ("kept".to_owned(), Some(reason)),
                other => (show_outcome(other), None),
            };
            json!({
                "name": artifact.name,
                "digest": artifact.digest,
                "outcome": outcome,
                "reason": reason,
            })
        })
        .collect();
    let signers: Vec<String> = plan.signers.iter().map(ToString::to_string).collect();
    json!({
        "name": plan.bundle.inventory().name,
        "inventoryDigest": plan.bundle.last().inventory_digest(),
        "signers": signers,
        "artifacts": artifacts,
        "movedBytes": report.copy.pushed_bytes,
        "movedContents": report.copy.pushed_contents,
        "presentBytes": report.copy.present_bytes,
        "presentContents": report.copy.present_contents,
        "mountedContents": report.copy.mounted_contents,
        "tagsMoved": report.copy.tags_moved,
        "readBackContents": report.read_back,
    })
}

async fn dry_run(
    plans: &[ImportPlan],
    target: &TargetReference,
    connections: &Connections,
    output: Output,
) -> anyhow::Result<Exit> {
    let place = connections.existing_target(target).await?;
    let mut text = String::new();
    let mut documents = Vec::new();
    for plan in plans {
        let survey = match &place {
            Some(place) => survey_import(plan, place, CONTENTS_IN_FLIGHT).await?,
            None => Survey::of_empty_target(plan),
        };
        let name = &plan.bundle.inventory().name;
        text.push_str(&format!(
            "{name} → {target}: {} to move ({} bytes), {} there already ({} bytes)\n",
            show_size(survey.to_move_bytes),
            survey.to_move_bytes,
            show_size(survey.present_bytes),
            survey.present_bytes,
        ));
        let rows: Vec<Vec<String>> = plan
            .artifact_names()
            .map(|(name, digest)| vec![name, digest.to_string()])
            .collect();
        for line in table(&rows).lines() {
            text.push_str(&format!("  {line}\n"));
        }
        documents.push(survey_document(plan, &survey));
    }
    let free = free_bytes_at(target);
    if let Some(free) = free {
        text.push_str(&format!(
            "free at the target: {} ({free} bytes)\n",
            show_size(free)
        ));
    }
    let document = json!({
        "dryRun": true,
        "target": target.to_string(),
        "bundles": documents,
        "freeBytes": free,
    });
    output.print(&text, &document)?;
    Ok(Exit::Done)
}

/// What is free where a layout is or will be; a registry does not say it.
fn free_bytes_at(target: &TargetReference) -> Option<u64> {
    let TargetReference::Layout { path } = target else {
        return None;
    };
    let path = std::path::absolute(path).ok()?;
    let existing = path.ancestors().find(|folder| folder.is_dir())?;
    RootedDirectory::open(existing)
        .and_then(|directory| directory.free_bytes())
        .ok()
}

fn survey_document(plan: &ImportPlan, survey: &Survey) -> Value {
    let artifacts: Vec<Value> = plan
        .artifact_names()
        .map(|(name, digest)| json!({ "name": name, "digest": digest }))
        .collect();
    json!({
        "name": plan.bundle.inventory().name,
        "inventoryDigest": plan.bundle.last().inventory_digest(),
        "artifacts": artifacts,
        "toMoveBytes": survey.to_move_bytes,
        "toMoveContents": survey.to_move_contents,
        "presentBytes": survey.present_bytes,
        "presentContents": survey.present_contents,
    })
}
