//! `airlift import`: verified bundles into a registry or a layout.

use std::error::Error as StdError;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use crate::bundle::NotTrusted;
use crate::cli::container_args::{locate, parse_container};
use crate::cli::corrections;
use crate::cli::creation_args::CreationArguments;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::import_report::{
    report_document, show_report, show_survey, survey_document, tell_part,
};
use crate::cli::keys::TrustArguments;
use crate::cli::origin::Origin;
use crate::cli::output::Output;
use crate::cli::part_args::PartArguments;
use crate::cli::progress::Progress;
use crate::cli::receipt_args::ReceiptArguments;
use crate::cli::refusal::admit_import;
use crate::cli::registry_args::RegistryArguments;
use crate::cli::size::show_size;
use crate::cli::spool_args::SpoolArgument;
use crate::cli::state_args::{CommentArgument, StateArguments};
use crate::cli::tag_args::{Before, TagArguments};
use crate::content::{
    CopyOptions, Error, ErrorKind, Events, Existing, OnError, RootedDirectory, describe,
};
use crate::history::RunKind;
use crate::pipeline::{
    AdmissionRules, ImportOptions, ImportPlan, ImportReport, Place, PlatformIndex, Remembrance,
    RepositoryCreation, Survey, Tailoring, TargetReference, check_assumed, open_bundles,
    plan_import, run_import, survey_import,
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
    receipts: ReceiptArguments,

    #[command(flatten)]
    tags: TagArguments,

    #[command(flatten)]
    creation: CreationArguments,

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
    part: PartArguments,

    #[command(flatten)]
    spool: SpoolArgument,

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
    let why = arguments.comment.comment.as_deref();
    let attempt = (RunKind::Import, arguments.state.directory(), why);
    let ends = (&*arguments.bundles, &target);
    admit_import(attempt, ends, &delivery.registries, origin).await?;
    let creation = arguments.creation.build(&target)?;
    let lane = (&target, delivery.lane.as_deref());
    let described = (&*arguments.bundles, &arguments.comment);
    let directory = arguments.state.directory();
    let receipts = arguments.receipts.build(lane.1, directory)?;
    let memory = arguments.state.remember(lane, described, origin).await?;
    let memory = memory.map(|memory| memory.answering(receipts));
    let before = arguments.tags.before();
    delivery
        .deliver(
            &arguments.bundles,
            (&target, before, creation),
            memory.as_ref(),
            output,
        )
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
        (target, before, creation): (&TargetReference, Before, RepositoryCreation),
        memory: Option<&Remembrance>,
        output: Output,
    ) -> anyhow::Result<Exit> {
        let tailoring = self.tailoring()?;
        let policy = self.trust.policy()?;
        let mut connections = self.registries.connect().await?;
        connections.set_creation(creation);
        let places = locate(bundles, Purpose::Import).await?;
        let options = self.options(before, output);
        let planned = async {
            let opened = open_bundles(&places, &policy).await?;
            plan_import(opened, target, &options.0.rules, &tailoring).await
        };
        let planned = planned.await;
        if let (Err(error), Some(memory)) = (&planned, memory.filter(|_| !self.dry_run))
            && error.kind() == ErrorKind::Unverified
            && !waits_for_signatures(error)
        {
            memory.note_refusal(None, &describe(error)).await?;
        }
        let plans = planned?;
        for plan in &plans {
            if let Some(text) = tell_part(plan, &tailoring) {
                Output::note(&text);
            }
        }
        for warning in plans.iter().flat_map(|plan| &plan.warnings) {
            Output::warn(warning);
        }
        if self.trust.insecure_accept_unsigned {
            Output::warn("signatures were not checked: anybody may have made these bundles");
        }
        if self.dry_run {
            if let Some(memory) = memory {
                for plan in &plans {
                    let notes = memory.preview(plan, options.0.replays).await?;
                    for note in &notes {
                        Output::warn(note);
                    }
                }
            }
            let place = connections.existing_target(target).await?;
            look_for_assumed(&plans, place.as_ref(), memory, &options.0).await?;
            return dry_run(&plans, target, place.as_ref(), output).await;
        }
        let place = connections.target(target).await?;
        run_all(&plans, target, (&place, memory), options, output).await
    }

    /// What of every bundle is delivered, and as what.
    pub(super) fn tailoring(&self) -> anyhow::Result<Tailoring> {
        self.part.tailoring(match self.platform_index {
            PlatformIndexArgument::Sparse => PlatformIndex::Sparse,
            PlatformIndexArgument::Rebuild => PlatformIndex::Rebuild,
        })
    }

    fn options(&self, before: Before, output: Output) -> (ImportOptions, Progress) {
        let progress = Progress::new(output, "importing", "content");
        let read_back = || progress.events_of("reading back");
        let options = self.options_with(before, progress.events(), read_back);
        (options, progress)
    }

    /// What a delivery is asked for; `events` are told what moves.
    pub(super) fn options_with(
        &self,
        before: Before,
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
                overwrites: None,
                concurrency: CONTENTS_IN_FLIGHT,
                events,
            },
            read_back: self.check.then(read_back),
            tags: before.tags,
            replays: before.replays,
            assumed_within: before.assumed,
            spool: self.spool.directory(),
            corrector: corrections::corrector(),
            missing: None,
            recorded: None,
        }
    }
}

/// Whether a bundle lacks nothing but signatures that may still come: that refuses nothing for good.
fn waits_for_signatures(error: &(dyn StdError + 'static)) -> bool {
    anyhow::Chain::new(error).any(|cause| {
        let refusal = cause.downcast_ref::<NotTrusted>();
        matches!(refusal, Some(NotTrusted::BelowThreshold { .. }))
    })
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

/// Looks for what the bundles do not carry, as the import would. Of several one may bring what another one lacks.
async fn look_for_assumed(
    plans: &[ImportPlan],
    place: Option<&Place>,
    memory: Option<&Remembrance>,
    options: &ImportOptions,
) -> anyhow::Result<()> {
    for plan in plans {
        let within = options.assumed_within.clone();
        let within = match memory {
            Some(memory) => memory.assumed_within(plan, within).await?,
            None => within,
        };
        let name = &plan.bundle.inventory().name;
        let checked = check_assumed(plan, place, &within).await;
        match checked.map_err(|error| error.within(format!("cannot import `{name}`"))) {
            Err(error) if plans.len() > 1 && error.kind() == ErrorKind::NotFound => {
                Output::warn(&format!("as the target is now: {}", describe(&error)));
            }
            checked => checked?,
        }
    }
    Ok(())
}

async fn dry_run(
    plans: &[ImportPlan],
    target: &TargetReference,
    place: Option<&Place>,
    output: Output,
) -> anyhow::Result<Exit> {
    let mut text = String::new();
    let mut documents = Vec::new();
    for plan in plans {
        let survey = match place {
            Some(place) => survey_import(plan, place, CONTENTS_IN_FLIGHT).await?,
            None => Survey::of_empty_target(plan),
        };
        text.push_str(&show_survey(plan, &survey, target));
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
