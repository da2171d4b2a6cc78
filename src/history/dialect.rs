//! What is `SQLite`'s alone: opening the database, beginning a write, and what its error codes mean.
//!
//! The other files of this room name no database. Another dialect is another file like this one.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use crate::content::ErrorKind;

pub(super) type Database = Sqlite;
pub(super) type Pool = SqlitePool;
pub(super) type Row = sqlx::sqlite::SqliteRow;
pub(super) type Transaction = sqlx::Transaction<'static, Database>;

/// How long a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Readers beside the one writer that `SQLite` allows.
const CONNECTIONS_MAX: u32 = 4;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/history/migrations");

/// A transaction that reads and then writes asks for the right to write at its start: a reader that turns
/// writer is refused at once when another one has written meanwhile, whatever the timeout.
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// Takes what is due or abandoned, oldest first. `PostgreSQL` wants `FOR UPDATE SKIP LOCKED` in the inner query.
pub(super) const CLAIM_NEXT: &str = "
    UPDATE claim
    SET state = 'claimed', holder = $1, lease_until_ms = $2, fence = fence + 1, attempts = attempts + 1
    WHERE object = (
        SELECT object FROM claim
        WHERE (state = 'waiting' AND next_try_ms <= $3) OR (state = 'claimed' AND lease_until_ms <= $3)
        ORDER BY next_try_ms, offered_ms, object
        LIMIT 1
    )
    RETURNING object, fence, attempts";

/// Hosts of the sources of what was imported below `$1`. A layout is no registry.
pub(super) const SOURCE_HOSTS: &str = "
    SELECT DISTINCT substr(source, 1, instr(source, '/') - 1) AS host FROM audit
    WHERE kind = 'imported' AND substr(target, 1, length($1)) = $1 AND instr(source, '/') > 1
        AND source NOT LIKE 'oci:%'
    ORDER BY host";

/// Rollback tags of targets from `$1`, a repository and a `:`, up to `$2`, the same and a `;`, which is the next byte.
/// Texts are compared byte by byte, so that the index serves; `PostgreSQL` wants `COLLATE "C"` for it.
pub(super) const ROLLBACK_TAGS: &str = "
    SELECT DISTINCT rollback_tag FROM audit
    WHERE rollback_tag IS NOT NULL AND target >= $1 AND target < $2";

pub(super) async fn open(file: &Path) -> sqlx::Result<Pool> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    SqlitePoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(2 * BUSY_TIMEOUT)
        .connect_with(options)
        .await
}

/// The version of the tables that this program writes.
pub(super) fn version() -> i64 {
    MIGRATIONS.iter().map(|it| it.version).max().unwrap_or(0)
}

/// The version of tables that this program does not know.
pub(super) fn newer_version(error: &sqlx::Error) -> Option<i64> {
    match error {
        sqlx::Error::Migrate(cause) => match **cause {
            MigrateError::VersionMissing(found) => Some(found),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the table that was asked for is not there; `SQLite` has no code for it alone.
pub(super) fn is_table_missing(error: &sqlx::Error, table: &str) -> bool {
    let missing = format!("no such table: {table}");
    let told = error
        .as_database_error()
        .map(sqlx::error::DatabaseError::message);
    told.is_some_and(|told| told == missing || told == format!("no such table: main.{table}"))
}

/// What somebody can do about an error of the database.
pub(super) fn kind_of(error: &sqlx::Error) -> ErrorKind {
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return ErrorKind::Temporary { retry_after: None };
    }
    let Some(database) = error.as_database_error() else {
        return ErrorKind::Failed;
    };
    if database.is_unique_violation() {
        return ErrorKind::AlreadyExists;
    }
    let code = database
        .code()
        .and_then(|code| code.parse::<u32>().ok())
        .unwrap_or(0);
    // The low byte is the primary code, the rest tells more of it.
    match code & 0xff {
        5 | 6 => ErrorKind::Temporary { retry_after: None },
        3 | 8 | 14 => ErrorKind::Denied,
        13 => ErrorKind::NoSpace,
        _ => ErrorKind::Failed,
    }
}
