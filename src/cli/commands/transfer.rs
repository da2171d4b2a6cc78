//! `airlift transfer`: bundles from one container to another.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::container_args::{locate, open_container, parse_container};
use crate::cli::duration::parse_duration;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::keys::TrustArguments;
use crate::cli::origin::Origin;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::state_args::{CommentArgument, StateArguments};
use crate::cli::transfer_report::{
    plan_document, report_document, show_plan, show_report, tell_round,
};
use crate::config::Fault;
use crate::content::{ErrorKind, OnError};
use crate::history::Trigger;
use crate::pipeline::{
    ContainerSurvey, Demand, Extent, ReadBackPolicy, Selection, SourcePolicy, TransferMemory,
    TransferOptions, TransferReport, plan_transfer, run_transfer, watch_source,
};
use crate::storage::{ContainerReference, Missing, Overwrite, Purpose, StorageContainer};

/// Copy bundles from one container to another
///
/// Volumes and countersignatures of a bundle travel together, in order, and what is there already does not
/// travel again. Onto a USB stick it ends with "safe to remove".
///
/// Example: airlift transfer /srv/out /mnt/usb --verify
#[derive(Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag as it was typed; options are enums"
)]
pub(in crate::cli) struct TransferArguments {
    /// Where the bundles are: a container, or one bundle in it
    #[arg(value_name = "SOURCE", value_parser = parse_container)]
    source: ContainerReference,

    /// The container that gets them; a missing directory is made
    #[arg(value_name = "TARGET", value_parser = parse_container)]
    target: ContainerReference,

    /// Only this bundle, by its name or the name of one of its objects; may be repeated
    #[arg(long, value_name = "NAME")]
    bundle: Vec<String>,

    /// Only bundles of this pipeline
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,

    /// Only the newest bundle of each pipeline, and of those without one
    #[arg(long)]
    newest: bool,

    /// Only this volume of one bundle, for a disc that was damaged
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "delete_source")]
    volume: Option<u32>,

    /// Replace objects of the same name and other content
    #[arg(long)]
    overwrite_blobs: bool,

    /// Read the target back and prove every byte
    #[arg(long)]
    verify: bool,

    /// Remove a bundle at the source when all of it is at the target
    #[arg(long)]
    delete_source: bool,

    /// Leave out bundles that cannot be transferred, and exit with 3
    #[arg(long)]
    continue_on_errors: bool,

    /// Repeat until stopped by SIGTERM or Ctrl-C; a bundle that fails is told and tried again
    #[arg(long, conflicts_with = "dry_run")]
    watch: bool,

    /// How often a watch looks at the source
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, requires = "watch")]
    interval: Duration,

    /// Print what would be copied, and copy nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    state: StateArguments,

    #[command(flatten)]
    comment: CommentArgument,

    #[command(flatten)]
    trust: TrustArguments,
}

impl TransferArguments {
    /// Whether a signal is how it is meant to end.
    pub(in crate::cli) fn ends_by_signal(&self) -> bool {
        self.watch
    }

    /// Whether something can be copied from the one to the other at all.
    pub(in crate::cli) fn check_places(&self) -> Result<(), MeetingPlaces> {
        check_places(&self.source, &self.target)
    }

    fn selection(&self, object: Option<String>) -> Selection {
        Selection {
            bundles: self.bundle.iter().cloned().chain(object).collect(),
            pipeline: self.pipeline.clone(),
            extent: match self.newest {
                true => Extent::Newest,
                false => Extent::All,
            },
            volume: self.volume,
        }
    }

    async fn options(&self, progress: &Progress) -> anyhow::Result<TransferOptions> {
        let policy = self.trust.policy_to_look()?;
        self.check_places()?;
        if self.delete_source {
            // A signature that cannot delete is told now, and not after the first bundle; and before what else it
            // cannot do, so that the hint names all.
            locate(std::slice::from_ref(&self.source), Purpose::DeleteSource).await?;
        }
        let place = locate(std::slice::from_ref(&self.source), Purpose::TransferSource)
            .await?
            .remove(0);
        Ok(TransferOptions {
            source: place.container,
            target: self.open_target().await?,
            selection: self.selection(place.object),
            demand: match self.watch {
                true => Demand::WhenItComes,
                false => Demand::Now,
            },
            policy,
            overwrite: match self.overwrite_blobs {
                true => Overwrite::Replace,
                false => Overwrite::Refuse,
            },
            read_back: match self.verify {
                true => ReadBackPolicy::Verify,
                false => ReadBackPolicy::Skip,
            },
            source_policy: match self.delete_source {
                true => SourcePolicy::Delete,
                false => SourcePolicy::Keep,
            },
            on_error: match self.continue_on_errors || self.watch {
                true => OnError::Continue,
                false => OnError::Stop,
            },
            events: progress.events(),
        })
    }

    async fn memory(&self, origin: &Origin) -> anyhow::Result<Option<TransferMemory>> {
        let trigger = match self.watch {
            true => Trigger::Source,
            false => Trigger::Manual,
        };
        let places = (&self.source, &self.target);
        let described = (trigger, &self.comment);
        self.state
            .remember_transfer(places, described, origin)
            .await
    }

    /// A dry run makes nothing, so it can only look at a directory that is there.
    async fn open_target(&self) -> anyhow::Result<Arc<dyn StorageContainer>> {
        if !self.dry_run {
            return open_container(&self.target, Missing::Create, Purpose::TransferTarget).await;
        }
        let opened = open_container(&self.target, Missing::Refuse, Purpose::TransferTarget).await;
        if let (Err(_), ContainerReference::Directory(path)) = (&opened, &self.target)
            && !path.exists()
        {
            let error = UsageError::new(format!("there is no directory `{}`", path.display()))
                .hint("make it first, or mount what belongs there: a dry run makes nothing");
            return Err(error.into());
        }
        opened
    }
}

/// Why a place cannot be copied to another one.
#[derive(Debug)]
pub(in crate::cli) struct MeetingPlaces {
    told: String,
    hint: Option<&'static str>,
}

impl MeetingPlaces {
    /// The same as a fault of a section of the configuration file.
    pub(in crate::cli) fn fault(self, line: usize, head: &str) -> Fault {
        let fault = Fault::at(line, format!("{head} `target`: {}", self.told));
        match self.hint {
            Some(hint) => fault.with_hint(hint),
            None => fault,
        }
    }
}

impl From<MeetingPlaces> for anyhow::Error {
    fn from(places: MeetingPlaces) -> Self {
        let error = UsageError::new(places.told);
        match places.hint {
            Some(hint) => error.hint(hint).into(),
            None => error.into(),
        }
    }
}

fn check_places(
    source: &ContainerReference,
    target: &ContainerReference,
) -> Result<(), MeetingPlaces> {
    if is_same(source, target) {
        return Err(MeetingPlaces {
            told: format!("`{source}` and `{target}` are the same place"),
            hint: None,
        });
    }
    // A cloud's listing has what is below a prefix too; only what was copied would be found again, and copied deeper.
    let is_cloud = !matches!(source, ContainerReference::Directory(_));
    let below = format!("{}/", source.to_string().trim_end_matches('/'));
    if is_cloud && is_one_service(source, target) && target.to_string().starts_with(&below) {
        return Err(MeetingPlaces {
            told: format!("`{target}` lies within `{source}`"),
            hint: Some(
                "what arrives there would be found in the source again: take a prefix beside it",
            ),
        });
    }
    Ok(())
}

fn is_same(source: &ContainerReference, target: &ContainerReference) -> bool {
    match (source, target) {
        (ContainerReference::Directory(source), ContainerReference::Directory(target)) => {
            let real = |path: &Path| path.canonicalize().ok();
            source == target || (real(source).is_some() && real(source) == real(target))
        }
        _ => is_one_service(source, target) && source.to_string() == target.to_string(),
    }
}

/// Buckets of the same name may be at different endpoints, which their names do not tell.
fn is_one_service(source: &ContainerReference, target: &ContainerReference) -> bool {
    match (source, target) {
        (ContainerReference::S3(source), ContainerReference::S3(target)) => {
            source.endpoint == target.endpoint
        }
        (ContainerReference::Gcs(source), ContainerReference::Gcs(target)) => {
            source.endpoint == target.endpoint
        }
        _ => true,
    }
}

pub(in crate::cli) async fn run(
    arguments: TransferArguments,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    let progress = Progress::new(output, "transferring", "object");
    let options = arguments.options(&progress).await?;
    let is_checked = arguments.trust.checks_signatures();
    if !is_checked && !arguments.trust.insecure_accept_unsigned {
        Output::note("signatures were not checked; `--trust SENDER.pub` checks them");
    }
    if arguments.dry_run {
        return preview(&options, output).await;
    }
    let memory = arguments.memory(origin).await?;
    if arguments.watch {
        let mut last = String::new();
        let tell = |round| tell_round(round, &options, is_checked, output, &mut last);
        watch_source(&options, arguments.interval, memory.as_ref(), tell).await;
        return Ok(Exit::Done);
    }
    let report = carry_out(&options, memory.as_ref()).await;
    progress.finish();
    let report = report?;
    let document = report_document(&report, &options, is_checked);
    output.print(&show_report(&report, &options), &document)?;
    let TransferReport {
        failures, arriving, ..
    } = report;
    let failures = failures.into_iter().map(|failure| failure.error).collect();
    exit_of(failures, arriving.is_empty(), options.on_error)
}

async fn preview(options: &TransferOptions, output: Output) -> anyhow::Result<Exit> {
    let (mut source, mut target) = (ContainerSurvey::default(), ContainerSurvey::default());
    let plan = plan_transfer(options, &mut source, &mut target).await?;
    let free = options.target.free_bytes().await?;
    output.print(
        &show_plan(&plan, free),
        &plan_document(&plan, options, free),
    )?;
    let is_all_there = plan.arriving.is_empty();
    exit_of(plan.refusals(), is_all_there, options.on_error)
}

async fn carry_out(
    options: &TransferOptions,
    memory: Option<&TransferMemory>,
) -> crate::content::Result<TransferReport> {
    let (mut source, mut target) = (ContainerSurvey::default(), ContainerSurvey::default());
    if let Some(memory) = memory {
        return memory.transfer(options, &mut source, &mut target).await;
    }
    let plan = plan_transfer(options, &mut source, &mut target).await?;
    run_transfer(options, plan).await
}

/// The first failure is the command's own where it has stopped there.
fn exit_of(
    failures: Vec<crate::content::Error>,
    is_all_there: bool,
    on_error: OnError,
) -> anyhow::Result<Exit> {
    let is_right = failures.is_empty();
    Output::hint_at(
        failures
            .iter()
            .filter(|_| on_error == OnError::Continue)
            .map(|e| e as _),
    );
    match failures.into_iter().next() {
        Some(error) if on_error == OnError::Stop => Err(explain(error)),
        _ if is_right && is_all_there => Ok(Exit::Done),
        _ => Ok(Exit::PartlyFailed),
    }
}

fn explain(error: crate::content::Error) -> anyhow::Error {
    let is_changed = error.kind() == ErrorKind::Changed;
    let error = anyhow::Error::new(error);
    match is_changed {
        true => error.context("the transfer has stopped"),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, target: &str) -> bool {
        check_places(&source.parse().unwrap(), &target.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_place_is_not_copied_into_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        assert!(!check(path, path));
        let azure = "https://acme.blob.core.windows.net/drop";
        assert!(!check(
            &format!("{azure}?sig=a"),
            &format!("{azure}?credential=env:B")
        ));
        assert!(!check(azure, &format!("{azure}/archive")));
        assert!(check(&format!("{azure}/archive"), azure));
        assert!(check(azure, &format!("{azure}-archive")));
        let bucket = |port: u16, path: &str| {
            format!("s3://drop{path}?endpoint=http://127.0.0.1:{port}&style=path")
        };
        assert!(!check(&bucket(1, ""), &bucket(1, "")));
        assert!(!check(&bucket(1, "/a"), &bucket(1, "/a/b")));
        assert!(
            check(&bucket(1, ""), &bucket(2, "")),
            "of the same name, elsewhere"
        );
    }
}
