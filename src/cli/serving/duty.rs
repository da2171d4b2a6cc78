//! What the configuration file wants done by itself. Pure.
//!
//! A duty is equal to another one when the file says the same of it, word by word.

use crate::cli::configured::{Configuration, Pipeline, Settings, Words};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Duty {
    /// `KIND.NAME`.
    pub(super) section: String,
    pub(super) kind: DutyKind,
    pub(super) words: Words,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DutyKind {
    /// Imports what comes.
    Watch,
    /// Transfers what comes.
    Repeat,
    /// Runs at times; the schedule with its zone.
    Schedule(String),
}

impl Duty {
    pub(super) fn is_watch(&self) -> bool {
        !matches!(self.kind, DutyKind::Schedule(_))
    }
}

/// In the order of the file; a pipeline may be watched and scheduled.
pub(super) fn duties_of(configuration: &Configuration) -> Vec<Duty> {
    let pipelines = configuration.pipelines.iter();
    pipelines.flat_map(duties_of_one).collect()
}

fn duties_of_one(pipeline: &Pipeline) -> Vec<Duty> {
    let watched = match &pipeline.settings {
        Settings::Import(section) if section.source_trigger => Some(DutyKind::Watch),
        Settings::Transfer(section) if section.source_trigger => Some(DutyKind::Repeat),
        _ => None,
    };
    let scheduled = pipeline.expression().map(DutyKind::Schedule);
    let kinds = watched.into_iter().chain(scheduled);
    let duty = |kind| Duty {
        section: pipeline.title(),
        kind,
        words: pipeline.words.clone(),
    };
    kinds.map(duty).collect()
}
