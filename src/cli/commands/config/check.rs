//! `airlift config check`: everything about the file that can be known without connecting to anything.

use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::cli::config_args::ConfigArgument;
use crate::cli::configured::{Configuration, SectionKind};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::permissions::{Person, find_unknown};
use crate::cli::size::count;
use crate::config::{Entry, Fault, InvalidConfiguration, SecretReference, Section, Setting};

#[derive(Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    config: ConfigArgument,

    /// Read secrets from programs and key vaults too, and not only from variables and files
    #[arg(long)]
    secrets: bool,
}

pub(super) async fn run(arguments: &CheckArguments, output: Output) -> anyhow::Result<Exit> {
    let configuration = arguments.config.require()?;
    let mut faults = Vec::new();
    for section in &configuration.sections {
        faults.extend(check_files(section));
        faults.extend(check_secret(section, arguments.secrets).await);
    }
    if !faults.is_empty() {
        return Err(InvalidConfiguration::new(&configuration.path, faults).into());
    }
    let warnings = find_strangers(&configuration).await;
    for warning in &warnings {
        Output::warn(warning);
    }
    let path = configuration.path.display();
    let text = format!("{path} is right: {}", describe(&configuration));
    let counted = |kind: SectionKind| count_of(&configuration, kind);
    let counts: serde_json::Map<String, serde_json::Value> = SectionKind::ALL
        .into_iter()
        .map(|kind| (kind.word().to_owned(), counted(kind).into()))
        .collect();
    let document = json!({ "file": path.to_string(), "counts": counts, "warnings": warnings });
    output.print(&text, &document)?;
    Ok(Exit::Done)
}

fn describe(configuration: &Configuration) -> String {
    let registries = match count_of(configuration, SectionKind::Registry) {
        1 => "1 registry".to_owned(),
        number => format!("{number} registries"),
    };
    let containers = count(count_of(configuration, SectionKind::Container), "container");
    let pipelines = count(configuration.pipelines.len(), "pipeline");
    format!("{registries}, {containers}, {pipelines}")
}

fn count_of(configuration: &Configuration, kind: SectionKind) -> usize {
    let sections = configuration.sections.iter();
    sections
        .filter(|section| section.kind == kind.word())
        .count()
}

/// People in lists whom this machine does not know. That is no fault: the file may be for another machine.
async fn find_strangers(configuration: &Configuration) -> Vec<String> {
    let mut named: Vec<(&Section, &Entry, usize, Person)> = Vec::new();
    for section in &configuration.sections {
        for key in ["may-run", "may-view"] {
            let Some(entry) = section.entry(key) else {
                continue;
            };
            let people = texts_of(entry).into_iter();
            let people = people.filter_map(|(line, text)| Some((line, text.parse().ok()?)));
            named.extend(people.map(|(line, person)| (section, entry, line, person)));
        }
    }
    let people: Vec<Person> = named.iter().map(|(.., person)| person.clone()).collect();
    let unknown = find_unknown(&people).await;
    let path = configuration.path.display();
    let unknown = named.iter().filter(|(.., person)| unknown.contains(person));
    let told = unknown.map(|(section, entry, line, person)| {
        let kind = match person {
            Person::User(_) => "user",
            Person::Group(_) => "group",
        };
        let (head, key) = (section.head(), &entry.key);
        format!("{path}:{line}: {head} `{key}`: this machine has no {kind} `{person}`")
    });
    told.collect()
}

/// Keys and certificates that are named have to be there.
fn check_files(section: &Section) -> Vec<Fault> {
    let named = section.entries.iter().filter(|entry| {
        ["sign-key", "ca-file", "trust", "from-file"].contains(&entry.key.as_str())
    });
    named
        .flat_map(|entry| texts_of(entry).into_iter().map(move |it| (entry, it)))
        .filter_map(|(entry, (line, text))| {
            let path = match (entry.key.as_str(), text.split_once('=')) {
                ("trust", Some((_, path))) => path,
                _ => text,
            };
            let cause = std::fs::metadata(Path::new(path)).err()?;
            let message = format!("{} `{}`: `{path}`: {cause}", section.head(), entry.key);
            Some(Fault::at(line, message))
        })
        .collect()
}

/// A secret that can be read now. Programs and vaults are asked only when that was wanted.
async fn check_secret(section: &Section, asks_all: bool) -> Option<Fault> {
    let entry = ["password", "credential"]
        .iter()
        .find_map(|key| section.entry(key))?;
    let (line, text) = texts_of(entry).first().copied()?;
    let reference: SecretReference = text.parse().ok()?;
    let is_near = matches!(
        reference,
        SecretReference::Environment(_) | SecretReference::File(_)
    );
    if !is_near && !asks_all {
        return None;
    }
    let error = reference.resolve().await.err()?;
    let message = format!("{} `{}`: {error}", section.head(), entry.key);
    Some(Fault::at(line, message))
}

fn texts_of(entry: &Entry) -> Vec<(usize, &str)> {
    match &entry.setting {
        Setting::Text(text) => vec![(entry.line, text)],
        Setting::List(items) => items
            .iter()
            .map(|item| (item.line, item.text.as_str()))
            .collect(),
        Setting::Flag(_) | Setting::Number(_) => Vec::new(),
    }
}
