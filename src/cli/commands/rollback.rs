//! `airlift rollback`: an overwritten tag is put back.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use crate::cli::configured::Pipeline;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::Output;
use crate::cli::permissions::{is_allowed, myself, show_people};
use crate::cli::refusal::Attempt;
use crate::cli::registry_args::RegistryArguments;
use crate::cli::state_args::{absolute, open_ledger, who};
use crate::oci::{Pin, Repository, Tag};
use crate::pipeline::{
    RollbackAuthor, RollbackPlan, RollbackRequest, SourceReference, TargetReference,
    describe_rollback, plan_rollback, run_rollback,
};

/// Put a tag that an import has overwritten back to what it was before
///
/// What it was is known from the state directory, and must still be at the target. Again, it goes one step further
/// back; `--to` goes anywhere. The next bundle that brings the tag moves it on. In a registry that is `validated` it
/// takes somebody who may run a pipeline that writes there.
///
/// Example: airlift rollback registry.local:5000/mirror/apps/web:1.4 --state /var/lib/airlift --comment 'login broken'
#[derive(Args)]
pub(in crate::cli) struct RollbackArguments {
    /// The tag at the target: `REGISTRY/REPOSITORY:TAG` or `oci:DIR:REPOSITORY:TAG`
    #[arg(value_name = "REFERENCE", value_parser = parse_reference)]
    reference: SourceReference,

    /// Put it to this tag or digest of the same repository, whatever it was before
    #[arg(long, value_name = "TAG|DIGEST", value_parser = parse_pin)]
    to: Option<Pin>,

    /// The state directory of the imports
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,

    /// Why this is done: the history tells it
    #[arg(long, value_name = "TEXT")]
    comment: String,

    /// Print from what to what it would go, and do nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    registries: RegistryArguments,
}

pub(in crate::cli) async fn run(
    arguments: RollbackArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    let request = request_of(&arguments)?;
    arguments.refuse_strangers(&request).await?;
    let ledger = open_ledger(&arguments.state).await?;
    let connections = arguments.registries.connect().await?;
    let Some(place) = connections.existing_target(&request.target).await? else {
        let error = UsageError::new(format!("there is no layout at `{}`", request.target));
        return Err(error.into());
    };
    let plan = plan_rollback(request, &place, &ledger).await?;
    let mut run = None;
    if !arguments.dry_run {
        let author = RollbackAuthor {
            who: who().await,
            comment: arguments.comment.clone(),
            clock: Timestamp::now,
        };
        run = Some(run_rollback(&plan, &place, &ledger, &author).await?);
    }
    let document = json!({
        "reference": plan.request.reference(),
        "from": plan.from,
        "to": plan.to,
        "undoes": plan.undoes.as_ref().map(ToString::to_string),
        "unchanged": plan.is_unchanged(),
        "dryRun": arguments.dry_run,
        "run": run.map(|run| run.to_string()),
    });
    output.print(&show(&plan), &document)?;
    Ok(Exit::Done)
}

impl RollbackArguments {
    /// Where only pipelines may write, a tag is put back by those who may run one that writes there. A refusal is
    /// recorded.
    async fn refuse_strangers(&self, request: &RollbackRequest) -> anyhow::Result<()> {
        let Some(configuration) = self.registries.config().read()? else {
            return Ok(());
        };
        let TargetReference::Registry { host, .. } = &request.target else {
            return Ok(());
        };
        let repository = TargetReference::Registry {
            host: host.clone(),
            prefix: Some(request.repository.clone()),
        };
        let Some(validated) = configuration.find_validated(&repository) else {
            return Ok(());
        };
        let name = repository.to_string();
        let writers: Vec<&Pipeline> = configuration.find_writers(&name).collect();
        let somebody = myself().await;
        let may_run = |it: &&Pipeline| is_allowed(&somebody, &it.settings.keys().may_run);
        if writers.iter().any(may_run) {
            return Ok(());
        }
        let refusal = UsageError::new(format!(
            "`{}` may not put `{}` back: `[registry.{}]` takes content only through pipelines, and they may run none \
             that writes there",
            somebody.user,
            request.reference(),
            validated.name
        ))
        .hint(show_writers(&writers))
        .exit(Exit::Denied);
        let author = (who().await, self.comment.clone());
        let attempt = Attempt {
            state: Some(&self.state),
            run: &describe_rollback(request.reference(), author),
        };
        attempt.record(Some(&configuration), &refusal).await;
        Err(refusal.into())
    }
}

fn show_writers(writers: &[&Pipeline]) -> String {
    let shown = |it: &&Pipeline| {
        let people = show_people(&it.settings.keys().may_run);
        format!("`may-run` of `[{}]` has {people}", it.title())
    };
    let shown: Vec<String> = writers.iter().map(shown).collect();
    match shown.is_empty() {
        true => "no pipeline of the configuration file writes there".to_owned(),
        false => shown.join(", "),
    }
}

fn show(plan: &RollbackPlan) -> String {
    let from = match &plan.from {
        Some(digest) => digest.to_string(),
        None => "nothing".to_owned(),
    };
    let mut text = format!(
        "{}\n  from {from}\n  to   {}\n",
        plan.request.reference(),
        plan.to
    );
    if plan.is_unchanged() {
        text.push_str("  it is there already\n");
    }
    if let Some(run) = &plan.undoes {
        text.push_str(&format!("  what goes came with the run {run}\n"));
    }
    text
}

fn parse_reference(text: &str) -> Result<SourceReference, String> {
    text.parse()
        .map_err(|error: crate::pipeline::InvalidSource| error.to_string())
}

fn parse_pin(text: &str) -> Result<Pin, String> {
    if text.contains(':') {
        let digest = text.parse().map(Pin::Digest);
        return digest.map_err(|error: crate::oci::InvalidDigest| error.to_string());
    }
    let tag = text.parse().map(Pin::Tag);
    tag.map_err(|error: crate::oci::InvalidReference| error.to_string())
}

fn request_of(arguments: &RollbackArguments) -> anyhow::Result<RollbackRequest> {
    let (target, repository, tag) = tag_of(&arguments.reference).ok_or_else(|| {
        UsageError::new("what is to be put back is no tag")
            .hint("expected `REGISTRY/REPOSITORY:TAG` or `oci:DIR:REPOSITORY:TAG`")
    })?;
    Ok(RollbackRequest {
        target: absolute(&target)?,
        repository,
        tag,
        to: arguments.to.clone(),
    })
}

fn tag_of(reference: &SourceReference) -> Option<(TargetReference, Repository, Tag)> {
    match reference {
        SourceReference::Registry(reference) if reference.digest.is_none() => {
            let target = TargetReference::Registry {
                host: reference.registry.clone(),
                prefix: None,
            };
            let tag = reference.tag.clone()?;
            Some((target, reference.repository.clone(), tag))
        }
        SourceReference::Layout { path, name } => {
            let (repository, tag) = name.as_deref()?.rsplit_once(':')?;
            let target = TargetReference::Layout { path: path.clone() };
            Some((target, repository.parse().ok()?, tag.parse().ok()?))
        }
        SourceReference::Registry(_) | SourceReference::Glob { .. } => None,
    }
}
