//! A section's settings as the words of a command line, and the parser's complaints as faults with a line. Pure.
//!
//! The parser of the command line decides what a value may be, so a key takes exactly what its flag takes.

use std::any::TypeId;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ArgAction;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::kinds::{Key, SectionKind};
use super::names::{Names, UnknownName, absolute};
use crate::cli::receipt_args::ReceiptDestination;
use crate::config::{Entry, Fault, SecretReference, Section, Setting, find_near};
use crate::pipeline::{SourceReference, TargetReference};
use crate::storage::ContainerReference;

/// What a section says, as one would type it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Words {
    pub(in crate::cli) flags: Vec<String>,
    /// What stands without a flag, in the order of the command.
    pub(in crate::cli) plain: Vec<String>,
}

impl Words {
    /// The values that a flag is given.
    pub(in crate::cli) fn values_of<'w>(&'w self, key: &str) -> impl Iterator<Item = &'w str> {
        let prefix = format!("--{key}=");
        let flags = self.flags.iter();
        flags.filter_map(move |flag| flag.strip_prefix(&prefix))
    }

    /// The whole line. What stands alone cannot be taken for a flag.
    pub(in crate::cli) fn line(&self) -> Vec<String> {
        let mut line = self.flags.clone();
        if !self.plain.is_empty() {
            line.push("--".to_owned());
            line.extend(self.plain.iter().cloned());
        }
        line
    }
}

/// A section, and everything that is needed to understand it.
pub(super) struct Reader<'a> {
    pub(super) kind: SectionKind,
    pub(super) section: &'a Section,
    pub(super) names: &'a Names,
    keys: Vec<Key>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(kind: SectionKind, section: &'a Section, names: &'a Names) -> Self {
        Self {
            kind,
            section,
            names,
            keys: kind.keys(),
        }
    }

    /// The section's words; all faults that are found.
    pub(super) fn write_words(&self) -> Result<Words, Vec<Fault>> {
        let mut words = Words::default();
        let mut plain = Vec::new();
        let mut faults = Vec::new();
        for entry in &self.section.entries {
            let Some(key) = self.keys.iter().find(|key| key.name == entry.key) else {
                faults.push(self.unknown(entry));
                continue;
            };
            match self.texts_of(entry, key) {
                Ok(texts) => match key.argument.get_index() {
                    Some(index) => plain.push((index, texts)),
                    None if is_flag(key) => {
                        words
                            .flags
                            .extend(texts.iter().map(|_| format!("--{}", key.name)));
                    }
                    None => {
                        let flags = texts.iter().map(|text| format!("--{}={text}", key.name));
                        words.flags.extend(flags);
                    }
                },
                Err(fault) => faults.push(fault),
            }
        }
        plain.sort_by_key(|(index, _)| *index);
        words.plain = plain.into_iter().flat_map(|(_, texts)| texts).collect();
        match faults.is_empty() {
            true => Ok(words),
            false => Err(faults),
        }
    }

    fn fault(&self, line: usize, message: &str) -> Fault {
        Fault::at(line, format!("{} {message}", self.section.head()))
    }

    fn unknown(&self, entry: &Entry) -> Fault {
        let key = &entry.key;
        let fault = self.fault(entry.line, &format!("has no key `{key}`"));
        let near = find_near(key, self.keys.iter().map(|key| key.name.as_str()));
        match (key.as_str(), near) {
            ("state", _) => fault.with_hint("`state` stands above all sections, once for all"),
            ("dry-run" | "comment", _) if self.kind.is_pipeline() => {
                fault.with_hint(format!("it is said with each run: `airlift run … --{key}`"))
            }
            (_, Some(near)) => fault.with_hint(format!("did you mean `{near}`?")),
            (_, None) => fault.with_hint(format!(
                "`airlift config schema` lists the keys of `[{}.…]`",
                self.kind.word()
            )),
        }
    }

    /// The values of an entry as texts; of a flag that is off there are none.
    fn texts_of(&self, entry: &Entry, key: &Key) -> Result<Vec<String>, Fault> {
        let wrong = |expected: &str| {
            let message = format!("`{}` takes {expected}", key.name);
            self.fault(entry.line, &message)
        };
        let takes_boolean = is_boolean(key);
        let is_list = matches!(key.argument.get_action(), ArgAction::Append);
        let texts: Vec<(usize, String)> = match &entry.setting {
            Setting::Flag(flag) if is_flag(key) => {
                return Ok(flag.then(String::new).into_iter().collect());
            }
            Setting::Flag(flag) if takes_boolean => vec![(entry.line, flag.to_string())],
            _ if is_flag(key) || takes_boolean => return Err(wrong("`true` or `false`")),
            Setting::Flag(_) => return Err(wrong("a text or a number, and no `true` or `false`")),
            Setting::Number(number) => vec![(entry.line, number.to_string())],
            Setting::Text(text) => vec![(entry.line, text.clone())],
            Setting::List(_) if !is_list => return Err(wrong("one value, and no list")),
            Setting::List(items) if items.is_empty() => return Err(self.empty_list(entry)),
            Setting::List(items) => items
                .iter()
                .map(|item| (item.line, item.text.clone()))
                .collect(),
        };
        let resolved = texts.into_iter().map(|(line, text)| {
            self.resolve(key, text).map_err(|unknown| {
                let message = format!("`{}`: {}", key.name, unknown.message);
                let fault = self.fault(line, &message);
                match unknown.hint {
                    Some(hint) => fault.with_hint(hint),
                    None => fault,
                }
            })
        });
        resolved.collect()
    }

    /// A list that limits something may be meant as nothing or as no limit: neither is guessed.
    fn empty_list(&self, entry: &Entry) -> Fault {
        let key = &entry.key;
        let fault = self.fault(entry.line, &format!("`{key}` is an empty list"));
        fault.with_hint(match key.as_str() {
            "may-run" | "may-view" => format!("name who may; without `{key}` everybody may"),
            _ => format!("name something, or leave `{key}` out"),
        })
    }

    /// Puts what a name stands for in its place, and refuses relative paths.
    fn resolve(&self, key: &Key, text: String) -> Result<String, UnknownName> {
        let is_type = |id: TypeId| key.argument.get_value_parser().type_id() == id;
        if is_type(TypeId::of::<ContainerReference>()) {
            return self.names.container(&text);
        }
        if is_type(TypeId::of::<ReceiptDestination>()) {
            return match text.as_str() {
                ReceiptDestination::OFF => Ok(text),
                _ => self.names.container(&text),
            };
        }
        if is_type(TypeId::of::<PathBuf>()) {
            return absolute(&text);
        }
        match (self.kind, key.name.as_str()) {
            (SectionKind::Import, "target") => {
                check::<TargetReference>(self.names.registry(&text)?)
            }
            (SectionKind::Promotion, "source" | "target") => self.names.registry(&text),
            (SectionKind::Promotion, "references") => match self.text_of("source") {
                Some(source) => {
                    let source = self.names.registry(source)?;
                    self.names.below_source(&source, &text)
                }
                None => Ok(text),
            },
            (SectionKind::Export, "references") => {
                check::<SourceReference>(match self.text_of("registry") {
                    Some(registry) => self.names.below(registry, &text)?,
                    None => self.names.registry(&text)?,
                })
            }
            (SectionKind::Export, "registry") => self.names.below(&text, "").map(|_| text),
            (_, "trust") => {
                let path = text.split_once('=').map_or(text.as_str(), |(_, path)| path);
                absolute(path).map(|_| text)
            }
            _ => Ok(text),
        }
    }

    /// Whether a flag is on.
    pub(super) fn says(&self, key: &str) -> bool {
        let entry = self.section.entry(key);
        entry.is_some_and(|entry| matches!(entry.setting, Setting::Flag(true)))
    }

    /// What the section says under this key.
    fn text_of(&self, key: &str) -> Option<&str> {
        match &self.section.entry(key)?.setting {
            Setting::Text(name) => Some(name),
            _ => None,
        }
    }

    /// What the parser complains about, in terms of the file.
    pub(super) fn explain(&self, error: &clap::Error) -> Fault {
        let key = self.key_in(error, ContextKind::InvalidArg);
        let line = self.line_of(key.as_deref(), error);
        let shown = key.clone().unwrap_or_default();
        match error.kind() {
            ErrorKind::MissingRequiredArgument if shown == "state" => Fault::at(
                0,
                "`state` is missing: the directory of the ledger, above all sections",
            ),
            ErrorKind::MissingRequiredArgument if shown == "watch" => self.fault(
                self.section.line_of("interval"),
                "`interval` needs `source-trigger = true`",
            ),
            ErrorKind::MissingRequiredArgument => {
                self.fault(self.section.line, &format!("has no `{shown}`"))
            }
            ErrorKind::ArgumentConflict => {
                let other = self
                    .key_in(error, ContextKind::PriorArg)
                    .unwrap_or_default();
                self.fault(line, &format!("`{shown}` and `{other}` exclude each other"))
            }
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                self.fault(line, &self.explain_value(&shown, error))
            }
            _ => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                self.fault(line, first.trim_start_matches("error: "))
            }
        }
    }

    /// A text in place of a secret's name may be the secret, and is not repeated.
    fn explain_value(&self, key: &str, error: &clap::Error) -> String {
        let argument = self.keys.iter().find(|it| it.name == key);
        let is_secret = argument.is_some_and(|key| {
            key.argument.get_value_parser().type_id() == TypeId::of::<SecretReference>()
        });
        let value = match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) if !is_secret => format!(" cannot be `{value}`"),
            _ => " cannot be this".to_owned(),
        };
        let why = match (
            error.get(ContextKind::ValidValue),
            std::error::Error::source(error),
        ) {
            (Some(ContextValue::Strings(valid)), _) if !valid.is_empty() => {
                format!(": expected `{}`", valid.join("`, `"))
            }
            (_, Some(cause)) => format!(": {cause}"),
            _ => String::new(),
        };
        format!("`{key}`{value}{why}")
    }

    /// The key that stands for a flag as the parser shows it: `--newest <N>`, `<CONTAINER>`.
    fn key_in(&self, error: &clap::Error, kind: ContextKind) -> Option<String> {
        let shown = match error.get(kind)? {
            ContextValue::String(text) => text.clone(),
            ContextValue::Strings(texts) => texts.first()?.clone(),
            _ => return None,
        };
        if let Some(long) = shown.strip_prefix("--") {
            let end = long.find([' ', '=', '<', '[']).unwrap_or(long.len());
            return Some(long[..end].to_owned());
        }
        let is_shown = |key: &&Key| {
            let names = key.argument.get_value_names().unwrap_or_default();
            names.iter().any(|name| shown.contains(name.as_str()))
        };
        let mut plain = self.keys.iter().filter(|key| key.argument.is_positional());
        plain.find(is_shown).map(|key| key.name.clone())
    }

    /// The line of the item that was complained about, of the key, or of the section.
    fn line_of(&self, key: Option<&str>, error: &clap::Error) -> usize {
        let Some(entry) = key.and_then(|key| self.section.entry(key)) else {
            return self.section.line;
        };
        let (Setting::List(items), Some(ContextValue::String(value))) =
            (&entry.setting, error.get(ContextKind::InvalidValue))
        else {
            return entry.line;
        };
        let item = items.iter().find(|item| value.ends_with(&item.text));
        item.map_or(entry.line, |item| item.line)
    }
}

/// The text, where it is what it has to be.
fn check<T: FromStr<Err: Display>>(text: String) -> Result<String, UnknownName> {
    match text.parse::<T>() {
        Ok(_) => Ok(text),
        Err(error) => Err(UnknownName {
            message: error.to_string(),
            hint: None,
        }),
    }
}

fn is_flag(key: &Key) -> bool {
    matches!(key.argument.get_action(), ArgAction::SetTrue)
}

/// A key that says `true` or `false` itself.
fn is_boolean(key: &Key) -> bool {
    key.argument.get_value_parser().type_id() == TypeId::of::<bool>() && !is_flag(key)
}
