//! `airlift run`: runs a pipeline of the configuration file, once.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};
use jiff::Timestamp;

use super::watch::Supervision;
use super::{export, import, promote, transfer, watch};
use crate::cli::config_args::ConfigArgument;
use crate::cli::configured::{
    Configuration, ExportSection, ImportSection, Pipeline, PromotionSection, SectionKind, Settings,
    TransferSection, Words, expand_from,
};
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::origin::Origin;
use crate::cli::output::Output;
use crate::cli::permissions::{is_allowed, myself, show_people};
use crate::cli::refusal::Attempt;
use crate::cli::state_args::who;
use crate::config::find_near;
use crate::history::{Hold, Ledger, RunHold, Trigger};

/// Run a pipeline of the configuration file, once
///
/// What is said here holds for this run alone: other artifacts of the pipeline's registry, named bundles of its
/// container, a comment.
///
/// Example: airlift run export nightly --comment 'release 1.4'
#[derive(Args)]
pub(in crate::cli) struct RunArguments {
    /// Which kind of pipeline
    kind: KindArgument,

    /// The pipeline's name: `nightly` of `[export.nightly]`
    #[arg(value_name = "PIPELINE")]
    name: String,

    /// Of an export or a promotion: only these artifacts, as `references` names them; otherwise: only these bundles
    #[arg(value_name = "ARTIFACT|BUNDLE")]
    only: Vec<String>,

    /// Why this is done: `airlift runs show` tells it
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,

    /// Print what would be moved, to the byte, and move nothing
    #[arg(long)]
    dry_run: bool,

    /// Of an export: bring exactly what this list says was missing at the target
    #[arg(long, value_name = "FILE", conflicts_with = "only")]
    repair: Option<PathBuf>,

    #[command(flatten)]
    config: ConfigArgument,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindArgument {
    Export,
    Transfer,
    Import,
    Promotion,
}

impl RunArguments {
    /// A watch gives back what it has claimed when it is told to end.
    pub(in crate::cli) fn answers_signals(&self) -> bool {
        matches!(self.kind, KindArgument::Import) && !self.dry_run
    }
}

impl From<KindArgument> for SectionKind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::Export => Self::Export,
            KindArgument::Transfer => Self::Transfer,
            KindArgument::Import => Self::Import,
            KindArgument::Promotion => Self::Promotion,
        }
    }
}

/// What one run of a pipeline is asked beside what its section says.
#[derive(Default)]
pub(in crate::cli) struct Request {
    pub(in crate::cli) only: Vec<String>,
    pub(in crate::cli) dry_run: bool,
    /// The list of what was missing at the target, of which an export brings exactly that.
    pub(in crate::cli) repair: Option<PathBuf>,
    /// What `only` names is what it means, beside the pipeline's registry.
    pub(in crate::cli) is_exact: bool,
    /// Of a daemon that the run is a part of.
    pub(in crate::cli) supervision: Option<Supervision>,
}

pub(in crate::cli) async fn run(
    arguments: RunArguments,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    if arguments.repair.is_some() && !matches!(arguments.kind, KindArgument::Export) {
        return Err(UsageError::new("`--repair` is for export pipelines alone").into());
    }
    let configuration = arguments.config.require()?;
    let pipeline = find_pipeline(&configuration, arguments.kind.into(), &arguments.name)?;
    let request = Request {
        only: arguments.only,
        dry_run: arguments.dry_run,
        repair: arguments.repair,
        ..Request::default()
    };
    let origin = origin
        .clone()
        .of_pipeline(pipeline.title(), Trigger::Manual, arguments.comment)
        .naming(&request.only);
    refuse_others(&configuration, pipeline, &origin).await?;
    let hold = match arguments.dry_run {
        true => None,
        false => hold_run(&configuration, &pipeline.title()).await?,
    };
    let exit = start(&configuration, pipeline, request, &origin, output).await;
    drop(hold);
    exit
}

/// The right to run the pipeline, which one process has at a time. Without a state directory nothing tells.
pub(in crate::cli) async fn hold_run(
    configuration: &Configuration,
    title: &str,
) -> anyhow::Result<Option<(Ledger, Hold)>> {
    let Some(state) = &configuration.state else {
        return Ok(None);
    };
    let ledger = Ledger::open(state).await?;
    match ledger.try_hold_run_of(title, &name_holder("airlift run").await)? {
        RunHold::Ours(hold) => Ok(Some((ledger, hold))),
        RunHold::Theirs(holder) => {
            let error = UsageError::new(format!("`[{title}]` is being run already by {holder}"))
                .hint("`airlift runs` shows how far it is; `airlift runs cancel` stops it")
                .exit(Exit::Failed);
            Err(error.into())
        }
    }
}

/// Who has a pipeline, for those who want it too.
pub(in crate::cli) async fn name_holder(command: &str) -> String {
    let process = std::process::id();
    let now = Timestamp::now();
    format!(
        "{}, `{command}`, process {process}, since {now:.0}",
        who().await
    )
}

/// The pipeline of this name, or what was perhaps meant.
pub(in crate::cli) fn find_pipeline<'c>(
    configuration: &'c Configuration,
    kind: SectionKind,
    name: &str,
) -> anyhow::Result<&'c Pipeline> {
    if let Some(pipeline) = configuration.pipeline(kind, name) {
        return Ok(pipeline);
    }
    let path = configuration.path.display();
    let word = kind.word();
    let error = UsageError::new(format!("there is no `[{word}.{name}]` in {path}"));
    let of_kind = configuration.pipelines.iter();
    let names = of_kind.filter(|it| it.settings.kind() == kind);
    let error = match find_near(name, names.map(|it| it.name.as_str())) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`airlift config show` lists what there is"),
    };
    Err(error.into())
}

/// Refuses whoever is not on the pipeline's list, and records it.
pub(in crate::cli) async fn refuse_others(
    configuration: &Configuration,
    pipeline: &Pipeline,
    origin: &Origin,
) -> anyhow::Result<()> {
    let somebody = myself().await;
    let may_run = &pipeline.settings.keys().may_run;
    if is_allowed(&somebody, may_run) {
        return Ok(());
    }
    let title = pipeline.title();
    let user = somebody.user;
    let error = UsageError::new(format!("`{user}` may not run `[{title}]`"))
        .hint(format!("its `may-run` has {}", show_people(may_run)))
        .exit(Exit::Denied);
    let attempt = Attempt {
        state: None,
        run: &pipeline.refused_run(origin).await,
    };
    attempt.record(Some(configuration), &error).await;
    Err(error.into())
}

/// Runs the pipeline's command with the words of its section.
pub(in crate::cli) async fn start(
    configuration: &Configuration,
    pipeline: &Pipeline,
    request: Request,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    let mut words = pipeline.words.clone();
    if request.dry_run {
        words.flags.push("--dry-run".to_owned());
    }
    match &pipeline.settings {
        Settings::Export(section) => {
            if request.is_exact {
                words.plain.clone_from(&request.only);
            } else if !request.only.is_empty() {
                words.plain = name_artifacts(configuration, section, &request.only)?;
            }
            if let Some(missing) = &request.repair {
                words.flags.push(format!("--repair={}", missing.display()));
            }
            let section = ExportSection::try_parse_from(words.line())?;
            export::run(section.export, origin, output).await
        }
        Settings::Transfer(_) => {
            let bundles = request.only.iter();
            // It belongs to the source trigger.
            words.flags.retain(|flag| !flag.starts_with("--interval="));
            words
                .flags
                .extend(bundles.map(|name| format!("--bundle={name}")));
            let section = TransferSection::try_parse_from(words.line())?;
            transfer::run(section.transfer, origin, output).await
        }
        Settings::Import(_) if request.dry_run => {
            preview_import(&words, &request, origin, output).await
        }
        Settings::Promotion(section) => {
            if !request.only.is_empty() {
                let source = section.promotion.edge()?.source().to_string();
                let only = request.only.iter();
                let named = only.map(|text| expand_from(Some(configuration), &source, text));
                let named: Result<Vec<String>, String> = named.collect();
                words.plain = named.map_err(UsageError::new)?;
            }
            let section = PromotionSection::try_parse_from(words.line())?;
            promote::carry(section.promotion, origin, output).await
        }
        Settings::Import(_) => {
            words.flags.push("--once".to_owned());
            let bundles = request.only.iter();
            words
                .flags
                .extend(bundles.map(|name| format!("--bundle={name}")));
            let section = ImportSection::try_parse_from(words.line())?;
            match request.supervision {
                Some(supervision) => {
                    watch::run_supervised(section.watch, origin, output, supervision).await
                }
                None => watch::run(section.watch, origin, output).await,
            }
        }
    }
}

/// The artifacts of one run, in the registry of the pipeline.
fn name_artifacts(
    configuration: &Configuration,
    section: &ExportSection,
    only: &[String],
) -> anyhow::Result<Vec<String>> {
    let named = only.iter().map(|text| match &section.registry {
        Some(registry) => configuration.expand_below(registry, text),
        None => configuration.expand(text),
    });
    let named: Result<Vec<String>, String> = named.collect();
    named.map_err(|message| UsageError::new(message).into())
}

/// A watch has no dry run; an import with the same words has one.
async fn preview_import(
    words: &Words,
    request: &Request,
    origin: &Origin,
    output: Output,
) -> anyhow::Result<Exit> {
    let container = words.plain.first().cloned().unwrap_or_default();
    let words = Words {
        flags: words.flags.clone(),
        plain: match request.only.is_empty() {
            true => vec![container],
            false => request
                .only
                .iter()
                .map(|name| object_url(&container, name))
                .collect(),
        },
    };
    import::run(import_of(&words)?, origin, output).await
}

/// An import with the words of a watch.
pub(in crate::cli) fn import_of(words: &Words) -> anyhow::Result<import::ImportArguments> {
    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Import {
        #[command(flatten)]
        import: import::ImportArguments,
    }
    let grammar = <Import as clap::CommandFactory>::command();
    let is_known = |flag: &&String| {
        let name = flag.trim_start_matches("--");
        let name = name.split('=').next().unwrap_or_default();
        grammar
            .get_arguments()
            .any(|it| it.get_long() == Some(name))
    };
    let words = Words {
        flags: words.flags.iter().filter(is_known).cloned().collect(),
        plain: words.plain.clone(),
    };
    Ok(Import::try_parse_from(words.line())?.import)
}

/// A bundle in a container, as one would type it.
pub(in crate::cli) fn object_url(container: &str, name: &str) -> String {
    match container.split_once('?') {
        Some((before, query)) => format!("{}/{name}?{query}", before.trim_end_matches('/')),
        None => format!("{}/{name}", container.trim_end_matches('/')),
    }
}
