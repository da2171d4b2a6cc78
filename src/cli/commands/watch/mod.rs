//! `airlift watch`: imports every bundle of a container by itself.

mod list;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::list::{ListArguments, RetryArguments, bring_back, print_list};
use crate::cli::commands::import::{DeliveryArguments, parse_target};
use crate::cli::container_args::{
    parse_container, refuse_file, warn_of_secret, warn_of_typed_secret,
};
use crate::cli::creation_args::CreationArguments;
use crate::cli::duration::parse_duration;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::origin::Origin;
use crate::cli::output::Output;
use crate::cli::receipt_args::ReceiptArguments;
use crate::cli::refusal::admit_import;
use crate::cli::registry_args::RegistryArguments;
use crate::cli::service::{Liveness, serve_health, stop_on_signal};
use crate::cli::state_args::remember;
use crate::cli::tag_args::TagArguments;
use crate::cli::voice::Voice;
use crate::content::{Error, ErrorKind, Event};
use crate::history::{RunKind, Trigger};
use crate::pipeline::{
    DeliveredSource, OneOff, Opener, Place, RepositoryCreation, SETTLE_TIME, TargetReference,
    Until, WatchEvent, WatchEvents, WatchOptions, WatchReport, connect_container, connect_queue,
    run_watch,
};
use crate::storage::{
    AzureQueue, ContainerReference, InvalidQueue, Missing, Purpose, QueueReference,
    StorageContainer,
};

/// Import every bundle of a container, as soon as it is complete
///
/// A daemon: it lists the container at an interval, and a directory whenever something changes in it; it waits for
/// objects, volumes and signatures that are still to come, imports each bundle once, and goes on whatever a bundle
/// is like. What it did is kept in the state directory.
///
/// Example: airlift watch /mnt/drop --target registry.local:5000/mirror --trust ops.key.pub --state /var/lib/airlift
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(in crate::cli) struct WatchArguments {
    #[command(subcommand)]
    command: Option<WatchCommand>,
    /// The container to watch: a directory or a URL
    #[arg(value_name = "CONTAINER", value_parser = parse_container, required = true)]
    container: Option<ContainerReference>,

    /// `REGISTRY[/PREFIX]` or `oci:DIR`
    #[arg(long, value_name = "TARGET", required = true)]
    target: Option<String>,

    /// Where the ledger is kept; watches that share it never do the same work twice
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE", required = true)]
    state: Option<PathBuf>,

    /// How often the container is listed
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    interval: Duration,

    /// Look at once when Event Grid tells this Azure queue of a new blob
    #[arg(long, value_name = "URL", value_parser = parse_queue, conflicts_with = "once")]
    queue: Option<QueueReference>,

    /// Take bundles without a pipeline too; nothing can tell whether they are the newest
    #[arg(long)]
    accept_one_off: bool,

    /// Remove a bundle's objects when all of it was delivered
    #[arg(long)]
    delete_source: bool,

    /// List once, deliver what is complete, and end
    #[arg(long)]
    once: bool,

    /// Only this bundle, by its name or the name of one of its objects; may be repeated
    #[arg(long, value_name = "NAME", requires = "once")]
    bundle: Vec<String>,

    /// Answer `GET /ready` and `GET /health` on this address, such as `127.0.0.1:8686`
    #[arg(long, value_name = "ADDRESS:PORT")]
    health: Option<SocketAddr>,

    #[command(flatten)]
    receipts: ReceiptArguments,
    #[command(flatten)]
    tags: TagArguments,
    #[command(flatten)]
    creation: CreationArguments,
    #[command(flatten)]
    delivery: DeliveryArguments,
}

#[derive(Subcommand)]
enum WatchCommand {
    /// List what watches have done, what waits, and what was set aside with its reason
    ///
    /// Example: airlift watch list --state /var/lib/airlift
    List(ListArguments),
    /// Bring back what was set aside; a running watch takes it up at its next listing
    ///
    /// Example: airlift watch retry web-0123456789ab --state /var/lib/airlift
    Retry(RetryArguments),
}

pub(in crate::cli) async fn run(
    arguments: WatchArguments,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    match &arguments.command {
        Some(WatchCommand::List(list)) => print_list(list, output).await,
        Some(WatchCommand::Retry(retry)) => bring_back(retry, output).await,
        None => {
            let supervision = arguments.supervise().await?;
            watch(&arguments, origin, output, supervision).await
        }
    }
}

/// Who ends a watch, and whom it gives signs of life.
pub(in crate::cli) struct Supervision {
    pub(in crate::cli) stop: CancellationToken,
    pub(in crate::cli) liveness: Liveness,
}

/// Watches as a part of a daemon, until that one stops it.
pub(in crate::cli) async fn run_supervised(
    arguments: WatchArguments,
    origin: &Origin,
    output: Output,
    supervision: Supervision,
) -> anyhow::Result<Exit> {
    watch(&arguments, origin, output, supervision).await
}

impl WatchArguments {
    pub(in crate::cli) fn is_daemon(&self) -> bool {
        self.command.is_none()
    }

    /// As a daemon of its own: signals end it, and it answers for its health.
    async fn supervise(&self) -> anyhow::Result<Supervision> {
        let liveness = Liveness::new(self.interval);
        if let Some(address) = self.health {
            let bound = serve_health(address, liveness.clone()).await?;
            Output::note(&format!("health is told on http://{bound}/health"));
        }
        let stop = stop_on_signal();
        Ok(Supervision { stop, liveness })
    }
}

async fn watch(
    arguments: &WatchArguments,
    origin: &Origin,
    output: Output,
    Supervision { stop, liveness }: Supervision,
) -> anyhow::Result<Exit> {
    let (Some(container), Some(target), Some(state)) =
        (&arguments.container, &arguments.target, &arguments.state)
    else {
        return Err(UsageError::new("a watch needs a container, `--target` and `--state`").into());
    };
    let delivery = &arguments.delivery;
    if delivery.dry_run {
        let error = UsageError::new("a watch has no dry run")
            .hint("`airlift import CONTAINER --dry-run` says what would be moved");
        return Err(error.into());
    }
    let target = parse_target(target)?;
    let containers = std::slice::from_ref(container);
    let attempt = (RunKind::Watch, Some(&**state), None);
    let ends = (containers, &target);
    admit_import(attempt, ends, &delivery.registries, origin).await?;
    let creation = arguments.creation.build(&target)?;
    delivery.trust.policy()?;
    let tailoring = delivery.tailoring()?;
    refuse_file(container)?;
    warn_of_secret(container);
    let queue = match &arguments.queue {
        Some(queue) => Some(queue_opener(queue, container).await?),
        None => None,
    };
    let lane = (&target, delivery.lane.as_deref());
    let receipts = arguments.receipts.build(lane.1, Some(state))?;
    let memory = remember(state, lane, std::slice::from_ref(container), origin).await?;
    let trigger = origin.trigger.unwrap_or(Trigger::Source);
    let memory = memory.answering(receipts).called(RunKind::Watch, trigger);
    let moving = liveness.clone();
    let signs: crate::content::Events = Arc::new(move |_: Event| moving.sign());
    let options = WatchOptions {
        open_container: container_opener(container, arguments.delete_source),
        directory: match container {
            ContainerReference::Directory(path) => Some(path.clone()),
            _ => None,
        },
        queue,
        read_trust: delivery.trust.reader(),
        open_target: target_opener(&delivery.registries, &target, creation),
        target,
        import: delivery.options_with(arguments.tags.before(), Arc::clone(&signs), || signs),
        tailoring,
        one_off: match arguments.accept_one_off {
            true => OneOff::Accept,
            false => OneOff::Refuse,
        },
        source: match arguments.delete_source {
            true => DeliveredSource::Delete,
            false => DeliveredSource::Keep,
        },
        interval: arguments.interval,
        settle_time: SETTLE_TIME,
        until: match arguments.once {
            true => Until::Once,
            false => Until::Stopped,
        },
        only: arguments.bundle.clone(),
        events: tell(output, liveness),
    };
    let report = run_watch(&options, &memory, &stop).await?;
    Ok(exit_of(&report, options.until))
}

/// Opens the container with the credential of now. A signature that cannot delete is told now, and not after the
/// first bundle.
fn container_opener(
    reference: &ContainerReference,
    deletes: bool,
) -> Opener<Arc<dyn StorageContainer>> {
    let reference = reference.clone();
    Arc::new(move || {
        let reference = reference.clone();
        Box::pin(async move {
            let connect = async |purpose| {
                connect_container(&reference, Missing::Refuse, purpose, Timestamp::now())
                    .await
                    .map_err(|error| {
                        error.within(format!("cannot open the container `{reference}`"))
                    })
            };
            if deletes {
                connect(Purpose::DeleteSource).await?;
            }
            connect(Purpose::Import).await
        })
    })
}

/// Connects to the target with the login of now.
fn target_opener(
    registries: &RegistryArguments,
    target: &TargetReference,
    creation: RepositoryCreation,
) -> Opener<Place> {
    let ends = (registries.clone(), target.clone(), creation);
    Arc::new(move || {
        let (registries, target, creation) = ends.clone();
        Box::pin(async move {
            let mut connections = registries.connect().await.map_err(|cause| {
                Error::new(
                    ErrorKind::Failed,
                    format!("cannot reach `{target}`: {cause:#}"),
                )
            })?;
            connections.set_creation(creation);
            connections.target(&target).await
        })
    })
}

fn parse_queue(text: &str) -> Result<QueueReference, String> {
    let parsed = text.parse();
    parsed.map_err(|error: InvalidQueue| error.to_string())
}

/// Opens the queue with the credential of now. What no credential mends is told now.
async fn queue_opener(
    queue: &QueueReference,
    container: &ContainerReference,
) -> anyhow::Result<Opener<Arc<AzureQueue>>> {
    let ContainerReference::Azure(azure) = container else {
        let error = UsageError::new(format!("no queue tells of `{container}`"))
            .hint("`--queue` is for a container of Azure; a directory tells by itself");
        return Err(error.into());
    };
    if queue.sas.is_some() {
        warn_of_typed_secret(queue);
    }
    connect_queue(queue, azure, Timestamp::now())
        .await
        .with_context(|| format!("cannot open the queue `{queue}`"))?;
    let (queue, azure) = (queue.clone(), azure.clone());
    Ok(Arc::new(move || {
        let (queue, azure) = (queue.clone(), azure.clone());
        Box::pin(async move { connect_queue(&queue, &azure, Timestamp::now()).await })
    }))
}

/// A stopped daemon has done its duty; a single round says what came of it.
fn exit_of(report: &WatchReport, until: Until) -> Exit {
    match until {
        Until::Once if report.set_aside > 0 => Exit::Unverified,
        Until::Once if report.denied > 0 => Exit::Denied,
        Until::Once if report.postponed > 0 => Exit::Failed,
        Until::Once if report.partly_imported > 0 => Exit::PartlyFailed,
        _ => Exit::Done,
    }
}

/// One line for each event: for people with the time, for machines as JSON.
fn tell(output: Output, liveness: Liveness) -> WatchEvents {
    let voice = Voice::current();
    Arc::new(move |event: &WatchEvent| {
        liveness.sign();
        if matches!(event, WatchEvent::Ready { .. }) {
            liveness.become_ready();
        }
        match event {
            WatchEvent::Tried => liveness.ask_for_time(),
            WatchEvent::Ready { .. }
            | WatchEvent::Unreachable { .. }
            | WatchEvent::Reachable
            | WatchEvent::TargetUnreachable { .. } => liveness.tell_status(&event.to_string()),
            _ => {}
        }
        if !matches!(event, WatchEvent::Listed { .. } | WatchEvent::Tried) {
            voice.say(|| output.tell_event(event.name(), &event.subject(), &event.to_string()));
        }
    })
}
