//! `airlift config schema`: the JSON schema of the configuration file, made from the flags of the commands.
//!
//! Specification: JSON Schema draft 2020-12.

use std::any::TypeId;

use clap::ArgAction;
use serde_json::{Map, Value, json};

use crate::cli::configured::{Key, SectionKind};

pub(super) fn write_schema() -> Value {
    let mut properties = Map::new();
    properties.insert(
        "state".to_owned(),
        json!({ "type": "string", "description": "The directory of the ledger, as an absolute path" }),
    );
    for kind in SectionKind::ALL {
        let section = schema_of(kind);
        let sections = json!({
            "type": "object",
            "patternProperties": { "^[a-z0-9][a-z0-9_-]{0,59}$": section },
            "additionalProperties": false,
        });
        properties.insert(kind.word().to_owned(), sections);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "airlift.toml",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn schema_of(kind: SectionKind) -> Value {
    let keys = kind.keys();
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| key.argument.is_required_set())
        .map(|key| key.name.as_str())
        .collect();
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| (key.name.clone(), property_of(key)))
        .collect();
    json!({
        "description": kind.grammar().get_about().map(ToString::to_string),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property_of(key: &Key) -> Value {
    let argument = &key.argument;
    let parser = argument.get_value_parser();
    let one = if is_type::<bool>(parser) || matches!(argument.get_action(), ArgAction::SetTrue) {
        json!({ "type": "boolean" })
    } else if is_number(parser) {
        json!({ "type": "integer" })
    } else {
        let words: Vec<String> = argument
            .get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .collect();
        match words.is_empty() {
            true => json!({ "type": "string" }),
            false => json!({ "enum": words }),
        }
    };
    let mut property = match argument.get_action() {
        ArgAction::Append => json!({ "anyOf": [one, { "type": "array", "items": one }] }),
        _ => one,
    };
    if let Some(help) = argument.get_help() {
        property["description"] = json!(help.to_string());
    }
    property
}

fn is_type<T: 'static>(parser: &clap::builder::ValueParser) -> bool {
    parser.type_id() == TypeId::of::<T>()
}

fn is_number(parser: &clap::builder::ValueParser) -> bool {
    is_type::<u16>(parser) || is_type::<u32>(parser) || is_type::<u64>(parser)
}
