//! What a run is: one execution of a command or of a watch for one bundle, and its record.

use jiff::{SignedDuration, Timestamp};

use super::audit::AuditEntry;
use super::id::RunId;
use super::run_bundles::RunBundle;
use crate::oci::Digest;

/// Words that the ledger stores and reads back.
macro_rules! words {
    ($(#[$attribute:meta])* $name:ident {
        $($(#[$note:meta])* $variant:ident = $word:literal,)+
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$note])* $variant,)+
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use words;

words! {
    /// What was executed.
    RunKind {
        Export = "export",
        Transfer = "transfer",
        Import = "import",
        Watch = "watch",
        Rollback = "rollback",
        Promotion = "promotion",
    }
}

words! {
    /// What started it.
    Trigger {
        Manual = "manual",
        Source = "source",
        Schedule = "schedule",
    }
}

words! {
    RunStatus {
        Running = "running",
        Done = "done",
        PartlyFailed = "partly failed",
        Failed = "failed",
        /// Killed, or stopped by a signal.
        Interrupted = "interrupted",
        /// The bundle was not admitted.
        Refused = "refused",
        /// Stopped because somebody has asked for it.
        Cancelled = "cancelled",
    }
}

/// Where a run comes from beside its command: a pipeline of the configuration file, and the run that it repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunLink {
    /// `KIND.NAME` of the pipeline's section; by hand there is none.
    pub section: Option<String>,
    pub rerun_of: Option<RunId>,
    /// The artifacts or bundles that it was asked for in place of all, as they were typed.
    pub named: Vec<String>,
}

/// A run about to start. What is not known yet is `None` and told at its end.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub kind: RunKind,
    /// The pipeline's name.
    pub pipeline: Option<String>,
    pub trigger: Trigger,
    /// Login name and user id, as `cli` gives them.
    pub who: String,
    /// Why, in the words of whoever started it.
    pub comment: Option<String>,
    /// The storage container as messages show it: never with a secret.
    pub container: Option<String>,
    pub target: Option<String>,
    pub bundle: Option<String>,
    pub set: Option<String>,
    pub inventory: Option<Digest>,
    pub sequence: Option<u64>,
    pub link: RunLink,
}

impl NewRun {
    /// The name that people know the pipeline by: that of its section, or else of the bundle's pipeline.
    pub fn pipeline_name(&self) -> Option<&str> {
        let section = self.link.section.as_deref();
        let name = section.and_then(|section| section.split_once('.'));
        name.map(|(_, name)| name).or(self.pipeline.as_deref())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArtifactCounts {
    pub total: u64,
    pub delivered: u64,
    pub unchanged: u64,
    pub kept: u64,
    pub failed: u64,
}

/// How many artifacts of a repository there were, and what became of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryCounts {
    pub repository: String,
    pub artifacts: ArtifactCounts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFailure {
    pub artifact: String,
    pub reason: String,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutcome {
    pub status: RunStatus,
    pub moved_bytes: u64,
    /// Bytes that were at their place before.
    pub present_bytes: u64,
    pub artifacts: ArtifactCounts,
    pub repositories: Vec<RepositoryCounts>,
    pub reason: Option<String>,
    pub failures: Vec<RunFailure>,
    /// What is recorded in the audit log with the end of the run; a refusal need not be among them.
    pub events: Vec<AuditEntry>,
    /// What it has carried, where that may be several bundles.
    pub bundles: Vec<RunBundle>,
    /// What only became known meanwhile; `None` leaves what the start said.
    pub inventory: Option<Digest>,
    pub sequence: Option<u64>,
}

impl RunOutcome {
    /// An outcome without any artifact.
    pub fn new(status: RunStatus) -> Self {
        Self {
            status,
            moved_bytes: 0,
            present_bytes: 0,
            artifacts: ArtifactCounts::default(),
            repositories: Vec::new(),
            reason: None,
            failures: Vec::new(),
            events: Vec::new(),
            bundles: Vec::new(),
            inventory: None,
            sequence: None,
        }
    }

    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// A run as the ledger has it.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: RunId,
    pub start: NewRun,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    /// Without failures, repositories, bundles and events, of which there may be many: see
    /// [`Ledger::list_failures`](super::Ledger::list_failures),
    /// [`Ledger::list_repositories`](super::Ledger::list_repositories) and
    /// [`Ledger::list_bundles`](super::Ledger::list_bundles).
    pub outcome: RunOutcome,
    /// Who has asked it to stop.
    pub cancel_asked_by: Option<String>,
}

impl Run {
    /// How long it took, or has taken until `now`.
    pub fn duration(&self, now: Timestamp) -> SignedDuration {
        let until = self.ended.unwrap_or(now);
        until.duration_since(self.started).max(SignedDuration::ZERO)
    }

    /// Bytes moved in a second on average, where there was anything to measure.
    pub fn bytes_per_second(&self, now: Timestamp) -> Option<u64> {
        let millis = u128::try_from(self.duration(now).as_millis()).ok()?;
        let moved = u128::from(self.outcome.moved_bytes);
        match (millis, moved) {
            (0, _) | (_, 0) => None,
            (millis, moved) => u64::try_from(moved * 1000 / millis).ok(),
        }
    }
}

words! {
    /// What the bytes of a progress are.
    RunPhase {
        Moving = "moving",
        /// What was delivered is read again.
        ReadingBack = "reading back",
    }
}

/// How far a run has come. A killed one stays where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunProgress {
    pub phase: RunPhase,
    pub contents: u64,
    pub contents_done: u64,
    pub size_bytes: u64,
    /// Moved, or found at their place.
    pub done_bytes: u64,
    pub updated: Timestamp,
}
