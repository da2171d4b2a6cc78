//! The state directory as an argument, and who is at work, for the ledger.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::failure::UsageError;
use super::origin::Origin;
use crate::config::login_name;
use crate::history::{Ledger, NewRun, RunKind, Trigger};
use crate::pipeline::{
    ExportMemory, PromotionMemory, RememberedUploads, Remembrance, TargetReference, TransferMemory,
    upload_place,
};
use crate::selection::Rules;
use crate::storage::ContainerReference;

#[derive(Args)]
pub(super) struct StateArguments {
    /// Remember in this directory what was run and accepted, and let it decide what may be
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: Option<PathBuf>,
}

/// Why something is done, for those who look at it later.
#[derive(Args)]
pub(super) struct CommentArgument {
    /// Why this is done: `airlift runs show` tells it
    #[arg(long, value_name = "TEXT", requires = "state")]
    pub(super) comment: Option<String>,
}

impl StateArguments {
    /// The ledger's part of an import by hand; without a state directory there is none.
    pub(super) async fn remember(
        &self,
        lane: (&TargetReference, Option<&str>),
        (containers, comment): (&[ContainerReference], &CommentArgument),
        origin: &Origin,
    ) -> anyhow::Result<Option<Remembrance>> {
        let Some(directory) = &self.state else {
            return Ok(None);
        };
        let memory = remember(directory, lane, containers, origin).await?;
        let comment = comment.comment.clone().or(memory.comment);
        Ok(Some(Remembrance {
            ledger: memory.ledger.ended_by(&origin.interruption),
            comment,
            ..memory
        }))
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    /// Refuses another directory than that of the configuration file, which a pipeline remembers in.
    pub(super) fn refuse_other(&self, of_file: Option<&Path>) -> anyhow::Result<()> {
        let Some(given) = &self.state else {
            return Ok(());
        };
        if of_file == std::path::absolute(given).ok().as_deref() {
            return Ok(());
        }
        let shown = given.display();
        let error = UsageError::new(format!(
            "`--state` or `AIRLIFT_STATE` says `{shown}`, and the configuration file says otherwise"
        ))
        .hint("a pipeline remembers its runs where its file says: leave `--state` out");
        Err(error.into())
    }

    /// The ledger's part of a promotion; without a state directory there is none.
    pub(super) async fn remember_promotion(
        &self,
        run: NewRun,
        origin: &Origin,
    ) -> anyhow::Result<Option<PromotionMemory>> {
        let Some(directory) = &self.state else {
            return Ok(None);
        };
        Ok(Some(PromotionMemory {
            ledger: Ledger::open(directory)
                .await?
                .ended_by(&origin.interruption),
            run,
            clock: Timestamp::now,
        }))
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
            container: upload_place(&absolute_container(container)?),
        }))
    }

    /// The ledger's part of an export by hand to `container`.
    pub(super) async fn remember_export(
        &self,
        container: &ContainerReference,
        comment: &CommentArgument,
        origin: &Origin,
    ) -> anyhow::Result<Option<ExportMemory>> {
        let Some(directory) = &self.state else {
            return Ok(None);
        };
        let container = absolute_container(container)?;
        Ok(Some(ExportMemory {
            ledger: Ledger::open(directory)
                .await?
                .ended_by(&origin.interruption),
            trigger: origin.trigger.unwrap_or(Trigger::Manual),
            who: who().await,
            comment: comment.comment.clone().or_else(|| origin.comment.clone()),
            container: container.to_string(),
            upload_place: upload_place(&container),
            link: origin.link(),
            clock: Timestamp::now,
        }))
    }

    /// The ledger's part of a transfer between two containers.
    pub(super) async fn remember_transfer(
        &self,
        (source, target): (&ContainerReference, &ContainerReference),
        (trigger, comment): (Trigger, &CommentArgument),
        origin: &Origin,
    ) -> anyhow::Result<Option<TransferMemory>> {
        let Some(directory) = &self.state else {
            return Ok(None);
        };
        Ok(Some(TransferMemory {
            ledger: Ledger::open(directory)
                .await?
                .ended_by(&origin.interruption),
            trigger: origin.trigger.unwrap_or(trigger),
            who: who().await,
            comment: comment.comment.clone().or_else(|| origin.comment.clone()),
            source: absolute_container(source)?.to_string(),
            target: absolute_container(target)?.to_string(),
            link: origin.link(),
            clock: Timestamp::now,
        }))
    }
}

/// Opens the ledger for imports to `target`.
pub(super) async fn remember(
    directory: &Path,
    (target, lane): (&TargetReference, Option<&str>),
    containers: &[ContainerReference],
    origin: &Origin,
) -> anyhow::Result<Remembrance> {
    let mut names = Vec::new();
    for container in containers {
        names.push(absolute_container(container)?.to_string());
    }
    Ok(Remembrance {
        ledger: Ledger::open(directory).await?,
        kind: RunKind::Import,
        trigger: origin.trigger.unwrap_or(Trigger::Manual),
        who: who().await,
        comment: origin.comment.clone(),
        lane: lane.map(str::to_owned),
        target: absolute(target)?.to_string(),
        container: Some(names.join(" ")),
        link: origin.link(),
        receipts: None,
        clock: Timestamp::now,
    })
}

/// Opens a ledger to look at it; none is made where there is none.
pub(super) async fn open_ledger(directory: &Path) -> anyhow::Result<Ledger> {
    if !directory.join("ledger.db").is_file() {
        let shown = directory.display();
        let error = UsageError::new(format!("there is no ledger in `{shown}`"))
            .hint("give the `--state` that exports, imports and watches were given");
        return Err(error.into());
    }
    Ok(Ledger::open(directory).await?)
}

/// Opens the ledger that a selection asks and that keeps what it learns: where there is one, or where rules have to
/// know more than names, so that there is something to keep.
pub(super) async fn open_for_selection(
    directory: Option<&Path>,
    rules: &Rules,
) -> anyhow::Result<Option<Ledger>> {
    let is_worth_it = |it: &&Path| rules.need_facts() || it.join("ledger.db").is_file();
    match directory.filter(is_worth_it) {
        Some(directory) => Ok(Some(Ledger::open(directory).await?)),
        None => Ok(None),
    }
}

/// The same layout is the same target wherever the command is run.
pub(super) fn absolute(target: &TargetReference) -> std::io::Result<TargetReference> {
    match target {
        TargetReference::Layout { path } => Ok(TargetReference::Layout {
            path: std::path::absolute(path)?,
        }),
        TargetReference::Registry { .. } => Ok(target.clone()),
    }
}

/// The same directory is the same container wherever the command is run.
pub(super) fn absolute_container(
    reference: &ContainerReference,
) -> std::io::Result<ContainerReference> {
    match reference {
        ContainerReference::Directory(path) => {
            Ok(ContainerReference::from(&*std::path::absolute(path)?))
        }
        other => Ok(other.clone()),
    }
}

/// Login name and user id, as the operating system has them: the environment may say anything. Who called `sudo`
/// is known from the environment alone, and so is left out.
pub(super) async fn who() -> String {
    let id = rustix::process::getuid().as_raw();
    match login_name(id).await {
        Some(name) => format!("{name} ({id})"),
        None => id.to_string(),
    }
}
