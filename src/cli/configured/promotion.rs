//! Promotion pipelines: what is right about their sections beyond their grammar, and how artifacts are named to them.

use std::path::Path;

use super::names::Names;
use super::{Building, Configuration, Pipeline, PromotionSection, Settings};
use crate::cli::origin::Origin;
use crate::cli::state_args::who;
use crate::config::{Fault, Section};
use crate::history::{NewRun, RunKind, Trigger};
use crate::pipeline::{SourceReference, describe_promotion};
use crate::storage::ContainerReference;

impl Building {
    /// The edge has two ends, what is promoted is below its source, and the history is kept.
    pub(super) fn check_promotion(
        &mut self,
        section: &Section,
        parsed: &PromotionSection,
        state: Option<&Path>,
    ) -> Option<()> {
        let head = section.head();
        let faults_before = self.faults.len();
        if state.is_none() {
            let message = "`state` is missing: the directory of the ledger, above all sections";
            let hint = format!("{head} keeps its history there");
            self.faults.push(Fault::at(0, message).with_hint(hint));
        }
        match parsed.promotion.edge() {
            Err(error) => {
                let message = format!("{head} `target`: {error}");
                self.faults
                    .push(Fault::at(section.line_of("target"), message));
            }
            Ok(edge) => {
                let line = section.line_of("references");
                let fault = |error: &dyn std::fmt::Display| {
                    Fault::at(line, format!("{head} `references`: {error}"))
                };
                match parsed.promotion.references(None, &edge) {
                    Err(error) => self.faults.push(fault(&error)),
                    Ok(references) => {
                        let outside = references.iter().filter_map(|it| edge.check(it).err());
                        self.faults.extend(outside.map(|outside| fault(&outside)));
                    }
                }
            }
        }
        (self.faults.len() == faults_before).then_some(())
    }
}

/// A reference of a promotion from `source` as it was typed: with a registry's name, a host, or below the source.
pub(in crate::cli) fn expand_from(
    configuration: Option<&Configuration>,
    source: &str,
    text: &str,
) -> Result<String, String> {
    let none = Names::default();
    let names = configuration.map_or(&none, |it| &it.names);
    let expanded = names.below_source(source, text);
    expanded.map_err(|unknown| unknown.message)
}

/// Where a reference may go from where it is, by the pipelines of the configuration file.
pub(in crate::cli) fn tell_edges(
    configuration: Option<&Configuration>,
    reference: &SourceReference,
) -> String {
    let pipelines = configuration.map_or(&[][..], |it| &it.pipelines[..]);
    let edges = pipelines.iter().filter_map(|pipeline| {
        let Settings::Promotion(section) = &pipeline.settings else {
            return None;
        };
        let edge = section.promotion.edge().ok()?;
        edge.check(reference).ok()?;
        Some(format!("`[{}]` to `{}`", pipeline.title(), edge.target()))
    });
    let edges: Vec<String> = edges.collect();
    match (edges.is_empty(), configuration) {
        (false, _) => format!("from there goes {}", edges.join(", ")),
        (true, Some(_)) => "no pipeline promotes from there".to_owned(),
        (true, None) => "name what is below `--source`, or another `--source`".to_owned(),
    }
}

impl Pipeline {
    /// The record of a run that was not allowed to begin.
    pub(in crate::cli) async fn refused_run(&self, origin: &Origin) -> NewRun {
        let trigger = origin.trigger.unwrap_or(Trigger::Manual);
        let author = (trigger, who().await, origin.comment.clone());
        let value_of = |key| self.words.values_of(key).next().map(str::to_owned);
        let (kind, source, target) = match &self.settings {
            Settings::Promotion(_) => (RunKind::Promotion, value_of("source"), value_of("target")),
            Settings::Export(_) => (RunKind::Export, self.container(0), None),
            Settings::Transfer(_) => (RunKind::Transfer, self.container(0), self.container(1)),
            Settings::Import(_) => (RunKind::Import, self.container(0), value_of("target")),
        };
        let ends = (String::new(), String::new());
        NewRun {
            kind,
            container: source,
            target,
            link: origin.link(),
            ..describe_promotion(ends, Some(self.name.clone()), author)
        }
    }

    /// A container of the section as records have it: without what its URL says beside its place.
    fn container(&self, position: usize) -> Option<String> {
        let text = match &self.settings {
            Settings::Export(_) => self.words.values_of("container").next(),
            _ => self.words.plain.get(position).map(String::as_str),
        };
        let reference: ContainerReference = text?.parse().ok()?;
        Some(reference.to_string())
    }
}
