//! `airlift watch`: imports every bundle of a container by itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::args::Format;
use crate::cli::commands::import::DeliveryArguments;
use crate::cli::container_args::{open_container, parse_container};
use crate::cli::duration::parse_duration;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::service::{Liveness, serve_health, stop_on_signal};
use crate::history::Ledger;
use crate::pipeline::{
    DeliveredSource, OneOff, Until, WatchEvent, WatchEvents, WatchOptions, WatchReport, run_watch,
};
use crate::storage::{ContainerReference, Missing};

/// Import every bundle of a container, as soon as it is complete
///
/// A daemon: it lists the container at an interval, and a directory whenever something changes in it; it waits for
/// objects, volumes and signatures that are still to come, imports each bundle once, and goes on whatever a bundle
/// is like. What it did is kept in the state directory.
///
/// Example: airlift watch /mnt/drop --target registry.local:5000/mirror --trust ops.key.pub --state /var/lib/airlift
#[derive(Args)]
pub(in crate::cli) struct WatchArguments {
    /// The container to watch: a directory or a URL
    #[arg(value_name = "CONTAINER", value_parser = parse_container)]
    container: ContainerReference,

    /// `REGISTRY[/PREFIX]` or `oci:DIR`
    #[arg(long, value_name = "TARGET")]
    target: String,

    /// Where the ledger is kept; watches that share it never do the same work twice
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,

    /// How often the container is listed
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    interval: Duration,

    /// Take bundles without a pipeline too; nothing can tell whether they are the newest
    #[arg(long)]
    accept_one_off: bool,

    /// Remove a bundle's objects when all of it was delivered
    #[arg(long)]
    delete_source: bool,

    /// List once, deliver what is complete, and end
    #[arg(long)]
    once: bool,

    /// Answer `GET /ready` and `GET /health` on this address, such as `127.0.0.1:8686`
    #[arg(long, value_name = "ADDRESS:PORT")]
    health: Option<SocketAddr>,

    #[command(flatten)]
    delivery: DeliveryArguments,
}

pub(in crate::cli) async fn run(arguments: WatchArguments, output: Output) -> anyhow::Result<Exit> {
    let target = super::import::parse_target(&arguments.target)?;
    let container = open_container(&arguments.container, Missing::Refuse).await?;
    let connections = arguments.delivery.registries.connect()?;
    let place = connections.target(&target).await?;
    let ledger = Ledger::open(&arguments.state).await?;
    let liveness = Liveness::new(arguments.interval);
    if let Some(address) = arguments.health {
        let bound = serve_health(address, liveness.clone()).await?;
        Output::note(&format!("health is told on http://{bound}/health"));
    }
    let options = WatchOptions {
        container,
        directory: match &arguments.container {
            ContainerReference::Directory(path) => Some(path.clone()),
            _ => None,
        },
        policy: arguments.delivery.trust.policy()?,
        target,
        import: arguments.delivery.quiet_options(&liveness),
        platform_index: arguments.delivery.platform_index(),
        one_off: match arguments.accept_one_off {
            true => OneOff::Accept,
            false => OneOff::Refuse,
        },
        source: match arguments.delete_source {
            true => DeliveredSource::Delete,
            false => DeliveredSource::Keep,
        },
        interval: arguments.interval,
        until: match arguments.once {
            true => Until::Once,
            false => Until::Stopped,
        },
        who: crate::cli::who::who(),
        events: tell(output, liveness),
    };
    let report = run_watch(&options, &place, &ledger, &stop_on_signal()).await?;
    Ok(exit_of(&report, options.until))
}

/// A stopped daemon has done its duty; a single round says what came of it.
fn exit_of(report: &WatchReport, until: Until) -> Exit {
    match until {
        Until::Once if report.set_aside > 0 => Exit::Unverified,
        Until::Once if report.partly_imported > 0 => Exit::PartlyFailed,
        _ => Exit::Done,
    }
}

/// One line for each event: for people with the time, for machines as JSON.
fn tell(output: Output, liveness: Liveness) -> WatchEvents {
    Arc::new(move |event: &WatchEvent| {
        liveness.sign();
        if matches!(event, WatchEvent::Ready { .. }) {
            liveness.become_ready();
        }
        let now = Timestamp::now();
        match output.format() {
            Format::Text => Output::stream_line(&format!("{now:.0} {event}")),
            Format::Json => {
                let document = json!({
                    "time": now.to_string(),
                    "event": event.name(),
                    "subject": event.subject(),
                    "text": event.to_string(),
                });
                Output::stream_line(&document.to_string());
            }
        }
    })
}
