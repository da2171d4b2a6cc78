//! `airlift export`: artifacts of registries and layouts into signed bundles.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bundle::is_pipeline_name;
use crate::cli::container_args::{open_container, parse_container};
use crate::cli::exit::Exit;
use crate::cli::export_report::{
    artifact_heads, artifact_rows, plan_document, report_document, show_plan_totals, show_report,
};
use crate::cli::failure::UsageError;
use crate::cli::keys::read_signing_keys;
use crate::cli::origin::Origin;
use crate::cli::output::{Output, table};
use crate::cli::progress::Progress;
use crate::cli::reference_args::ReferenceArguments;
use crate::cli::refusal::Attempt;
use crate::cli::registry_args::RegistryArguments;
use crate::cli::selection_args::SelectionArguments;
use crate::cli::selection_report::tell_selected;
use crate::cli::size::{parse_size, show_size};
use crate::cli::state_args::{CommentArgument, StateArguments, who};
use crate::cli::thin_args::ThinArguments;
use crate::content::{OnError, ReferrerPolicy};
use crate::history::{NewRun, RunKind, Trigger};
use crate::oci::Platform;
use crate::pipeline::{
    Connections, Created, ExportMemory, ExportOptions, ExportPlan, Exporter, MissingContents,
    NameTemplate, PipelineRequest, TagSelection, note_repair, plan_repair, plan_selected,
    preview_exports, select,
};
use crate::storage::{ContainerReference, Missing, Overwrite, Purpose, StorageContainer};

#[expect(
    clippy::struct_excessive_bools,
    reason = "flags are what was typed, not decisions"
)]
/// Write artifacts of a registry into a signed bundle
///
/// Tags are pinned to digests, everything is planned before the first byte moves, and signatures, SBOMs and
/// attestations travel along. The object appears in the container when it is complete.
///
/// Example: airlift export r.example/apps/web:1.4 --container /mnt/usb --sign-key ops.key
#[derive(Args)]
pub(in crate::cli) struct ExportArguments {
    #[command(flatten)]
    references: ReferenceArguments,

    /// The directory or URL that gets the bundle: `DIR`, `https://ACCOUNT.blob…/CONTAINER`, `s3://…`, `gs://…`
    #[arg(long, value_name = "CONTAINER", value_parser = parse_container)]
    container: ContainerReference,

    /// Replace an object of the same name that has other content
    #[arg(long)]
    overwrite_blobs: bool,

    /// Sign with this PKCS#8 key; several keys sign several times
    #[arg(long, value_name = "FILE")]
    sign_key: Vec<PathBuf>,

    /// Do not sign; importers must then accept anything
    #[arg(long, conflicts_with = "sign_key")]
    unsigned: bool,

    /// The bundle's name, instead of the first repository and the plan's digest; `{repository}`, `{digest}`,
    /// `{pipeline}`, `{sequence}` and `{date}` stand for these
    #[arg(long, value_name = "NAME")]
    name: Option<NameTemplate>,

    /// Number the bundles of this pipeline, so that importers know the order and what is missing
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,

    /// Go on with this number, where what was known of the pipeline is lost
    #[arg(long, value_name = "N", requires = "pipeline", value_parser = clap::value_parser!(u64).range(1..), hide_short_help = true)]
    sequence: Option<u64>,

    #[command(flatten)]
    state: StateArguments,

    #[command(flatten)]
    comment: CommentArgument,

    #[command(flatten)]
    thin: ThinArguments,

    /// Cut the bundle into volumes of at most this size: `4GiB`, `fat32`, `dvd`, `bd25`
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    volume_size: Option<u64>,

    /// Carry only these platforms of an index, such as `linux/arm64`; the index stays as it is
    ///
    /// Of tags that are not named one by one, only those are taken that have one of these platforms.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,

    /// Leave signatures, SBOMs and attestations behind
    #[arg(long)]
    no_referrers: bool,

    /// Leave out artifacts that cannot be read, and exit with 3
    #[arg(long)]
    continue_on_errors: bool,

    /// Cut a longer list into several bundles of at most this many artifacts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_artifacts: Option<u32>,

    /// Only this lane may import the bundle; several may be named
    #[arg(long, value_name = "LANE")]
    audience: Vec<String>,

    /// The bundle is not to be imported after this time, such as `2027-01-31T00:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    expires: Option<Timestamp>,

    /// Print what would be moved, to the byte, and move nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    selection: SelectionArguments,

    #[command(flatten)]
    registries: RegistryArguments,
}

/// An export replaces nothing.
const PURPOSE: Purpose = Purpose::Export;

pub(in crate::cli) async fn run(
    arguments: ExportArguments,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    arguments.check()?;
    let keys = read_signing_keys(&arguments.sign_key)?;
    let connections = arguments.registries.connect().await?;
    let progress = Progress::new(output, "exporting", "content");
    let options = arguments.options(&progress)?;
    let refused = arguments.describe(origin).await;
    let attempt = Attempt {
        state: arguments.state.directory(),
        run: &refused,
    };
    arguments
        .registries
        .refuse_unseen(&options.references, origin, attempt)
        .await?;
    // A signature that is not enough is told before the plan is made; a directory is made only after it.
    let cloud = match &arguments.container {
        ContainerReference::Directory(_) => None,
        cloud => Some(open_container(cloud, Missing::Create, PURPOSE).await?),
    };
    let memory = arguments
        .state
        .remember_export(&arguments.container, &arguments.comment, origin)
        .await?;
    let mut selection =
        arguments
            .selection
            .build(&options.platforms, options.referrers, options.on_error)?;
    selection.memory = memory.as_ref().map(|it| it.ledger.clone());
    let remembered = memory.as_ref().filter(|_| !arguments.dry_run);
    let missing = arguments.thin.repair.as_deref();
    let missing = missing.map(MissingContents::read).transpose()?;
    let mut plans = match (&missing, &memory) {
        (Some(missing), Some(memory)) => {
            let selected = select(&options.references, &connections, &selection).await?;
            let plan = plan_repair(&options, &selected, memory, missing).await?;
            if !arguments.dry_run {
                let name = arguments.pipeline.as_deref().unwrap_or_default();
                note_repair(memory, (name, &plan), missing).await?;
            }
            vec![plan]
        }
        _ => plan(&options, &connections, &selection, remembered).await?,
    };
    if arguments.dry_run {
        let container = match &cloud {
            Some(container) => Some(container.clone()),
            None => open_existing(&arguments.container).await?,
        };
        let container = container.as_deref();
        preview_exports(&mut plans, &options, container, &keys, memory.as_ref()).await?;
        return print_plans(&plans, &arguments, output).await;
    }
    let container = match cloud {
        Some(container) => container,
        None => open_container(&arguments.container, Missing::Create, PURPOSE).await?,
    };
    let exporter = Exporter {
        options: &options,
        container: &*container,
        keys: &keys,
        memory: memory.as_ref(),
    };
    write(&exporter, &mut plans, &progress, output).await
}

/// Plans the bundles. A plan that cannot be made is remembered too.
async fn plan(
    options: &ExportOptions,
    connections: &Connections,
    selection: &TagSelection,
    memory: Option<&ExportMemory>,
) -> anyhow::Result<Vec<ExportPlan>> {
    let planned = async {
        let selected = select(&options.references, connections, selection).await?;
        tell_selected(&options.references, selection, &selected.totals);
        plan_selected(options, &selected).await
    };
    let planned = planned.await;
    if let (Err(error), Some(memory)) = (&planned, memory) {
        memory.record_failure(options, error).await;
    }
    Ok(planned?)
}

/// A dry run looks into a directory that is there, and makes none.
async fn open_existing(
    reference: &ContainerReference,
) -> anyhow::Result<Option<Arc<dyn StorageContainer>>> {
    match reference {
        ContainerReference::Directory(path) if !path.exists() => Ok(None),
        reference => Ok(Some(
            open_container(reference, Missing::Refuse, PURPOSE).await?,
        )),
    }
}

async fn write(
    exporter: &Exporter<'_>,
    plans: &mut [ExportPlan],
    progress: &Progress,
    output: Output,
) -> anyhow::Result<Exit> {
    if plans.is_empty() {
        exporter.run_nothing().await?;
        output.print(
            "nothing selected, nothing exported",
            &json!({ "bundles": [] }),
        )?;
        return Ok(Exit::Done);
    }
    let mut exit = Exit::Done;
    let mut text = String::new();
    let mut documents = Vec::new();
    let written = exporter.run(plans, |plan, report| {
        progress.finish();
        text.push_str(&show_report(plan, report, exporter.container));
        documents.push(report_document(plan, report, exporter.container));
        if !report.failures.is_empty() {
            exit = Exit::PartlyFailed;
        }
    });
    let written = written.await;
    progress.finish();
    // What was written before a failure is told all the same.
    if written.is_ok() || !documents.is_empty() {
        output.print(&text, &json!({ "bundles": documents }))?;
    }
    written?;
    Ok(exit)
}

impl ExportArguments {
    fn check(&self) -> anyhow::Result<()> {
        if self.references.is_empty() {
            return Err(UsageError::new(
                "nothing to export: give references, or a file of them with `--from-file`",
            )
            .into());
        }
        if self.sign_key.is_empty() && !self.unsigned && !self.dry_run {
            let error = UsageError::new(
                "the bundle would not be signed: no `--sign-key` was given",
            )
            .hint("make a key once: `airlift key generate --out ops.key`")
            .hint("and sign with it: `airlift export … --sign-key ops.key` (or say `--unsigned`)");
            return Err(error.into());
        }
        self.thin.check()?;
        if let Some(name) = &self.pipeline
            && !is_pipeline_name(name)
        {
            return Err(UsageError::new(format!(
                "`{name}` cannot be a pipeline's name: at most 60 of `a-z`, `0-9`, `.`, `_`, `-`"
            ))
            .into());
        }
        if self.pipeline.is_none() && self.name.as_ref().is_some_and(NameTemplate::needs_pipeline) {
            let error =
                UsageError::new("`{pipeline}` and `{sequence}` in `--name` stand for nothing")
                    .hint("name the pipeline: `--pipeline NAME`");
            return Err(error.into());
        }
        Ok(())
    }

    /// The record of an export that is refused before anything is planned.
    async fn describe(&self, origin: &Origin) -> NewRun {
        NewRun {
            kind: RunKind::Export,
            pipeline: self.pipeline.clone(),
            trigger: origin.trigger.unwrap_or(Trigger::Manual),
            who: who().await,
            comment: self
                .comment
                .comment
                .clone()
                .or_else(|| origin.comment.clone()),
            container: Some(self.container.to_string()),
            target: None,
            bundle: None,
            set: None,
            inventory: None,
            sequence: None,
            link: origin.link(),
        }
    }

    fn options(&self, progress: &Progress) -> anyhow::Result<ExportOptions> {
        Ok(ExportOptions {
            references: self.references.read()?,
            name: self.name.clone(),
            pipeline: self.pipeline.clone().map(|name| PipelineRequest {
                name,
                sequence: self.sequence,
            }),
            profile: self.thin.profile(),
            thinning: self.thin.thinning(),
            volume_size: self.volume_size,
            platforms: self.platform.clone(),
            referrers: match self.no_referrers {
                true => ReferrerPolicy::Leave,
                false => ReferrerPolicy::Carry,
            },
            on_error: match self.continue_on_errors {
                true => OnError::Continue,
                false => OnError::Stop,
            },
            max_artifacts: self.max_artifacts.map(|number| number as usize),
            audience: self.audience.clone(),
            created: created()?,
            expires: self.expires,
            overwrite: match self.overwrite_blobs {
                true => Overwrite::Replace,
                false => Overwrite::Refuse,
            },
            signatures: self.sign_key.len(),
            events: progress.events(),
        })
    }
}

fn parse_time(text: &str) -> Result<Timestamp, &'static str> {
    let expected = "expected a time with its zone, such as `2027-01-31T00:00:00Z`";
    text.parse().map_err(|_| expected)
}

/// Now, or what `SOURCE_DATE_EPOCH` says; in whole seconds.
fn created() -> anyhow::Result<Created> {
    let now = Timestamp::now().as_second();
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else {
        return Ok(Created::Now(Timestamp::from_second(now)?));
    };
    let seconds = text
        .parse()
        .context("`SOURCE_DATE_EPOCH` is not a number of seconds")?;
    let given = Timestamp::from_second(seconds).context("`SOURCE_DATE_EPOCH` is out of range")?;
    Ok(Created::Given(given))
}

async fn print_plans(
    plans: &[ExportPlan],
    arguments: &ExportArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    let mut rows = vec![artifact_heads()];
    let mut totals = String::new();
    if plans.is_empty() {
        totals.push_str("nothing selected, nothing would be exported\n");
    }
    for plan in plans {
        rows.extend(artifact_rows(plan));
        totals.push_str(&show_plan_totals(plan));
    }
    let free = free_bytes(&arguments.container).await;
    if let Some(free) = free {
        totals.push_str(&format!(
            "free in the container: {} ({free} bytes)\n",
            show_size(free)
        ));
    }
    let documents: Vec<Value> = plans.iter().map(plan_document).collect();
    let document = json!({ "dryRun": true, "bundles": documents, "freeBytes": free });
    output.print(&format!("{}\n{totals}", table(&rows)), &document)?;
    let has_failures = plans.iter().any(|plan| !plan.failures.is_empty());
    Ok(if has_failures {
        Exit::PartlyFailed
    } else {
        Exit::Done
    })
}

/// What is free where the bundle will be; a cloud does not say it.
async fn free_bytes(container: &ContainerReference) -> Option<u64> {
    let ContainerReference::Directory(path) = container else {
        return None;
    };
    // A container that is not there yet will be made below its nearest parent.
    let path = std::path::absolute(path).ok()?;
    let existing = ContainerReference::from(path.ancestors().find(|path| path.is_dir())?);
    let container = open_container(&existing, Missing::Refuse, PURPOSE)
        .await
        .ok()?;
    container.free_bytes().await.ok()?
}
