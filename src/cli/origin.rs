//! Why a command runs: what started it, and which pipeline of the configuration file it is a run of.

use crate::history::{Interruption, RunId, RunLink, Trigger};

#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// `None` where the command itself knows: a watch is started by its source.
    pub(super) trigger: Option<Trigger>,
    /// `KIND.NAME` of the pipeline's section; by hand there is none.
    pub(super) pipeline: Option<String>,
    /// Why, in the words of whoever started it.
    pub(super) comment: Option<String>,
    /// The run that it does again.
    pub(super) rerun_of: Option<RunId>,
    /// What the run was asked for in place of all that its pipeline means.
    pub(super) named: Vec<String>,
    /// Why the process is being ended, once it is.
    pub(super) interruption: Interruption,
}

impl Origin {
    /// A command that somebody has typed.
    pub(super) fn by_hand(interruption: &Interruption) -> Self {
        Self {
            trigger: None,
            pipeline: None,
            comment: None,
            rerun_of: None,
            named: Vec::new(),
            interruption: interruption.clone(),
        }
    }

    /// The same for a pipeline of the configuration file.
    pub(super) fn of_pipeline(
        self,
        title: String,
        trigger: Trigger,
        comment: Option<String>,
    ) -> Self {
        Self {
            trigger: Some(trigger),
            pipeline: Some(title),
            comment,
            ..self
        }
    }

    /// The pipeline's name, as records have it.
    pub(super) fn pipeline_name(&self) -> Option<String> {
        let (_, name) = self.pipeline.as_deref()?.split_once('.')?;
        Some(name.to_owned())
    }

    /// The same for a run that was asked for these artifacts or bundles in place of all.
    pub(super) fn naming(self, named: &[String]) -> Self {
        Self {
            named: named.to_owned(),
            ..self
        }
    }

    /// The same for a run that is done again.
    pub(super) fn again(self, run: &RunId) -> Self {
        Self {
            rerun_of: Some(run.clone()),
            ..self
        }
    }

    /// What the run's record says of it.
    pub(super) fn link(&self) -> RunLink {
        RunLink {
            section: self.pipeline.clone(),
            rerun_of: self.rerun_of.clone(),
            named: self.named.clone(),
        }
    }

    pub(super) fn is_pipeline(&self) -> bool {
        self.pipeline.is_some()
    }
}
