//! `airlift sas show`: what a signature allows, and what it is not enough for. It never shows the signature.

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::{Output, table};
use crate::config::{SecretReference, resolve_secret};
use crate::storage::Purpose;
use crate::storage::sas::{Gap, SasToken, missing_for};

/// The uses that are judged, by the names that people know them by.
const USES: [(&str, Purpose); 5] = [
    ("export", Purpose::Export),
    ("transfer from", Purpose::TransferSource),
    ("transfer to", Purpose::TransferTarget),
    ("import", Purpose::Import),
    ("delete source", Purpose::DeleteSource),
];
const INPUT_SIZE_MAX_BYTES: u64 = 64 << 10;

#[derive(Args)]
pub(super) struct ShowArguments {
    /// A URL, the name of a secret such as `env:DROP_SAS` or `file:PATH`, or `-` for standard input
    #[arg(value_name = "URL|SECRET|-")]
    place: String,
}

/// A signature, and the URL that it came with.
struct Given {
    sas: SecretString,
    url: Option<Url>,
}

pub(super) async fn run(arguments: ShowArguments, output: Output) -> anyhow::Result<Exit> {
    let given = read(&arguments.place).await?;
    let token = SasToken::parse(&given.sas).context("this is no shared access signature")?;
    let now = Timestamp::now();
    let judged =
        USES.map(|(name, purpose)| (name, missing_for(&token, purpose, given.url.as_ref(), now)));
    let url = given.url.as_ref().map(ToString::to_string);
    let mut rows = describe(&token, url.as_deref());
    rows.push(Vec::new());
    rows.extend(
        judged
            .iter()
            .map(|(name, gaps)| vec![(*name).to_owned(), verdict(gaps)]),
    );
    output.print(&table(&rows), &document(&token, url.as_deref(), &judged))?;
    Ok(Exit::Done)
}

async fn read(place: &str) -> anyhow::Result<Given> {
    if place == "-" {
        return Ok(split(&read_input()?));
    }
    if let Ok(reference) = place.parse::<SecretReference>() {
        return Ok(split(&reference.resolve().await?));
    }
    let typed = SecretString::from(place.to_owned());
    let mut given = split(&typed);
    let credential = Url::parse(place).ok().and_then(|url| {
        let pair = url.query_pairs().find(|(key, _)| key == "credential");
        pair.map(|(_, reference)| reference.into_owned())
    });
    if let Some(reference) = credential {
        given.sas = split(&resolve_secret(&reference).await?).sas;
        return Ok(given);
    }
    if !SasToken::is_likely(&given.sas) {
        let error = UsageError::new("this is no shared access signature, and names none")
            .hint("expected a URL with `?sv=…`, `env:NAME`, `file:PATH`, or `-`");
        return Err(error.into());
    }
    Output::warn(
        "what was typed can be seen by everybody on this machine; use `env:NAME`, `file:PATH` or `-`",
    );
    Ok(given)
}

fn read_input() -> anyhow::Result<SecretString> {
    use std::io::Read;
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(INPUT_SIZE_MAX_BYTES);
    input
        .read_to_string(&mut text)
        .context("cannot read standard input")?;
    Ok(SecretString::from(text))
}

/// The query of a URL, or the whole of what is no URL.
fn split(secret: &SecretString) -> Given {
    let text = secret.expose_secret().trim();
    let parsed = Url::parse(text).ok();
    let url = parsed.filter(|url| matches!(url.scheme(), "http" | "https"));
    let query = match (&url, text.split_once('?')) {
        (Some(_), Some((_, query))) => query,
        (Some(_), None) => "",
        (None, _) => text,
    };
    let bare = url.map(|mut url| {
        url.set_query(None);
        url.set_fragment(None);
        // Who puts a password there does not see it shown either.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        url
    });
    Given {
        sas: SecretString::from(query.to_owned()),
        url: bare,
    }
}

fn describe(token: &SasToken, url: Option<&str>) -> Vec<Vec<String>> {
    let allowed = match &token.permissions {
        None => "what its stored policy says".to_owned(),
        Some(none) if none.is_empty() => "nothing that is known".to_owned(),
        Some(some) => format!("{} ({some})", some.words()),
    };
    let by_policy = |time: Option<Timestamp>, otherwise: &str| match (time, &token.policy) {
        (Some(time), _) => time.to_string(),
        (None, Some(_)) => "what its stored policy says".to_owned(),
        (None, None) => otherwise.to_owned(),
    };
    let pairs = [
        ("url", url.map(str::to_owned)),
        ("for", Some(token.scope.to_string())),
        ("signed by", Some(token.signer.to_string())),
        ("allows", Some(allowed)),
        ("from", Some(by_policy(token.start, "at once"))),
        ("until", Some(by_policy(token.ends(), "no end"))),
        ("protocols", Some(token.protocols.to_string())),
        (
            "addresses",
            Some(token.ip.clone().unwrap_or_else(|| "any".to_owned())),
        ),
        ("stored policy", token.policy.clone()),
        ("version", Some(token.version.clone())),
    ];
    let told = pairs
        .into_iter()
        .filter_map(|(name, value)| Some(vec![name.to_owned(), value?]));
    told.collect()
}

fn verdict(gaps: &[Gap]) -> String {
    if gaps.is_empty() {
        return "yes".to_owned();
    }
    let gaps: Vec<String> = gaps.iter().map(ToString::to_string).collect();
    format!("no: it {}", gaps.join("; it "))
}

fn document(token: &SasToken, url: Option<&str>, judged: &[(&str, Vec<Gap>)]) -> Value {
    let uses = judged.iter().map(|(name, gaps)| {
        let missing: Vec<String> = gaps.iter().map(ToString::to_string).collect();
        json!({ "use": name, "possible": gaps.is_empty(), "missing": missing })
    });
    json!({
        "url": url,
        "scope": token.scope.to_string(),
        "signedBy": token.signer.to_string(),
        "permissions": token.permissions.as_ref().map(ToString::to_string),
        "start": token.start,
        "expires": token.ends(),
        "protocols": token.protocols.to_string(),
        "addresses": token.ip,
        "policy": token.policy,
        "version": token.version,
        "uses": uses.collect::<Vec<_>>(),
    })
}
