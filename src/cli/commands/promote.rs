//! `airlift promote`: artifacts of one connected registry to another, along an allowed edge.

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::run::{Request, find_pipeline, hold_run, refuse_others, start};
use crate::cli::configured::{Configuration, SectionKind, expand_from, tell_edges};
use crate::cli::creation_args::CreationArguments;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::origin::Origin;
use crate::cli::output::Output;
use crate::cli::progress::Progress;
use crate::cli::promotion_report::{
    PromotionEnds, report_document, show_report, show_survey, survey_document,
};
use crate::cli::refusal::Attempt;
use crate::cli::registry_args::RegistryArguments;
use crate::cli::selection_args::SelectionArguments;
use crate::cli::selection_report::tell_selected;
use crate::cli::state_args::{StateArguments, open_for_selection, who};
use crate::content::{Error, Existing, OnError, ReferrerPolicy};
use crate::history::{Ledger, NewRun, RunId, Trigger};
use crate::oci::Platform;
use crate::pipeline::{
    Connections, InvalidEdge, InvalidSource, Place, PromotionEdge, PromotionMemory,
    PromotionOptions, PromotionPlan, PromotionReport, SourceReference, TargetReference,
    describe_promotion, plan_promotion, run_promotion, select, survey_promotion,
};
use crate::selection::RollbackTag;

#[expect(
    clippy::struct_excessive_bools,
    reason = "flags are what was typed, not decisions"
)]
/// Promote artifacts from one registry to the next, along an allowed edge
///
/// The same copy as an export and an import, without a bundle: tags are pinned to digests, everything is planned before
/// the first byte moves, signatures, SBOMs and attestations go along, and tags move last. The path below the source is
/// kept below the target, the digest stays, and so does the source.
///
/// Example: airlift promote apps/web:1.4 --to rc --comment 'tests have passed'
#[derive(Args)]
pub(in crate::cli) struct PromoteArguments {
    /// `NAME/REPOSITORY:TAG`, `HOST/REPOSITORY:TAG`, or what stands below the source; a digest or a glob in its place
    #[arg(value_name = "REFERENCE")]
    references: Vec<String>,

    /// The pipeline to promote by: `rc` of `[promotion.rc]` in the configuration file
    #[arg(long, value_name = "PIPELINE", conflicts_with_all = OF_PIPELINES)]
    to: Option<String>,

    /// Where an edge begins that no pipeline describes
    #[arg(long, value_name = "REGISTRY[/PREFIX]", value_parser = parse_end, required_unless_present = "to")]
    source: Option<TargetReference>,

    /// Where it ends
    #[arg(long, value_name = "REGISTRY[/PREFIX]", value_parser = parse_end, required_unless_present = "to")]
    target: Option<TargetReference>,

    /// Why this is done, which a person has to say: the history tells it
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,

    #[command(flatten)]
    state: StateArguments,

    /// What to do with a tag that is there already for other content
    #[arg(long, value_name = "POLICY", default_value = "overwrite")]
    existing: ExistingArgument,

    /// Give what an overwritten tag stood for this tag first, of `{tag}`, `{run}`, `{digest}` and `{date}`
    ///
    /// Example: --rollback-tag '{tag}-{run}'
    #[arg(long, value_name = "TEMPLATE")]
    rollback_tag: Option<RollbackTag>,

    #[command(flatten)]
    creation: CreationArguments,

    /// Carry only these platforms of an index, such as `linux/arm64`; the index stays as it is
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Vec<Platform>,

    /// Leave signatures, SBOMs and attestations behind
    #[arg(long)]
    no_referrers: bool,

    /// Promote what can be promoted, and exit with 3
    #[arg(long)]
    continue_on_errors: bool,

    /// Read everything back from the target afterwards
    #[arg(long)]
    check: bool,

    /// Print what would be moved, to the byte, and move nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    selection: SelectionArguments,

    #[command(flatten)]
    registries: RegistryArguments,
}

/// What a pipeline's section says, and nobody who promotes by it: how, from where, to where.
const OF_PIPELINES: [&str; 11] = [
    "source",
    "target",
    "existing",
    "rollback_tag",
    "platform",
    "no_referrers",
    "continue_on_errors",
    "check",
    "CreationArguments",
    "SelectionArguments",
    "ConnectionArguments",
];

#[derive(Clone, Copy, ValueEnum)]
enum ExistingArgument {
    Overwrite,
    /// The target's artifact stays
    Keep,
    /// Nothing is moved
    Fail,
}

fn parse_end(text: &str) -> Result<TargetReference, &'static str> {
    let expected = "expected `REGISTRY[/PREFIX]`, such as `registry.local:5000/apps`";
    match text.parse() {
        Ok(end @ TargetReference::Registry { .. }) => Ok(end),
        _ => Err(expected),
    }
}

/// What is typed: by a pipeline, or along an edge that is described here.
pub(in crate::cli) async fn run(
    arguments: PromoteArguments,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    let Some(name) = &arguments.to else {
        return carry(arguments, origin, output).await;
    };
    if arguments.references.is_empty() {
        let error = UsageError::new("nothing to promote: give references").hint(format!(
            "`airlift run promotion {name}` promotes what its section names"
        ));
        return Err(error.into());
    }
    let configuration = arguments.registries.config().require()?;
    let pipeline = find_pipeline(&configuration, SectionKind::Promotion, name)?;
    arguments
        .state
        .refuse_other(configuration.state.as_deref())?;
    let origin = origin
        .clone()
        .of_pipeline(pipeline.title(), Trigger::Manual, arguments.comment.clone())
        .naming(&arguments.references);
    refuse_others(&configuration, pipeline, &origin).await?;
    let hold = match arguments.dry_run {
        true => None,
        false => hold_run(&configuration, &pipeline.title()).await?,
    };
    let request = Request {
        only: arguments.references,
        dry_run: arguments.dry_run,
        ..Request::default()
    };
    let exit = start(&configuration, pipeline, request, &origin, output).await;
    drop(hold);
    exit
}

/// Promotes along the edge that the arguments describe.
pub(in crate::cli) async fn carry(
    arguments: PromoteArguments,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    let edge = arguments.edge()?;
    let creation = arguments.creation.build(edge.target())?;
    let (references, described) = arguments.admit(&edge, origin).await?;
    let memory = match arguments.dry_run {
        true => None,
        false => {
            arguments
                .state
                .remember_promotion(described, origin)
                .await?
        }
    };
    if memory.is_none() && !arguments.dry_run {
        Output::note("nothing of this is recorded: no state directory was given with `--state`");
    }
    let mut connections = arguments.registries.connect().await?;
    connections.set_creation(creation);
    let progress = Progress::new(output, "promoting", "content");
    let options = arguments.options(edge, &progress);
    let ends = PromotionEnds::of(&options.edge, origin.pipeline_name());
    let known = memory.as_ref().map(|it| &it.ledger);
    let planned = arguments
        .plan(&options, &references, (&connections, known))
        .await;
    if let (Err(error), Some(memory)) = (&planned, &memory)
        && let Some(error) = error.downcast_ref()
    {
        memory.record_failure(error).await?;
    }
    let Some(plan) = planned? else {
        if let Some(memory) = &memory {
            memory.record_nothing().await?;
        }
        output.print(
            "nothing selected, nothing promoted",
            &ends.nothing_document(),
        )?;
        return Ok(Exit::Done);
    };
    let target = connections.target(options.edge.target()).await?;
    if arguments.dry_run {
        let survey = survey_promotion(&plan, &target, &options).await?;
        progress.finish();
        let text = show_survey(&ends, &plan, &survey);
        output.print(&text, &survey_document(&ends, &plan, &survey))?;
        return Ok(exit_of(&plan, 0));
    }
    let promoted = promote(&plan, &target, options, memory.as_ref()).await;
    progress.finish();
    let (report, run) = promoted?;
    let text = show_report(&ends, &plan, &report);
    let document = report_document(&ends, &plan, (&report, run.as_ref()));
    output.print(&text, &document)?;
    Ok(exit_of(&plan, report.copy.failed()))
}

/// Carries the plan out, as a run where that is recorded.
async fn promote(
    plan: &PromotionPlan,
    target: &Place,
    options: PromotionOptions,
    memory: Option<&PromotionMemory>,
) -> Result<(PromotionReport, Option<RunId>), Error> {
    if let Some(memory) = memory {
        let (report, run) = memory.promote(plan, target, options).await?;
        return Ok((report, Some(run)));
    }
    let report = run_promotion(plan, target, &options, None).await?;
    Ok((report, None))
}

fn exit_of(plan: &PromotionPlan, failed: usize) -> Exit {
    match plan.failures.is_empty() && failed == 0 {
        true => Exit::Done,
        false => Exit::PartlyFailed,
    }
}

/// Contents that are pushed at once; large ones wait for room in the copy's window of memory.
const CONTENTS_IN_FLIGHT: usize = 16;

impl PromoteArguments {
    /// The edge; both ends are there where no pipeline is named.
    pub(in crate::cli) fn edge(&self) -> anyhow::Result<PromotionEdge> {
        let (Some(source), Some(target)) = (self.source.clone(), self.target.clone()) else {
            return Err(UsageError::new("`--source` or `--target` is missing").into());
        };
        let edge = PromotionEdge::new(source, target);
        edge.map_err(|error: InvalidEdge| UsageError::new(error.to_string()).into())
    }

    /// What is to be promoted, and how the run is described, where whoever asks may do it and has said why.
    async fn admit(
        &self,
        edge: &PromotionEdge,
        origin: &Origin,
    ) -> anyhow::Result<(Vec<SourceReference>, NewRun)> {
        let described = self.describe(edge, origin).await;
        let attempt = Attempt {
            state: self.state.directory(),
            run: &described,
        };
        if !origin.is_pipeline() {
            let validated = self.registries.refuse_validated(edge.target(), attempt);
            validated.await?;
        }
        self.check(origin)?;
        let configuration = self.registries.config().read()?;
        let references = self.references(configuration.as_deref(), edge)?;
        if let Err(refusal) = judge(configuration.as_deref(), edge, &references) {
            attempt.record(configuration.as_deref(), &refusal).await;
            return Err(refusal.into());
        }
        let unseen = self.registries.refuse_unseen(&references, origin, attempt);
        unseen.await?;
        Ok((references, described))
    }

    fn check(&self, origin: &Origin) -> anyhow::Result<()> {
        if self.references.is_empty() {
            let error = UsageError::new("nothing to promote: give references");
            let error = match origin.is_pipeline() {
                true => error.hint("the section of the pipeline has no `references`"),
                false => error,
            };
            return Err(error.into());
        }
        let is_person = origin.trigger != Some(Trigger::Schedule);
        let is_said = self.why(origin).is_some_and(|text| !text.trim().is_empty());
        if is_person && !is_said && !self.dry_run {
            let error = UsageError::new("a promotion needs a comment: why is this done?")
                .hint("say it with `--comment TEXT`; the history of the artifact tells it");
            return Err(error.into());
        }
        Ok(())
    }

    fn why(&self, origin: &Origin) -> Option<String> {
        self.comment.clone().or_else(|| origin.comment.clone())
    }

    pub(in crate::cli) fn references(
        &self,
        configuration: Option<&Configuration>,
        edge: &PromotionEdge,
    ) -> anyhow::Result<Vec<SourceReference>> {
        let source = edge.source().to_string();
        let references = self.references.iter().map(|text| {
            let expanded = expand_from(configuration, &source, text);
            let parsed = expanded.and_then(|text| {
                let parsed = text.parse();
                parsed.map_err(|error: InvalidSource| error.to_string())
            });
            parsed.map_err(|message| UsageError::new(message).into())
        });
        references.collect()
    }

    async fn describe(&self, edge: &PromotionEdge, origin: &Origin) -> NewRun {
        let ends = (edge.source().to_string(), edge.target().to_string());
        let trigger = origin.trigger.unwrap_or(Trigger::Manual);
        let author = (trigger, who().await, self.why(origin));
        let promotion = describe_promotion(ends, origin.pipeline_name(), author);
        NewRun {
            link: origin.link(),
            ..promotion
        }
    }

    fn options(&self, edge: PromotionEdge, progress: &Progress) -> PromotionOptions {
        PromotionOptions {
            edge,
            platforms: self.platform.clone(),
            referrers: match self.no_referrers {
                true => ReferrerPolicy::Leave,
                false => ReferrerPolicy::Carry,
            },
            on_error: match self.continue_on_errors {
                true => OnError::Continue,
                false => OnError::Stop,
            },
            existing: match self.existing {
                ExistingArgument::Overwrite => Existing::Overwrite,
                ExistingArgument::Keep => Existing::Keep,
                ExistingArgument::Fail => Existing::Fail,
            },
            rollback: self.rollback_tag.clone(),
            concurrency: CONTENTS_IN_FLIGHT,
            now: Timestamp::now(),
            events: progress.events(),
            read_back: self.check.then(|| progress.events_of("reading back")),
        }
    }

    async fn plan(
        &self,
        options: &PromotionOptions,
        references: &[SourceReference],
        (connections, known): (&Connections, Option<&Ledger>),
    ) -> anyhow::Result<Option<PromotionPlan>> {
        let (platforms, referrers) = (&options.platforms, options.referrers);
        let mut selection = self
            .selection
            .build(platforms, referrers, options.on_error)?;
        selection.memory = match known {
            Some(ledger) => Some(ledger.clone()),
            None => open_for_selection(self.state.directory(), &selection.rules).await?,
        };
        let selected = select(references, connections, &selection).await?;
        tell_selected(references, &selection, &selected.totals);
        Ok(plan_promotion(options, &selected).await?)
    }
}

/// Refuses what is outside the edge, and says which edges there are.
fn judge(
    configuration: Option<&Configuration>,
    edge: &PromotionEdge,
    references: &[SourceReference],
) -> Result<(), UsageError> {
    for reference in references {
        let Err(outside) = edge.check(reference) else {
            continue;
        };
        let message = format!("{outside}, so it cannot be promoted to `{}`", edge.target());
        let error = UsageError::new(message).exit(Exit::Denied);
        return Err(error.hint(tell_edges(configuration, reference)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::history::Interruption;

    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Line {
        #[command(flatten)]
        promote: PromoteArguments,
    }

    #[test]
    fn a_schedule_needs_no_comment_and_a_person_does() {
        let words = ["web:1", "--source", "dev.example", "--target", "rc.example"];
        let line = Line::try_parse_from(words).expect("a line");
        let title = || "promotion.rc".to_owned();
        let by = |trigger, comment: Option<&str>| {
            let origin = Origin::by_hand(&Interruption::default());
            let origin = origin.of_pipeline(title(), trigger, comment.map(str::to_owned));
            line.promote.check(&origin).is_ok()
        };
        assert!(by(Trigger::Schedule, None));
        assert!(!by(Trigger::Manual, None));
        assert!(!by(Trigger::Manual, Some(" ")));
        assert!(by(Trigger::Manual, Some("tested")));
    }
}
