//! The configuration file as the commands see it: registries, containers, and pipelines that can be run.
//!
//! `config` reads sections without knowing what keys mean; here they become the arguments of commands. A file is used
//! only when all of it is right: a pipeline never runs from a file of which another part is wrong.
//!
//! **Invariants.** A pipeline does what its command does with the same flags. Nothing is opened and no secret is read
//! to understand a file.

mod ends;
mod kinds;
mod names;
mod overlap;
mod promotion;
mod rights;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;

use self::kinds::{ContainerSection, PipelineKeys};
pub(super) use self::kinds::{
    ExportSection, ImportSection, Key, PromotionSection, RegistrySection, SectionKind,
    TransferSection,
};
use self::names::{Names, refuse_login};
use self::overlap::{find_overlaps, find_unknown_sharers};
pub(super) use self::promotion::{expand_from, tell_edges};
pub(super) use self::rights::Trace;
use self::words::Reader;
pub(super) use self::words::Words;
use crate::config::{
    Entry, Fault, InvalidConfiguration, Section, Sections, Setting, find_near, read_configuration,
};
use crate::pipeline::{Schedule, TargetReference};
use crate::registry::canonical;
use crate::storage::ContainerReference;

/// What makes a transfer repeat itself.
pub(super) const WATCH: &str = "--watch";

/// A file that is right.
pub(super) struct Configuration {
    pub(super) path: PathBuf,
    pub(super) state: Option<PathBuf>,
    pub(super) registries: Vec<NamedRegistry>,
    pub(super) pipelines: Vec<Pipeline>,
    pub(super) sections: Vec<Section>,
    names: Names,
}

pub(super) struct NamedRegistry {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) address: TargetReference,
    pub(super) section: RegistrySection,
}

/// A pipeline: its words run it, and its settings say what they mean.
pub(super) struct Pipeline {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) words: Words,
    pub(super) settings: Settings,
    pub(super) schedule: Option<Schedule>,
}

pub(super) enum Settings {
    Export(Box<ExportSection>),
    Transfer(Box<TransferSection>),
    Import(Box<ImportSection>),
    Promotion(Box<PromotionSection>),
}

impl Settings {
    pub(super) fn kind(&self) -> SectionKind {
        match self {
            Self::Export(_) => SectionKind::Export,
            Self::Transfer(_) => SectionKind::Transfer,
            Self::Import(_) => SectionKind::Import,
            Self::Promotion(_) => SectionKind::Promotion,
        }
    }

    pub(super) fn keys(&self) -> &PipelineKeys {
        match self {
            Self::Export(section) => &section.keys,
            Self::Transfer(section) => &section.keys,
            Self::Import(section) => &section.keys,
            Self::Promotion(section) => &section.keys,
        }
    }
}

impl Pipeline {
    /// `KIND.NAME`, as the section's head has it.
    pub(super) fn title(&self) -> String {
        format!("{}.{}", self.settings.kind().word(), self.name)
    }

    /// The schedule and its zone as they are written.
    pub(super) fn expression(&self) -> Option<String> {
        let keys = self.settings.keys();
        let schedule = keys.schedule.as_deref()?;
        Some(format!("{schedule} {}", keys.time_zone))
    }
}

impl Configuration {
    pub(super) fn read(path: &Path) -> Result<Self, InvalidConfiguration> {
        let sections = read_configuration(path)?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut building = Building::default();
        let read = building.read(&path, sections);
        match building.faults.is_empty() {
            true => Ok(read),
            false => Err(InvalidConfiguration::new(path, building.faults)),
        }
    }

    pub(super) fn pipeline(&self, kind: SectionKind, name: &str) -> Option<&Pipeline> {
        let mut pipelines = self.pipelines.iter();
        pipelines.find(|it| it.settings.kind() == kind && it.name == name)
    }

    /// What `NAME/…` means, for those who type a reference beside this file.
    pub(super) fn expand(&self, reference: &str) -> Result<String, String> {
        let expanded = self.names.registry(reference);
        expanded.map_err(|unknown| unknown.message)
    }

    /// What is meant below the registry of this name.
    pub(super) fn expand_below(&self, registry: &str, reference: &str) -> Result<String, String> {
        let expanded = self.names.below(registry, reference);
        expanded.map_err(|unknown| unknown.message)
    }
}

/// The faults that were found so far.
#[derive(Default)]
struct Building {
    faults: Vec<Fault>,
}

impl Building {
    fn read(&mut self, path: &Path, sections: Sections) -> Configuration {
        let state = self.read_top(&sections.top);
        for section in &sections.sections {
            self.check_kind(section);
        }
        let of_kind = |kind: SectionKind| {
            let sections = sections.sections.iter();
            sections.filter(move |section| section.kind == kind.word())
        };
        let mut names = Names::default();
        for section in of_kind(SectionKind::Container) {
            if let Some(url) = self.read_container(section) {
                names.containers.insert(section.name.clone(), url);
            }
        }
        let mut registries = Vec::new();
        for section in of_kind(SectionKind::Registry) {
            if let Some(registry) = self.read_registry(section) {
                let address = registry.section.address.clone();
                names.registries.insert(section.name.clone(), address);
                registries.push(registry);
            }
        }
        self.check_hosts(&registries);
        let mut pipelines = Vec::new();
        for section in &sections.sections {
            let kind = SectionKind::parse(&section.kind).filter(|kind| kind.is_pipeline());
            if let Some(kind) = kind {
                let reader = Reader::new(kind, section, &names);
                pipelines.extend(self.read_pipeline(&reader, path, state.as_deref()));
            }
        }
        self.faults.extend(find_overlaps(&pipelines));
        self.faults.extend(find_unknown_sharers(&pipelines));
        Configuration {
            path: path.to_owned(),
            state,
            registries,
            pipelines,
            sections: sections.sections,
            names,
        }
    }

    /// What stands above all sections.
    fn read_top(&mut self, top: &[Entry]) -> Option<PathBuf> {
        let mut state = None;
        for entry in top {
            match (entry.key.as_str(), &entry.setting) {
                ("state", Setting::Text(path)) if Path::new(path).is_absolute() => {
                    state = Some(PathBuf::from(path));
                }
                ("state", _) => self.faults.push(Fault::at(
                    entry.line,
                    "`state` takes the absolute path of a directory",
                )),
                (key, _) => {
                    let message =
                        format!("`{key}` stands above all sections, where only `state` may");
                    let hint = "a section begins with `[KIND.NAME]`, such as `[export.nightly]`";
                    self.faults
                        .push(Fault::at(entry.line, message).with_hint(hint));
                }
            }
        }
        state
    }

    fn check_kind(&mut self, section: &Section) {
        if SectionKind::parse(&section.kind).is_some() {
            return;
        }
        let words = SectionKind::ALL.map(SectionKind::word);
        let message = format!("{} is of no kind that there is", section.head());
        let hint = match find_near(&section.kind, words) {
            Some(near) => format!("did you mean `[{near}.{}]`?", section.name),
            None => format!("there are `{}`", words.join("`, `")),
        };
        self.faults
            .push(Fault::at(section.line, message).with_hint(hint));
    }

    /// Parses a section; its faults are kept.
    fn parse<S: Parser>(&mut self, reader: &Reader<'_>, more: &[String]) -> Option<(S, Words)> {
        let mut words = match reader.write_words() {
            Ok(words) => words,
            Err(faults) => {
                self.faults.extend(faults);
                return None;
            }
        };
        words.flags.extend(more.iter().cloned());
        match S::try_parse_from(words.line()) {
            Ok(parsed) => Some((parsed, words)),
            Err(error) => {
                self.faults.push(reader.explain(&error));
                None
            }
        }
    }

    fn read_container(&mut self, section: &Section) -> Option<String> {
        let names = Names::default();
        let reader = Reader::new(SectionKind::Container, section, &names);
        let (parsed, _) = self.parse::<ContainerSection>(&reader, &[])?;
        let line = section.line_of("url");
        let mut refuse = |message: &str| {
            let fault = Fault::at(line, format!("{} `url` {message}", section.head()));
            self.faults.push(fault);
            None
        };
        let url = match parsed.write_url() {
            Ok(url) => url,
            Err(message) => return refuse(&message),
        };
        match url.parse::<ContainerReference>() {
            Ok(reference) if reference.holds_secret() => {
                refuse("holds a signature, which everybody can read: name it with `credential`")
            }
            Ok(_) => Some(url),
            Err(error) => refuse(&format!("cannot be used: {error}")),
        }
    }

    fn read_registry(&mut self, section: &Section) -> Option<NamedRegistry> {
        let names = Names::default();
        let reader = Reader::new(SectionKind::Registry, section, &names);
        let (parsed, _) = self.parse::<RegistrySection>(&reader, &[])?;
        if let Ok(address @ TargetReference::Registry { .. }) = parsed.address.parse() {
            return Some(NamedRegistry {
                name: section.name.clone(),
                line: section.line,
                address,
                section: parsed,
            });
        }
        let address = match refuse_login(&format!("{}/", parsed.address)) {
            Ok(()) => format!("cannot be `{}`", parsed.address),
            Err(unknown) => format!("cannot be this: {}", unknown.message),
        };
        let message = format!("{} `address` {address}", section.head());
        let hint = "expected `HOST[:PORT][/PREFIX]`, without `https://`";
        let line = section.line_of("address");
        self.faults.push(Fault::at(line, message).with_hint(hint));
        None
    }

    /// A host is reached in one way.
    fn check_hosts(&mut self, registries: &[NamedRegistry]) {
        let mut known: BTreeMap<String, &NamedRegistry> = BTreeMap::new();
        for registry in registries {
            let host = canonical(registry.host());
            let first = *known.entry(host).or_insert(registry);
            if !first.section.is_reached_like(&registry.section) {
                let message = format!(
                    "[registry.{}] says otherwise than `[registry.{}]` in line {} how `{}` is reached",
                    registry.name,
                    first.name,
                    first.line,
                    registry.host()
                );
                let hint = "both need the same connection settings and the same login";
                self.faults
                    .push(Fault::at(registry.line, message).with_hint(hint));
            }
        }
    }

    fn read_pipeline(
        &mut self,
        reader: &Reader<'_>,
        path: &Path,
        state: Option<&Path>,
    ) -> Option<Pipeline> {
        let name = &reader.section.name;
        let mut more = vec![];
        if reader.kind != SectionKind::Transfer {
            more.push(format!("--config={}", path.display()));
        }
        if let Some(state) = state {
            more.push(format!("--state={}", state.display()));
        }
        let (settings, words) = match reader.kind {
            SectionKind::Export => {
                more.push(format!("--pipeline={name}"));
                let (parsed, words) = self.parse::<ExportSection>(reader, &more)?;
                (Settings::Export(Box::new(parsed)), words)
            }
            SectionKind::Transfer => {
                // The source trigger is the command's `--watch`, which a single run is not asked for.
                if reader.says("source-trigger") {
                    more.push(WATCH.to_owned());
                }
                let (parsed, mut words) = self.parse::<TransferSection>(reader, &more)?;
                words.flags.retain(|flag| flag != WATCH);
                if let Err(places) = parsed.transfer.check_places() {
                    let line = reader.section.line_of("target");
                    self.faults.push(places.fault(line, &reader.section.head()));
                }
                (Settings::Transfer(Box::new(parsed)), words)
            }
            SectionKind::Import => {
                let (parsed, words) = self.parse::<ImportSection>(reader, &more)?;
                (Settings::Import(Box::new(parsed)), words)
            }
            SectionKind::Promotion => {
                let (parsed, words) = self.parse::<PromotionSection>(reader, &more)?;
                self.check_promotion(reader.section, &parsed, state)?;
                (Settings::Promotion(Box::new(parsed)), words)
            }
            SectionKind::Registry | SectionKind::Container => return None,
        };
        self.faults.extend(find_missing_key(reader, &words));
        let schedule = self.read_schedule(reader.section, settings.keys());
        Some(Pipeline {
            name: name.clone(),
            line: reader.section.line,
            words,
            settings,
            schedule,
        })
    }

    fn read_schedule(&mut self, section: &Section, keys: &PipelineKeys) -> Option<Schedule> {
        let expression = keys.schedule.as_deref()?;
        match Schedule::parse(expression, &keys.time_zone) {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                let key = match error {
                    crate::pipeline::InvalidSchedule::Zone => "time-zone",
                    _ => "schedule",
                };
                let message = format!("{} `{key}`: {error}", section.head());
                self.faults.push(Fault::at(section.line_of(key), message));
                None
            }
        }
    }
}

/// A pipeline that could not sign, or would trust nobody, says so before its first night.
fn find_missing_key(reader: &Reader<'_>, words: &Words) -> Option<Fault> {
    let (key, otherwise) = match reader.kind {
        SectionKind::Export => ("sign-key", "unsigned"),
        SectionKind::Import => ("trust", "insecure-accept-unsigned"),
        _ => return None,
    };
    let is_given = words.values_of(key).next().is_some() || reader.says(otherwise);
    let section = reader.section;
    (!is_given).then(|| {
        let message = format!("{} has neither `{key}` nor `{otherwise}`", section.head());
        Fault::at(section.line, message)
    })
}
