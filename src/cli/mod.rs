//! The command line: turns what was typed into options, runs one command, and tells what happened.
//!
//! This is the only module that prints, exits and reads the environment. Commands are thin: they build
//! options, call `pipeline`, and describe its report.

mod args;
mod bundle_report;
mod commands;
mod config_args;
mod configured;
mod container_args;
mod corrections;
mod creation_args;
mod duration;
mod encoder_report;
mod exit;
mod export_report;
mod failure;
mod import_report;
mod keys;
mod log_lines;
mod mirror_formats;
mod moment;
mod origin;
mod output;
mod part_args;
mod permissions;
mod progress;
mod promotion_report;
mod receipt_args;
mod reference_args;
mod refusal;
mod registry_args;
mod selection_args;
mod selection_report;
mod service;
mod serving;
mod size;
mod spool_args;
mod state_args;
mod tag_args;
mod thin_args;
mod thin_report;
mod transfer_report;
mod visible;
mod voice;

use std::process::ExitCode;
use std::time::Duration;

use args::Command;
use exit::Exit;
use log_lines::Warnings;
use origin::Origin;
use output::Output;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::history::Interruption;

/// Threads that may block on files; each costs memory, and disks gain nothing from more.
const BLOCKING_THREADS_MAX: usize = 16;
/// Not more: some programs that are run from here close every file that they might have open.
const OPEN_FILES: u64 = 1 << 16;
/// How long a command that a signal ends may take to record that.
const RECORDING_MAX: Duration = Duration::from_secs(5);

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    if let Some(exit) = corrections::serve_where_asked() {
        return exit;
    }
    let arguments = match args::parse() {
        Ok(arguments) => arguments,
        Err(error) => return output::print_usage_error(error).into(),
    };
    let warnings = Warnings::of(&arguments.command, arguments.output);
    output::start_log(&arguments.log, warnings);
    let output = Output::new(arguments.output);
    allow_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run_until_signal(arguments.command, output));
            // A thread that waits for a terminal or a slow disk must not keep the program alive.
            runtime.shutdown_background();
            exit
        }
        Err(cause) => Output::print_failure(&anyhow::Error::new(cause).context("cannot start")),
    };
    exit.into()
}

/// Enough open files for a dense bundle, which has one for each layer that is made again, as far as the system lets this
/// user have them.
fn allow_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let enough = limit.maximum.map_or(OPEN_FILES, |it| it.min(OPEN_FILES));
    let raised = Rlimit {
        current: limit.current.map(|it| it.max(enough)),
        ..limit
    };
    // What is there may be enough.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Runs the command; a signal ends it, and dropping it cleans up.
async fn run_until_signal(command: Command, output: Output) -> Exit {
    let interruption = Interruption::default();
    if command.answers_signals() {
        let done = Box::pin(run(command, output, &interruption)).await;
        return done.unwrap_or_else(|error| Output::print_failure(&error));
    }
    let ends_by_signal = command.ends_by_signal();
    // Listened for before anything is begun, or the first moments would end without a word.
    let signals = Signals::listen();
    // The reason is known before what goes on is dropped.
    let signalled = async {
        let name = signals.wait().await;
        interruption.announce(format!("stopped by {name}"));
    };
    let exit = tokio::select! {
        done = Box::pin(run(command, output, &interruption)) => {
            return done.unwrap_or_else(|error| Output::print_failure(&error));
        }
        () = signalled => tell_of_signal(ends_by_signal),
    };
    if tokio::time::timeout(RECORDING_MAX, interruption.finish_records())
        .await
        .is_err()
    {
        tracing::warn!("the end of the run is not recorded");
    }
    exit
}

fn tell_of_signal(ends_by_signal: bool) -> Exit {
    if ends_by_signal {
        Output::note("stopped; nothing is half published");
        return Exit::Done;
    }
    Output::note("interrupted; nothing is half published, and the same command can be run again");
    Exit::Interrupted
}

/// The signals that end a command, listened for from the moment this is made.
struct Signals([Option<Signal>; 2]);

const SIGNALS: [(SignalKind, &str); 2] = [
    (SignalKind::interrupt(), "SIGINT"),
    (SignalKind::terminate(), "SIGTERM"),
];

impl Signals {
    fn listen() -> Self {
        Self(SIGNALS.map(|(kind, _)| signal(kind).ok()))
    }

    /// Until the first of them comes; its name.
    async fn wait(self) -> &'static str {
        let arrive = |signal: Option<Signal>| async {
            match signal {
                Some(mut signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        };
        let [interrupt, terminate] = self.0.map(arrive);
        tokio::select! {
            () = interrupt => SIGNALS[0].1,
            () = terminate => SIGNALS[1].1,
        }
    }
}

async fn run(
    command: Command,
    output: Output,
    interruption: &Interruption,
) -> anyhow::Result<Exit> {
    let origin = Origin::by_hand(interruption);
    match command {
        Command::Export(arguments) => commands::export::run(*arguments, &origin, output).await,
        Command::Import(arguments) => commands::import::run(*arguments, &origin, output).await,
        Command::Promote(arguments) => {
            Box::pin(commands::promote::run(*arguments, &origin, output)).await
        }
        Command::Rollback(arguments) => commands::rollback::run(arguments, output).await,
        Command::Run(arguments) => Box::pin(commands::run::run(arguments, &origin, output)).await,
        Command::Serve(arguments) => commands::serve::run(arguments, output).await,
        Command::MirrorConfig(arguments) => commands::mirror_config::run(arguments, output).await,
        Command::Config(arguments) => commands::config::run(arguments, output).await,
        Command::Runs(arguments) => Box::pin(commands::runs::run(arguments, &origin, output)).await,
        Command::Lanes(arguments) => commands::lanes::run(arguments, output).await,
        Command::Receipts(arguments) => commands::receipts::run(arguments, output).await,
        Command::History(arguments) => commands::history::run(arguments, output).await,
        Command::Audit(arguments) => commands::audit::run(arguments, output).await,
        Command::List(arguments) => commands::list::run(arguments, output).await,
        Command::Select(arguments) => commands::select::run(*arguments, output).await,
        Command::Container(arguments) => commands::container::run(arguments, output).await,
        Command::Inspect(arguments) => commands::inspect::run(arguments, output).await,
        Command::Watch(arguments) => commands::watch::run(*arguments, &origin, output).await,
        Command::Verify(arguments) => commands::verify::run(arguments, output).await,
        Command::Transfer(arguments) => commands::transfer::run(*arguments, &origin, output).await,
        Command::Unpack(arguments) => commands::unpack::run(*arguments, output).await,
        Command::Sign(arguments) => commands::sign::run(arguments, output).await,
        Command::Key(arguments) => commands::key::run(&arguments, output),
        Command::Sas(arguments) => commands::sas::run(arguments, output).await,
        Command::Completions(arguments) => commands::completions::run(&arguments, output),
        Command::Manual(arguments) => commands::manual::run(&arguments, output),
    }
}
