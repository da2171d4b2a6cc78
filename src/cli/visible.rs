//! Which runs and events whoever asks may look at, by the configuration file in force.

use std::sync::Arc;

use super::config_args::ConfigArgument;
use super::configured::{Configuration, Trace};
use super::exit::Exit;
use super::failure::UsageError;
use super::permissions::{Somebody, myself};
use super::size::count;
use crate::history::Run;

/// Without a configuration file everybody sees everything.
pub(super) struct Visibility(Option<(Arc<Configuration>, Somebody)>);

impl ConfigArgument {
    pub(super) async fn visibility(&self) -> anyhow::Result<Visibility> {
        Ok(Visibility(match self.read()? {
            Some(configuration) => Some((configuration, myself().await)),
            None => None,
        }))
    }
}

impl Visibility {
    pub(super) fn shows(&self, trace: Trace<'_>) -> bool {
        let Self(rules) = self;
        rules
            .as_ref()
            .is_none_or(|(configuration, somebody)| configuration.may_see(somebody, trace))
    }

    /// Refuses to tell about a run.
    pub(super) fn refuse_hidden(&self, run: &Run) -> anyhow::Result<()> {
        if self.shows(Trace::of_run(run)) {
            return Ok(());
        }
        let error = UsageError::new(format!("you may not look at the run `{}`", run.id))
            .hint("`may-view` of its pipeline says who may")
            .exit(Exit::Denied);
        Err(error.into())
    }
}

/// What is said about what was left out.
pub(super) fn note_on_hidden(hidden: usize, what: &str) -> Option<String> {
    (hidden > 0).then(|| {
        format!(
            "left out: {} of pipelines that you may not look at",
            count(hidden, what)
        )
    })
}
