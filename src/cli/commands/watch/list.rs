//! `airlift watch list` and `airlift watch retry`: what watches did, and what they are to try again.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::{Output, table};
use crate::history::{Claim, ClaimState, Ledger};
use crate::pipeline::WorkKey;

#[derive(Args)]
pub(super) struct ListArguments {
    /// The state directory of the watch
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,
}

#[derive(Args)]
pub(super) struct RetryArguments {
    /// Bundles or objects, as `airlift watch list` calls them
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// The state directory of the watch
    #[arg(long, value_name = "DIR", env = "AIRLIFT_STATE")]
    state: PathBuf,
}

pub(super) async fn print_list(arguments: &ListArguments, output: Output) -> anyhow::Result<Exit> {
    let ledger = Ledger::open(&arguments.state).await?;
    let mut rows = vec![
        [
            "STATE",
            "NAME",
            "SINCE",
            "TRIES",
            "CONTAINER",
            "TARGET",
            "REASON",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut documents = Vec::new();
    for claim in ledger.list_claims().await? {
        if let Some(key) = WorkKey::parse(&claim.object) {
            rows.push(row_of(&key, &claim));
            documents.push(document_of(&key, &claim));
        }
    }
    output.print(&table(&rows), &json!({ "work": documents }))?;
    Ok(Exit::Done)
}

fn row_of(key: &WorkKey, claim: &Claim) -> Vec<String> {
    vec![
        claim.state.as_str().to_owned(),
        key.subject.clone(),
        format!("{:.0}", claim.offered),
        claim.attempts.to_string(),
        key.container.clone(),
        key.target.clone(),
        claim.reason.clone().unwrap_or_default(),
    ]
}

fn document_of(key: &WorkKey, claim: &Claim) -> Value {
    json!({
        "state": claim.state.as_str(),
        "name": key.subject,
        "identity": key.identity,
        "container": key.container,
        "target": key.target,
        "since": claim.offered.to_string(),
        "tries": claim.attempts,
        "nextTry": claim.next_try.to_string(),
        "holder": claim.holder,
        "decision": claim.decision,
        "reason": claim.reason,
        "run": claim.run.as_ref().map(ToString::to_string),
    })
}

pub(super) async fn bring_back(arguments: &RetryArguments, output: Output) -> anyhow::Result<Exit> {
    let ledger = Ledger::open(&arguments.state).await?;
    let mut revived = Vec::new();
    for claim in ledger.list_claims().await? {
        let Some(key) = WorkKey::parse(&claim.object) else {
            continue;
        };
        let is_named =
            arguments.names.contains(&key.subject) || arguments.names.contains(&key.identity);
        if is_named
            && claim.state == ClaimState::SetAside
            && ledger.retry(&claim.object, Timestamp::now()).await?
        {
            revived.push(key.subject);
        }
    }
    let unknown: Vec<&String> = arguments
        .names
        .iter()
        .filter(|name| !revived.contains(name))
        .collect();
    if revived.is_empty() {
        let names: Vec<&str> = unknown.iter().map(|name| name.as_str()).collect();
        let error = UsageError::new(format!(
            "nothing of the name `{}` was set aside",
            names.join("`, `")
        ))
        .hint("`airlift watch list` shows what was");
        return Err(error.into());
    }
    for name in unknown {
        Output::warn(&format!("nothing of the name `{name}` was set aside"));
    }
    let text = format!("brought back: {}", revived.join(", "));
    output.print(&text, &json!({ "broughtBack": revived }))?;
    Ok(Exit::Done)
}
