//! The state directory as an argument, and who is at work, for the ledger.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use crate::history::{Ledger, RunKind, Trigger};
use crate::pipeline::{ExportMemory, RememberedUploads, Remembrance, TargetReference};
use crate::storage::ContainerReference;

#[derive(Args)]
pub(super) struct StateArguments {
    /// Remember in this directory what was run and accepted, and let it decide what may be
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: Option<PathBuf>,
}

impl StateArguments {
    /// The ledger's part of an import by hand; without a state directory there is none.
    pub(super) async fn remember(
        &self,
        target: &TargetReference,
        lane: Option<&str>,
        container: String,
    ) -> anyhow::Result<Option<Remembrance>> {
        match &self.state {
            Some(directory) => Ok(Some(remember(directory, target, lane, &container).await?)),
            None => Ok(None),
        }
    }

    /// What the ledger knows of uploads into the container.
    pub(super) async fn remembered_uploads(
        &self,
        container: &ContainerReference,
    ) -> anyhow::Result<Option<RememberedUploads>> {
        let Some(directory) = self.state.as_ref().filter(|it| it.is_dir()) else {
            return Ok(None);
        };
        Ok(Some(RememberedUploads {
            ledger: Ledger::open(directory).await?,
            container: container.to_string(),
        }))
    }

    /// The ledger's part of an export by hand to `container`.
    pub(super) async fn remember_export(
        &self,
        container: String,
    ) -> anyhow::Result<Option<ExportMemory>> {
        let Some(directory) = &self.state else {
            return Ok(None);
        };
        Ok(Some(ExportMemory {
            ledger: Ledger::open(directory).await?,
            trigger: Trigger::Manual,
            who: who(),
            container,
            clock: Timestamp::now,
        }))
    }
}

/// Opens the ledger for imports by hand to `target`.
pub(super) async fn remember(
    directory: &Path,
    target: &TargetReference,
    lane: Option<&str>,
    container: &str,
) -> anyhow::Result<Remembrance> {
    Ok(Remembrance {
        ledger: Ledger::open(directory).await?,
        kind: RunKind::Import,
        trigger: Trigger::Manual,
        who: who(),
        lane: lane.map(str::to_owned),
        target: absolute(target)?.to_string(),
        container: Some(container.to_owned()),
        clock: Timestamp::now,
    })
}

/// The same layout is the same target wherever the command is run.
fn absolute(target: &TargetReference) -> std::io::Result<TargetReference> {
    match target {
        TargetReference::Layout { path } => Ok(TargetReference::Layout {
            path: std::path::absolute(path)?,
        }),
        TargetReference::Registry { .. } => Ok(target.clone()),
    }
}

/// Login name and user id. The name is what the environment says; the id is what counts.
fn who() -> String {
    let name = ["LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let id = rustix::process::getuid().as_raw();
    match name {
        Some(name) => format!("{name} ({id})"),
        None => id.to_string(),
    }
}
