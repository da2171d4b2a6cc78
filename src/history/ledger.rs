//! The ledger itself: the open database, its transactions, and errors that name the state directory.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::audit::{ChainBreak, tampered};
use super::dialect::{self, Pool, Transaction};
use super::directory::{Hold, Presence, StateDirectory};
use super::id::RunId;
use super::interruption::Interruption;
use super::sequence::Lane;
use crate::content::{Error, ErrorKind, Result};

/// An open ledger. Cheap to clone; clones share its connections.
#[derive(Clone, Debug)]
pub struct Ledger {
    pool: Pool,
    directory: Arc<StateDirectory>,
    presence: Arc<Presence>,
    interruption: Interruption,
}

impl Ledger {
    /// Opens the ledger in `directory`, making both where they are missing. Runs that are still `running` and
    /// that nobody executes were killed, and are marked so; where no other process uses the directory, what was
    /// claimed is free again.
    pub async fn open(directory: &Path) -> Result<Self> {
        let directory = StateDirectory::create(directory)?;
        let presence = directory.enter().await?;
        let fail = |error| explain(&directory, "cannot open the ledger", error);
        let pool = dialect::open(&directory.database()).await.map_err(fail)?;
        migrate(&pool)
            .await
            .map_err(|error| match dialect::newer_version(&error) {
                Some(version) => refuse_newer(&directory, version),
                None => fail(error),
            })?;
        let ledger = Self {
            pool,
            directory: Arc::new(directory),
            presence: Arc::new(presence),
            interruption: Interruption::default(),
        };
        if ledger.presence.is_alone {
            ledger.release_abandoned_claims().await?;
            ledger.presence.share().map_err(|cause| {
                let shown = ledger.directory.shown();
                Error::io(format!("cannot use the state directory `{shown}`"), cause)
            })?;
        }
        ledger.interrupt_abandoned_runs(Timestamp::now()).await?;
        Ok(ledger)
    }

    /// Runs that begin in this ledger and are dropped when `interruption` was announced are recorded with its reason.
    pub fn ended_by(self, interruption: &Interruption) -> Self {
        Self {
            interruption: interruption.clone(),
            ..self
        }
    }

    pub(super) fn interruption(&self) -> &Interruption {
        &self.interruption
    }

    /// Waits until no other delivery to the lane is under way, in this process or another.
    pub async fn hold_lane(&self, lane: &Lane) -> Result<Hold> {
        let Lane {
            pipeline,
            name,
            target,
        } = lane;
        self.directory
            .hold(&format!("{pipeline}\n{name}\n{target}"))
            .await
    }

    /// The sign that a run is alive: it ends with the process, however that ends.
    pub(super) async fn hold_run(&self, run: &RunId) -> Result<Hold> {
        self.directory.hold(&run_lock(run)).await
    }

    /// Whether a process executes the run at this moment.
    pub(super) fn is_alive(&self, run: &RunId) -> Result<bool> {
        self.directory.is_held(&run_lock(run))
    }

    /// Removes what a killed process has left in place of its lock.
    pub(super) fn clear_hold_of(&self, run: &RunId) {
        self.directory.clear_hold(&run_lock(run));
    }

    /// Waits until no other export of the pipeline is under way, in this process or another.
    pub async fn hold_pipeline(&self, name: &str) -> Result<Hold> {
        self.directory.hold(&format!("export\n{name}")).await
    }

    pub(super) fn directory(&self) -> &StateDirectory {
        &self.directory
    }

    /// The state directory, for what is kept beside the ledger.
    pub fn state_path(&self) -> &Path {
        self.directory.path()
    }

    /// The state directory, for messages.
    pub fn shown(&self) -> String {
        self.directory.shown()
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Begins a transaction that will write. Dropped without a commit it has changed nothing.
    pub(super) async fn begin(&self) -> sqlx::Result<Transaction> {
        self.pool.begin_with(dialect::BEGIN_WRITE).await
    }

    /// An error of the database while doing something.
    pub(super) fn failed(&self, doing: &str) -> impl Fn(sqlx::Error) -> Error {
        move |error| explain(&self.directory, doing, error)
    }

    /// The same for what was read and makes no sense.
    pub(super) fn damaged(&self, what: &str) -> Error {
        let shown = self.directory.shown();
        Error::new(
            ErrorKind::Failed,
            format!("the ledger in `{shown}` holds {what} that cannot be"),
        )
    }
}

/// A newer program has written the ledger, and this one does not know what it means.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a newer airlift has written `{file}`: its tables have version {version}, and this program knows {known}"
)]
pub struct NewerLedger {
    pub file: String,
    pub version: i64,
    pub known: i64,
}

fn refuse_newer(directory: &StateDirectory, version: i64) -> Error {
    let shown = directory.shown();
    let newer = NewerLedger {
        file: directory.database().display().to_string(),
        version,
        known: dialect::version(),
    };
    Error::new(
        ErrorKind::Unsupported,
        format!("cannot open the ledger in the state directory `{shown}`"),
    )
    .with_cause(newer)
}

/// Migrations are not locked by `SQLite`; who finds that another process was faster looks again.
async fn migrate(pool: &Pool) -> sqlx::Result<()> {
    let migrated = match dialect::MIGRATIONS.run(pool).await {
        Ok(()) => Ok(()),
        Err(_) => dialect::MIGRATIONS.run(pool).await,
    };
    migrated.map_err(sqlx::Error::from)
}

fn run_lock(run: &RunId) -> String {
    format!("run\n{run}")
}

fn explain(directory: &StateDirectory, doing: &str, error: sqlx::Error) -> Error {
    // Migrations have made it, and nothing of ours removes it.
    if dialect::is_table_missing(&error, "audit") {
        return tampered(
            &format!("the state directory `{}`", directory.shown()),
            ChainBreak::Removed,
        );
    }
    let kind = dialect::kind_of(&error);
    let shown = directory.shown();
    Error::new(kind, format!("{doing} in the state directory `{shown}`")).with_cause(error)
}

/// Milliseconds, as the ledger keeps times.
pub(super) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Counts and numbers of bundles, as the ledger keeps them. What is too large for it cannot be.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
