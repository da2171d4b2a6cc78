//! The kinds of sections of the configuration file. Each is a grammar of flags: its keys *are* long flags.
//!
//! A pipeline's section has the flags of the command that runs it, without those that only make sense at a terminal,
//! and besides what only a pipeline has. So there is one vocabulary, one parser and one help for both.
//! Specification: design.md, section 5.

use clap::{ArgAction, Args, CommandFactory, Parser};

use crate::cli::commands::export::ExportArguments;
use crate::cli::commands::promote::PromoteArguments;
use crate::cli::commands::transfer::TransferArguments;
use crate::cli::commands::watch::WatchArguments;
use crate::cli::permissions::Person;
use crate::cli::registry_args::ConnectionArguments;
use crate::config::SecretReference;
use crate::pipeline::DEFAULT_ZONE;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum SectionKind {
    Registry,
    Container,
    Export,
    Transfer,
    Import,
    Promotion,
}

/// A registry, or the part of it below a prefix
#[derive(Parser)]
#[command(no_binary_name = true)]
pub(in crate::cli) struct RegistrySection {
    /// The registry's host, and the prefix of the repositories that are meant
    #[arg(long, value_name = "HOST[:PORT][/PREFIX]", required = true)]
    pub(in crate::cli) address: String,

    /// The user to log in as, with `password`; without them `credentials` says who
    #[arg(long, value_name = "NAME", requires = "password")]
    pub(in crate::cli) username: Option<String>,

    /// Where the password or token is: `env:NAME`, `file:PATH`, `exec:PROGRAM …`, `azure-key-vault:…`
    #[arg(long, value_name = "SECRET", requires = "username")]
    pub(in crate::cli) password: Option<SecretReference>,

    /// Takes content only through pipelines of this file
    #[arg(long)]
    pub(in crate::cli) validated: bool,

    /// Users, and groups as `@NAME`, who may look at it and promote from it; everybody where it is left out
    #[arg(long, value_name = "USER|@GROUP")]
    pub(in crate::cli) may_view: Vec<Person>,

    #[command(flatten)]
    pub(in crate::cli) connection: ConnectionArguments,
}

/// A storage container
#[derive(Parser)]
#[command(no_binary_name = true)]
pub(in crate::cli) struct ContainerSection {
    /// A directory, `https://ACCOUNT.blob.core.windows.net/CONTAINER`, `s3://BUCKET[/PREFIX]`, `gs://…`
    #[arg(long, value_name = "DIR|URL", required = true)]
    pub(in crate::cli) url: String,

    /// Where the SAS, account key or key pair is: `env:NAME`, `file:PATH`, `exec:PROGRAM …`, `azure-key-vault:…`
    #[arg(long, value_name = "SECRET")]
    pub(in crate::cli) credential: Option<SecretReference>,

    /// The service's URL, for `s3:` and `gs:`
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) endpoint: Option<String>,

    /// Where the bucket's name stands in a request, for `s3:`
    #[arg(long, value_name = "STYLE", value_parser = ["path", "virtual"])]
    pub(in crate::cli) style: Option<String>,

    /// The region, for `s3:`
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) region: Option<String>,
}

/// What every pipeline has beside the flags of its command.
#[derive(Args)]
pub(in crate::cli) struct PipelineKeys {
    /// When `airlift serve` runs it by itself: minute, hour, day of the month, month, day of the week
    #[arg(long, value_name = "CRON")]
    pub(in crate::cli) schedule: Option<String>,

    /// The time zone of the schedule, such as `Europe/Berlin`
    #[arg(long, value_name = "ZONE", default_value = DEFAULT_ZONE, requires = "schedule")]
    pub(in crate::cli) time_zone: String,

    /// Users, and groups as `@NAME`, who may run it; everybody where it is left out
    #[arg(long, value_name = "USER|@GROUP")]
    pub(in crate::cli) may_run: Vec<Person>,

    /// Users, and groups as `@NAME`, who may look at its runs; everybody where it is left out
    #[arg(long, value_name = "USER|@GROUP")]
    pub(in crate::cli) may_view: Vec<Person>,
}

/// An export pipeline: artifacts of a registry into bundles of a container
#[derive(Parser)]
#[command(no_binary_name = true)]
pub(in crate::cli) struct ExportSection {
    /// The registry that `references` are in, by its name in this file; without it each names its own
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) registry: Option<String>,

    #[command(flatten)]
    pub(in crate::cli) keys: PipelineKeys,

    #[command(flatten)]
    pub(in crate::cli) export: ExportArguments,
}

/// A transfer pipeline: bundles from one container to another
#[derive(Parser)]
#[command(no_binary_name = true)]
pub(in crate::cli) struct TransferSection {
    /// Whether `airlift serve` looks at the source again and again, and copies what has come
    #[arg(long, conflicts_with = "schedule")]
    pub(in crate::cli) source_trigger: bool,

    #[command(flatten)]
    pub(in crate::cli) keys: PipelineKeys,

    #[command(flatten)]
    pub(in crate::cli) transfer: TransferArguments,
}

/// An import pipeline: bundles of a container into a registry
#[derive(Parser)]
#[command(no_binary_name = true)]
pub(in crate::cli) struct ImportSection {
    /// Whether `airlift serve` imports a bundle as soon as it appears; without it the schedule or a person does
    #[arg(long, value_name = "BOOLEAN", default_value_t = true, action = ArgAction::Set)]
    pub(in crate::cli) source_trigger: bool,

    /// Other pipelines that may write the same tags; whichever runs last decides
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) shares_tags_with: Vec<String>,

    #[command(flatten)]
    pub(in crate::cli) keys: PipelineKeys,

    #[command(flatten)]
    pub(in crate::cli) watch: WatchArguments,
}

/// A promotion pipeline: artifacts of one connected registry to another
#[derive(Parser)]
#[command(no_binary_name = true)]
pub(in crate::cli) struct PromotionSection {
    /// Other pipelines that may write the same tags; whichever runs last decides
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) shares_tags_with: Vec<String>,

    #[command(flatten)]
    pub(in crate::cli) keys: PipelineKeys,

    #[command(flatten)]
    pub(in crate::cli) promotion: PromoteArguments,
}

impl SectionKind {
    pub(in crate::cli) const ALL: [Self; 6] = [
        Self::Registry,
        Self::Container,
        Self::Export,
        Self::Transfer,
        Self::Import,
        Self::Promotion,
    ];

    /// The first word of the section's head.
    pub(in crate::cli) fn word(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Container => "container",
            Self::Export => "export",
            Self::Transfer => "transfer",
            Self::Import => "import",
            Self::Promotion => "promotion",
        }
    }

    pub(in crate::cli) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    pub(in crate::cli) fn is_pipeline(self) -> bool {
        !matches!(self, Self::Registry | Self::Container)
    }

    /// The flags of the section, as the parser has them.
    pub(in crate::cli) fn grammar(self) -> clap::Command {
        let mut grammar = match self {
            Self::Registry => RegistrySection::command(),
            Self::Container => ContainerSection::command(),
            Self::Export => ExportSection::command(),
            Self::Transfer => TransferSection::command(),
            Self::Import => ImportSection::command(),
            Self::Promotion => PromotionSection::command(),
        };
        // Only then it is known which argument stands where.
        grammar.build();
        grammar
    }

    /// The keys of the section.
    pub(in crate::cli) fn keys(self) -> Vec<Key> {
        let grammar = self.grammar();
        let keys = grammar.get_arguments().filter_map(|argument| {
            let name = key_of(argument);
            let is_left_out = match argument.get_help_heading() {
                Some("Registries") if self.is_pipeline() => true,
                _ => LEFT_OUT.contains(&name.as_str()) || self.leaves_out(&name),
            };
            (!is_left_out).then(|| Key {
                name,
                argument: argument.clone(),
            })
        });
        keys.collect()
    }

    /// What the file says once for all pipelines, or what another key says.
    fn leaves_out(self, key: &str) -> bool {
        match self {
            // The pipeline is called as its section is; where to go on and what to repair is asked once.
            Self::Export => ["pipeline", "sequence", "repair"].contains(&key),
            Self::Transfer => key == "watch",
            Self::Import => ["once", "health"].contains(&key),
            Self::Promotion => key == "to",
            Self::Registry | Self::Container => false,
        }
    }
}

/// Flags that are for a terminal, or that the file has once, above all sections.
const LEFT_OUT: [&str; 6] = ["help", "version", "dry-run", "state", "comment", "config"];

/// One key that a section may have.
pub(in crate::cli) struct Key {
    pub(in crate::cli) name: String,
    pub(in crate::cli) argument: clap::Arg,
}

/// The long flag, or the word for what stands without one.
pub(in crate::cli) fn key_of(argument: &clap::Arg) -> String {
    match argument.get_long() {
        Some(long) => long.to_owned(),
        None => argument.get_id().as_str().replace('_', "-"),
    }
}
