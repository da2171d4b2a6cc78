//! A configuration file's text as sections of settings, each with its line. Pure.
//!
//! What the keys mean is not known here: they are flags of commands, and `cli` knows those.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;

/// One table, such as `[export.nightly]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The first word of its head, such as `export`.
    pub kind: String,
    pub name: String,
    pub line: usize,
    pub entries: Vec<Entry>,
}

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub line: usize,
    pub setting: Setting,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<Item>),
}

/// One text of a list, with its own line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub text: String,
    pub line: usize,
}

/// A parsed file: what stands above all sections, and the sections, in the file's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    pub top: Vec<Entry>,
    pub sections: Vec<Section>,
}

impl Section {
    /// `[KIND.NAME]`, as the file has it.
    pub fn head(&self) -> String {
        format!("[{}.{}]", self.kind, self.name)
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The line of the key, or of the section where it has none.
    pub fn line_of(&self, key: &str) -> usize {
        self.entry(key).map_or(self.line, |entry| entry.line)
    }
}

/// Names of sections are words that no host and no path is.
pub fn is_section_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    (1..=60).contains(&name.len()) && name.chars().all(is_letter) && !name.starts_with(['-', '_'])
}

/// Parses the text; all faults that are found.
pub fn parse_sections(text: &str) -> Result<Sections, Vec<Fault>> {
    let lines = Lines(text);
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(0, |span| lines.line_of(&span));
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        vec![Fault::at(line, format!("this is no TOML: {message}"))]
    })?;
    let mut parsed = Sections::default();
    let mut faults = Vec::new();
    for (key, value) in in_order(table.get_ref()) {
        match value.get_ref() {
            DeValue::Table(kinds) => {
                let kind = key.get_ref().to_string();
                lines.read_kind(&kind, kinds, &mut parsed.sections, &mut faults);
            }
            _ => lines.read_entry("", key, value, &mut parsed.top, &mut faults),
        }
    }
    parsed.sections.sort_by_key(|section| section.line);
    match faults.is_empty() {
        true => Ok(parsed),
        false => Err(faults),
    }
}

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;

/// The table itself is sorted by name.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t Key<'i>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

struct Lines<'t>(&'t str);

impl Lines<'_> {
    fn line_of(&self, span: &Range<usize>) -> usize {
        let before = self.0.get(..span.start).unwrap_or(self.0);
        1 + before.matches('\n').count()
    }

    /// Reads all sections of one kind.
    fn read_kind(
        &self,
        kind: &str,
        named: &DeTable<'_>,
        sections: &mut Vec<Section>,
        faults: &mut Vec<Fault>,
    ) {
        for (name, value) in in_order(named) {
            let line = self.line_of(&name.span());
            let name = name.get_ref().to_string();
            let DeValue::Table(settings) = value.get_ref() else {
                let message = format!("`{name}` stands in `[{kind}]`, which only has sections");
                let hint = format!("give it a name: `[{kind}.NAME]`, and the key below it");
                faults.push(Fault::at(line, message).with_hint(hint));
                continue;
            };
            if !is_section_name(&name) {
                let message = format!("`{name}` in `[{kind}.…]` cannot be a name");
                let hint = "names have at most 60 of `a-z`, `0-9`, `-`, `_`";
                faults.push(Fault::at(line, message).with_hint(hint));
            }
            let head = format!("[{kind}.{name}] ");
            let mut entries = Vec::new();
            for (key, value) in in_order(settings) {
                self.read_entry(&head, key, value, &mut entries, faults);
            }
            sections.push(Section {
                kind: kind.to_owned(),
                name,
                line,
                entries,
            });
        }
    }

    fn read_entry(
        &self,
        head: &str,
        key: &Key<'_>,
        value: &Spanned<DeValue<'_>>,
        entries: &mut Vec<Entry>,
        faults: &mut Vec<Fault>,
    ) {
        let line = self.line_of(&key.span());
        let key = key.get_ref().to_string();
        match self.read_setting(value) {
            Ok(setting) => entries.push(Entry { key, line, setting }),
            Err(kind) => {
                let message = format!("{head}`{key}` has {kind}, which no key takes");
                faults.push(Fault::at(line, message));
            }
        }
    }

    fn read_setting(&self, value: &Spanned<DeValue<'_>>) -> Result<Setting, &'static str> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(Setting::Flag(*flag)),
            DeValue::String(text) => Ok(Setting::Text(text.to_string())),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Setting::Number)
                .map_err(|_| "a number beyond all bounds"),
            DeValue::Array(array) => {
                let items = array.iter().map(|item| match item.get_ref() {
                    DeValue::String(text) => Ok(Item {
                        text: text.to_string(),
                        line: self.line_of(&item.span()),
                    }),
                    _ => Err("a list of something other than texts"),
                });
                items.collect::<Result<_, _>>().map(Setting::List)
            }
            DeValue::Table(_) => Err("a table"),
            DeValue::Float(_) => Err("a number with a fraction"),
            DeValue::Datetime(_) => Err("a time without quotes"),
        }
    }
}
