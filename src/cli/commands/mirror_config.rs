//! `airlift mirror-config`: what makes clusters pull original names from the target of an import.

use clap::{Args, Parser, ValueEnum};
use serde_json::json;

use super::import::parse_target;
use super::run::find_pipeline;
use crate::cli::config_args::ConfigArgument;
use crate::cli::configured::{Configuration, SectionKind, Words};
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::mirror_formats::{MirrorFiles, Mirroring, Wire};
use crate::cli::output::Output;
use crate::cli::state_args::open_ledger;
use crate::oci::Reference;
use crate::pipeline::TargetReference;
use crate::selection::{RenameRule, RenameRules};

/// Print what makes clusters pull the original names from the target of an import
///
/// Images keep the names that deployments know; the container runtime looks for them at the target first. The rename
/// rules of the import decide where; those that no runtime understands are named, and the exit code is 3.
///
/// Example: airlift mirror-config mirror --format containerd --source docker.io --config airlift.toml
#[derive(Args)]
pub(in crate::cli) struct MirrorConfigArguments {
    /// An import pipeline: `mirror` of `[import.mirror]`; its target and its rename rules count
    #[arg(value_name = "PIPELINE", required_unless_present = "target", conflicts_with_all = ["target", "rename"])]
    pipeline: Option<String>,

    /// For whom it is printed
    #[arg(long, value_name = "FORMAT")]
    format: FormatArgument,

    /// The host of a source registry, such as `docker.io`; without it those that the pipeline has imported from
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_host)]
    source: Vec<String>,

    /// Without a pipeline: where imports deliver to, `REGISTRY[/PREFIX]`
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,

    /// Without a pipeline: the rename rules of the imports, in their order
    #[arg(long, value_name = "RULE")]
    rename: Vec<RenameRule>,

    /// The target speaks plain HTTP; loopback needs no flag
    #[arg(long)]
    plain_http: bool,

    #[command(flatten)]
    config: ConfigArgument,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatArgument {
    /// `hosts.toml`, one for each source registry
    Containerd,
    /// `registries.conf`, which CRI-O, skopeo and buildah read too
    Podman,
    /// Mirror sets of `OpenShift`; in other clusters the runtime of each node decides
    Kubernetes,
}

/// Where images are, and what they were called.
struct Delivered {
    target: TargetReference,
    renames: Vec<RenameRule>,
    wire: Wire,
}

pub(in crate::cli) async fn run(
    arguments: MirrorConfigArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    let (delivered, configuration) = match &arguments.pipeline {
        Some(name) => {
            let configuration = arguments.config.require()?;
            (of_pipeline(&configuration, name)?, Some(configuration))
        }
        None => (of_flags(&arguments)?, None),
    };
    let TargetReference::Registry { host, prefix } = &delivered.target else {
        let error = UsageError::new("a layout is no registry that a cluster can pull from");
        return Err(error.into());
    };
    let state = configuration.as_ref().and_then(|it| it.state.as_deref());
    let mut sources = arguments.source.clone();
    if let (true, Some(state)) = (sources.is_empty(), state) {
        let ledger = open_ledger(state).await?;
        sources = ledger
            .list_source_hosts(&delivered.target.to_string())
            .await?;
    }
    if sources.is_empty() {
        let error = UsageError::new("it is not known which registries the images came from")
            .hint("name them: `--source docker.io --source quay.io`");
        return Err(error.into());
    }
    let mirroring = Mirroring {
        sources,
        host: host.clone(),
        prefix: prefix.clone(),
        wire: match arguments.plain_http || is_loopback(host) {
            true => Wire::Plain,
            false => delivered.wire,
        },
        mirrored: RenameRules::new(delivered.renames).mirrored(),
    };
    let made = match arguments.format {
        FormatArgument::Containerd => mirroring.for_containerd()?,
        FormatArgument::Podman => mirroring.for_podman()?,
        FormatArgument::Kubernetes => mirroring.for_openshift(&set_name(&arguments)),
    };
    print(&made, output)
}

fn print(made: &MirrorFiles, output: Output) -> anyhow::Result<Exit> {
    let mut text = String::new();
    for file in &made.files {
        text.push_str(&format!("# {}\n{}\n", file.path, file.text));
    }
    let files = made.files.iter();
    let files = files.map(|file| json!({ "path": file.path, "text": file.text }));
    let document = json!({
        "files": files.collect::<Vec<_>>(),
        "leftOut": made.left_out,
    });
    output.print(&text, &document)?;
    for left_out in &made.left_out {
        Output::warn(left_out);
    }
    Ok(match made.left_out.is_empty() {
        true => Exit::Done,
        false => Exit::PartlyFailed,
    })
}

fn of_pipeline(configuration: &Configuration, name: &str) -> anyhow::Result<Delivered> {
    /// What counts of an import pipeline.
    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct Names {
        #[arg(long)]
        target: String,
        #[arg(long)]
        rename: Vec<RenameRule>,
    }
    let pipeline = find_pipeline(configuration, SectionKind::Import, name)?;
    let keep = |key: &str| {
        let values = pipeline.words.values_of(key);
        values
            .map(|value| format!("--{key}={value}"))
            .collect::<Vec<_>>()
    };
    let words = Words {
        flags: [keep("target"), keep("rename")].concat(),
        plain: Vec::new(),
    };
    let names = Names::try_parse_from(words.line())?;
    let target = parse_target(&names.target)?;
    let wire = match configuration.speaks_plain_http(&target) {
        true => Wire::Plain,
        false => Wire::Tls,
    };
    Ok(Delivered {
        target,
        renames: names.rename,
        wire,
    })
}

fn of_flags(arguments: &MirrorConfigArguments) -> anyhow::Result<Delivered> {
    Ok(Delivered {
        target: parse_target(arguments.target.as_deref().unwrap_or_default())?,
        renames: arguments.rename.clone(),
        wire: Wire::Tls,
    })
}

fn parse_host(text: &str) -> Result<String, String> {
    // The grammar of hosts is that of references; any repository serves to ask it.
    let parsed = format!("{text}/x").parse::<Reference>();
    match parsed {
        Ok(reference) if reference.registry == text => Ok(text.to_owned()),
        _ => {
            Err("expected the host of a registry, without `https://` and without a path".to_owned())
        }
    }
}

/// Clients of registries that are told of loopback speak TLS to it; we do not.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.starts_with("127.") || name == "[::1]"
}

/// A name that Kubernetes takes.
fn set_name(arguments: &MirrorConfigArguments) -> String {
    match &arguments.pipeline {
        Some(name) => {
            let name = name.replace(['_', '.'], "-");
            format!("airlift-{}", name.trim_end_matches('-'))
        }
        None => "airlift".to_owned(),
    }
}
