//! `airlift serve`: the pipelines of the configuration file, each at its time or when something comes.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Signals;
use crate::cli::config_args::{ConfigArgument, InForce};
use crate::cli::configured::Configuration;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::Output;
use crate::cli::service::{Liveness, notify_supervisor, serve_health};
use crate::cli::serving::{Fleet, Ground, name_ground};
use crate::history::Ledger;

/// How often it says that it lives.
const SIGN_INTERVAL: Duration = Duration::from_secs(5);

/// Run the pipelines of the configuration file by themselves, when they are due
///
/// A daemon: it watches for every import pipeline with `source-trigger`, repeats every transfer with it, and runs
/// pipelines with a `schedule`, each once at a time. What it missed while it was stopped is run once. SIGHUP has it
/// read the file again, SIGTERM ends it.
///
/// Example: airlift serve --config /etc/airlift/airlift.toml --health 127.0.0.1:8686
#[derive(Args)]
pub(in crate::cli) struct ServeArguments {
    /// Answer `GET /ready` and `GET /health` on this address, such as `127.0.0.1:8686`
    #[arg(long, value_name = "ADDRESS:PORT")]
    health: Option<SocketAddr>,

    #[command(flatten)]
    config: ConfigArgument,
}

pub(in crate::cli) async fn run(arguments: ServeArguments, output: Output) -> anyhow::Result<Exit> {
    // Listened for before anything is begun, or the first moments would end without a word.
    let (signals, mut again) = (Signals::listen(), signal(SignalKind::hangup())?);
    let configuration = arguments.config.require()?;
    let path = configuration.path.clone();
    let ledger = Ledger::open(state_of(&configuration)?).await?;
    let liveness = Liveness::new(SIGN_INTERVAL);
    if let Some(address) = arguments.health {
        let bound = serve_health(address, liveness.clone()).await?;
        Output::note(&format!("health is told on http://{bound}/health"));
    }
    let ground = Ground {
        ledger,
        in_force: InForce::new(configuration),
        output,
        liveness: liveness.clone(),
        who: name_ground().await,
    };
    let mut fleet = Fleet::new(ground);
    let change = fleet.follow();
    output.tell_event("ready", &(), &format!("ready: {change}"));
    liveness.tell_status(&change.to_string());
    liveness.become_ready();
    let mut signs = tokio::time::interval(SIGN_INTERVAL);
    let ended = signals.wait();
    tokio::pin!(ended);
    let reason = loop {
        tokio::select! {
            name = &mut ended => break name,
            _ = again.recv() => read_again(&path, &mut fleet, &liveness, output),
            _ = signs.tick() => liveness.sign(),
            () = fleet.run() => {}
        }
    };
    notify_supervisor("STOPPING=1");
    fleet.stop(&format!("stopped by {reason}")).await;
    output.tell_event("stopped", &(), "stopped");
    Ok(Exit::Done)
}

fn state_of(configuration: &Configuration) -> anyhow::Result<&Path> {
    let state = configuration.state.as_deref();
    let missing = || {
        let shown = configuration.path.display();
        UsageError::new(format!("`{shown}` has no `state`")).hint(
            "`state = \"/var/lib/airlift\"` above all sections says where to remember what was run",
        )
    };
    state.ok_or_else(missing).context("nothing is served")
}

/// A file with faults changes nothing.
fn read_again(path: &Path, fleet: &mut Fleet, liveness: &Liveness, output: Output) {
    let refused = |text: &str| output.tell_event("refused", &(), text);
    let configuration = match Configuration::read(path) {
        Ok(configuration) => configuration,
        Err(invalid) => {
            for line in invalid.lines() {
                refused(&format!("the file stays as it was in force: {line}"));
            }
            return;
        }
    };
    if configuration.state != fleet.configuration().state {
        refused("the file stays as it was in force: another `state` needs a restart");
        return;
    }
    let change = fleet.replace(configuration);
    output.tell_event("reread", &(), &format!("read again: {change}"));
    liveness.tell_status(&change.to_string());
}
