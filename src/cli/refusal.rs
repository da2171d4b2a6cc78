//! Refusals that are remembered: somebody asked for what they may not have.
//!
//! A refusal is a run that was refused, in the state directory that was given, or else in that of the configuration
//! file: a rule of the file is broken whatever flags are left out. Specification: src/history/SCHEMA.md.

use std::path::Path;

use jiff::Timestamp;

use super::configured::Configuration;
use super::failure::UsageError;
use super::origin::Origin;
use super::output::Output;
use super::registry_args::RegistryArguments;
use super::state_args::{absolute_container, who};
use crate::content::{Error, ErrorKind, describe};
use crate::history::{ActiveRun, Ledger, NewRun, RunKind, Trigger};
use crate::pipeline::TargetReference;
use crate::storage::ContainerReference;

/// Where a refusal is recorded, and as which run.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// The state directory that was given.
    pub(super) state: Option<&'a Path>,
    pub(super) run: &'a NewRun,
}

impl Attempt<'_> {
    /// Records the refusal. Where that cannot be done it is told, and the refusal stands.
    pub(super) async fn record(&self, configuration: Option<&Configuration>, refusal: &UsageError) {
        let of_file = configuration.and_then(|it| it.state.as_deref());
        let Some(directory) = self.state.or(of_file) else {
            return;
        };
        let recorded = async {
            let ledger = Ledger::open(directory).await?;
            let run = ActiveRun::begin(&ledger, self.run, Timestamp::now).await?;
            let error = Error::new(ErrorKind::Denied, refusal.message.clone());
            run.refuse(&error, Vec::new()).await
        };
        if let Err(error) = recorded.await {
            Output::warn(&format!(
                "the refusal is not recorded: {}",
                describe(&error)
            ));
        }
    }
}

/// Refuses an import by hand of what only pipelines may write to, and records it. `comment` is what was said for it.
pub(super) async fn admit_import(
    (kind, state, comment): (RunKind, Option<&Path>, Option<&str>),
    (containers, target): (&[ContainerReference], &TargetReference),
    registries: &RegistryArguments,
    origin: &Origin,
) -> anyhow::Result<()> {
    if origin.is_pipeline() {
        return Ok(());
    }
    let names: std::io::Result<Vec<String>> = containers
        .iter()
        .map(|container| Ok(absolute_container(container)?.to_string()))
        .collect();
    let run = NewRun {
        kind,
        pipeline: None,
        trigger: origin.trigger.unwrap_or(Trigger::Manual),
        who: who().await,
        comment: comment.map(str::to_owned),
        container: Some(names?.join(" ")),
        target: Some(target.to_string()),
        bundle: None,
        set: None,
        inventory: None,
        sequence: None,
        link: origin.link(),
    };
    let attempt = Attempt { state, run: &run };
    registries.refuse_validated(target, attempt).await
}
