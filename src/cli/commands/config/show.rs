//! `airlift config show`: the file as it is understood, as a file that could be used in its place.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::cli::configured::{Configuration, Key, SectionKind};
use crate::config::{SecretReference, Section, Setting};

/// TOML: what the file says, and in comments what holds where it says nothing.
pub(super) fn text_of(configuration: &Configuration) -> String {
    let mut text = format!("# {}\n", configuration.path.display());
    if let Some(state) = &configuration.state {
        let state = toml::Value::String(state.display().to_string());
        text.push_str(&format!("state = {state}\n"));
    }
    for section in &configuration.sections {
        text.push_str(&format!("\n{}\n", section.head()));
        if let Some(next) = next_run(configuration, section) {
            text.push_str(&format!("# next run: {next}\n"));
        }
        for (key, setting) in settings_of(section) {
            match setting {
                Shown::Given(value) => text.push_str(&format!("{key} = {value}\n")),
                Shown::Default(value) => {
                    text.push_str(&format!("# {key} = {value}  (by default)\n"));
                }
            }
        }
    }
    text
}

pub(super) fn document_of(configuration: &Configuration) -> Value {
    let sections = configuration.sections.iter().map(|section| {
        let mut given = Map::new();
        let mut defaults = Map::new();
        for (key, setting) in settings_of(section) {
            match setting {
                Shown::Given(value) => given.insert(key, to_json(&value)),
                Shown::Default(value) => defaults.insert(key, to_json(&value)),
            };
        }
        json!({
            "kind": section.kind,
            "name": section.name,
            "line": section.line,
            "nextRun": next_run(configuration, section).map(|next| next.to_string()),
            "settings": given,
            "defaults": defaults,
        })
    });
    json!({
        "file": configuration.path.display().to_string(),
        "state": configuration.state.as_ref().map(|path| path.display().to_string()),
        "sections": sections.collect::<Vec<_>>(),
    })
}

/// When the schedule lets it run next.
fn next_run(configuration: &Configuration, section: &Section) -> Option<Timestamp> {
    let kind = SectionKind::parse(&section.kind)?;
    let pipeline = configuration.pipeline(kind, &section.name)?;
    pipeline.schedule.as_ref()?.next_after(Timestamp::now())
}

enum Shown {
    Given(toml::Value),
    Default(toml::Value),
}

/// The settings of a section: the given ones in the file's order, then the defaults in the grammar's.
fn settings_of(section: &Section) -> Vec<(String, Shown)> {
    let given = section.entries.iter().map(|entry| {
        let value = to_value(&entry.key, &entry.setting);
        (entry.key.clone(), Shown::Given(value))
    });
    let keys = SectionKind::parse(&section.kind).map(SectionKind::keys);
    let defaults = keys.unwrap_or_default().into_iter().filter_map(|key| {
        let default = default_of(&key)?;
        let is_given = section.entry(&key.name).is_some();
        (!is_given).then_some((key.name, Shown::Default(default)))
    });
    given.chain(defaults).collect()
}

fn default_of(key: &Key) -> Option<toml::Value> {
    let default = key.argument.get_default_values().first()?.to_str()?;
    let is_text = !matches!(default, "true" | "false") && default.parse::<i64>().is_err();
    match is_text {
        true => Some(toml::Value::String(default.to_owned())),
        false => default.parse().ok(),
    }
}

/// A reference to a secret is shown without the arguments of its program.
fn to_value(key: &str, setting: &Setting) -> toml::Value {
    match setting {
        Setting::Flag(flag) => toml::Value::Boolean(*flag),
        Setting::Number(number) => toml::Value::Integer(*number),
        Setting::Text(text) => toml::Value::String(redact(key, text)),
        Setting::List(items) => {
            let items = items.iter();
            let texts = items.map(|item| toml::Value::String(redact(key, &item.text)));
            toml::Value::Array(texts.collect())
        }
    }
}

fn redact(key: &str, text: &str) -> String {
    if ["password", "credential"].contains(&key) {
        return match text.parse::<SecretReference>() {
            Ok(reference) => reference.to_string(),
            Err(_) => "<redacted>".to_owned(),
        };
    }
    // A URL's query may hold the name of a secret, or one.
    match text.split_once('?') {
        Some((before, _)) if before.contains("://") => format!("{before}?<redacted>"),
        _ => text.to_owned(),
    }
}

fn to_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::Boolean(flag) => json!(flag),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Array(items) => items.iter().map(to_json).collect(),
        toml::Value::String(text) => json!(text),
        other => json!(other.to_string()),
    }
}
