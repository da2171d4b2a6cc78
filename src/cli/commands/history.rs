//! `airlift history`: everything that is known of an artifact, on either side of the gap.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::config_args::ConfigArgument;
use crate::cli::configured::Trace;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::state_args::open_ledger;
use crate::cli::visible::note_on_hidden;
use crate::content::escape_control;
use crate::history::{AuditKind, HistoryOf, TimelineEvent};
use crate::oci::{Digest, Reference};

/// Tell what happened to an artifact: who brought it where, when and why
///
/// Exports, transfers, imports, promotions, rollbacks and refusals are joined by the artifact's digest, and carried
/// bundles by the digest of their inventory. A reference stands for every digest that it ever had. What happened before
/// a bundle came here is told by the bundle, and marked so.
///
/// Example: airlift history registry.local:5000/apps/web:1.4 --state /var/lib/airlift
#[derive(Args)]
pub(in crate::cli) struct HistoryArguments {
    /// `REGISTRY/REPOSITORY[:TAG]`, at the source or at the target, or the digest of an artifact
    #[arg(value_name = "REFERENCE|DIGEST", value_parser = parse_artifact)]
    artifact: HistoryOf,

    /// The state directory that remembers it
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,

    /// How many events are told, from the newest
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,

    #[command(flatten)]
    config: ConfigArgument,
}

fn parse_artifact(text: &str) -> Result<HistoryOf, String> {
    if let Ok(digest) = text.parse::<Digest>() {
        return Ok(HistoryOf::Digest(digest));
    }
    if text.starts_with("oci:") {
        return Ok(HistoryOf::Reference(text.to_owned()));
    }
    let expected = "expected `REGISTRY/REPOSITORY[:TAG]` or a digest";
    let parsed: Reference = text
        .parse()
        .map_err(|error| format!("{error}; {expected}"))?;
    Ok(match text.rsplit_once('@') {
        Some((_, digest)) => HistoryOf::Digest(digest.parse().map_err(|_| expected)?),
        None => HistoryOf::Reference(parsed.to_string()),
    })
}

pub(in crate::cli) async fn run(
    arguments: HistoryArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    let ledger = open_ledger(&arguments.state).await?;
    // What was tampered with tells nothing.
    ledger.check_audit(Vec::new()).await?;
    let mut events = ledger.find_history(&arguments.artifact).await?;
    let known = events.len();
    let visibility = arguments.config.visibility().await?;
    // What a bundle has told is of the pipelines of another side.
    events.retain(|event| event.number.is_none() || visibility.shows(Trace::of_event(event)));
    let hidden = known - events.len();
    let shown = show_artifact(&arguments.artifact);
    let total = events.len();
    let skipped = total.saturating_sub(usize::try_from(arguments.top)?);
    let events = &events[skipped..];
    let document = json!({
        "of": shown,
        "total": total,
        "hidden": hidden,
        "events": events.iter().map(document_of).collect::<Vec<Value>>(),
    });
    let text = match events.is_empty() {
        true => format!("nothing is known of {shown}"),
        false => events.iter().map(show).collect::<Vec<_>>().join("\n"),
    };
    output.print(&text, &document)?;
    if let Some(note) = note_on_hidden(hidden, "event").filter(|_| !output.is_json()) {
        Output::note(&note);
    }
    if skipped > 0 {
        Output::note(&format!(
            "these are the newest {} of {total} events; `--top N` shows more",
            events.len()
        ));
    }
    Ok(Exit::Done)
}

fn show_artifact(artifact: &HistoryOf) -> String {
    match artifact {
        HistoryOf::Digest(digest) => digest.to_string(),
        HistoryOf::Reference(reference) => reference.clone(),
    }
}

/// A line for when, what and who, and below it why, from where, in what, to where.
fn show(event: &TimelineEvent) -> String {
    let mut text = format!("{:.0}  {:<11}", event.time, event.kind.as_str());
    if let Some(who) = &event.who {
        text.push_str(&format!("  {}", escape_control(who)));
    }
    if let Some(pipeline) = &event.pipeline {
        text.push_str(&format!("  ({})", escape_control(pipeline)));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    for (label, value) in details(event) {
        text.push_str(&format!("  {label:<9} {}\n", escape_control(&value)));
    }
    text
}

fn details(event: &TimelineEvent) -> Vec<(&'static str, String)> {
    let short = |digest: &Digest| digest.short();
    let with_digest = |reference: &String| match &event.digest {
        Some(digest) if !reference.contains('@') => format!("{reference}  {}", short(digest)),
        _ => reference.clone(),
    };
    let is_export = event.kind == AuditKind::Exported;
    let of_artifact = |reference: &String, is_place: bool| match is_place {
        true => reference.clone(),
        false => with_digest(reference),
    };
    let known = [
        ("why", event.comment.clone()),
        (
            "from",
            event
                .source
                .as_ref()
                .map(|it| of_artifact(it, event.digest.is_none())),
        ),
        ("bundle", show_bundle(event)),
        (
            "to",
            event
                .target
                .as_ref()
                .map(|it| of_artifact(it, is_export || event.digest.is_none())),
        ),
        ("replaced", show_replaced(event)),
        ("reason", event.reason.clone()),
        (
            "told by",
            event
                .told_by
                .as_ref()
                .map(|it| format!("the bundle with the inventory {}", short(it))),
        ),
    ];
    let detail = |(label, value): (&'static str, Option<String>)| Some((label, value?));
    known.into_iter().filter_map(detail).collect()
}

fn show_bundle(event: &TimelineEvent) -> Option<String> {
    let mut text = event.bundle.clone()?;
    if let Some(sequence) = event.sequence {
        text.push_str(&format!(", sequence {sequence}"));
    }
    if let Some(inventory) = &event.inventory {
        text.push_str(&format!(", inventory {}", inventory.short()));
    }
    Some(text)
}

/// What the tag stood for before; where it stood for the same, that is told.
fn show_replaced(event: &TimelineEvent) -> Option<String> {
    let replaced = event.replaced.as_ref()?;
    if event.digest.as_ref() == Some(replaced) {
        return Some("nothing: it was there already".to_owned());
    }
    Some(match &event.rollback_tag {
        Some(tag) => format!("{}, which is kept as {tag}", replaced.short()),
        None => replaced.short(),
    })
}

fn document_of(event: &TimelineEvent) -> Value {
    json!({
        "time": event.time,
        "kind": event.kind,
        "number": event.number,
        "toldBy": event.told_by,
        "run": event.run,
        "who": event.who,
        "comment": event.comment,
        "trigger": event.trigger,
        "pipeline": event.pipeline,
        "source": event.source,
        "target": event.target,
        "digest": event.digest,
        "replaced": event.replaced,
        "rollbackTag": event.rollback_tag,
        "bundle": event.bundle,
        "inventory": event.inventory,
        "sequence": event.sequence,
        "reason": event.reason,
    })
}
