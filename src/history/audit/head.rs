//! The newest record's number and hash, noted outside of the table, so that a tail that was cut off is missed.
//!
//! `audit.head` is written after the commit: whoever is killed in between leaves an older head, which is right too.
//! It goes forward only along the chain, so that what was cut off stays missed when new records are appended. It is
//! a guard against what is done to the database alone; who can write the whole directory can write it too, and only
//! a head that is kept elsewhere stands against that. Specification: SCHEMA.md, "The audit log".

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::str::FromStr;

use crate::content::{Error, ErrorKind, Result, describe};
use crate::history::ledger::{Ledger, number};
use crate::oci::Digest;

const HEAD_FILE: &str = "audit.head";

/// The end of the chain at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    pub number: u64,
    pub hash: Digest,
}

/// A text that is no head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `NUMBER:HASH`, as `airlift audit verify` prints it")]
pub struct InvalidHead;

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl FromStr for AuditHead {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let (number, hash) = text.trim().split_once(':').ok_or(InvalidHead)?;
        Ok(Self {
            number: number.parse().map_err(|_| InvalidHead)?,
            hash: hash.parse().map_err(|_| InvalidHead)?,
        })
    }
}

impl Ledger {
    /// The head in the state directory. One that cannot be read was tampered with: it is written whole.
    pub fn read_audit_head(&self) -> Result<Option<AuditHead>> {
        let path = self.directory().file(HEAD_FILE);
        let shown = path.display().to_string();
        let text = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(Error::io(format!("cannot read `{shown}`"), cause)),
        };
        let head = text.parse().map_err(|cause: InvalidHead| {
            Error::unverified(format!("`{shown}` holds no head of an audit log")).with_cause(cause)
        });
        head.map(Some)
    }

    /// Notes what was committed. That it could not be noted fails nothing: the older head is right too.
    pub(in crate::history) async fn note_head(&self, head: Option<AuditHead>) {
        let Some(head) = head else { return };
        if let Err(error) = self.advance_head(&head).await {
            let error = describe(&error);
            tracing::warn!(error, "the head of the audit log was not noted");
        }
    }

    /// Refuses a ledger whose history does not have the record that was noted: it was cut off, replaced or rewritten.
    pub(in crate::history) async fn check_noted_head(&self) -> Result<()> {
        let Some(noted) = self.read_audit_head()? else {
            return Ok(());
        };
        match self.has_record(&noted).await? {
            true => Ok(()),
            false => Err(Error::unverified(format!(
                "the history in `{}` does not have its record {} as it was noted in `{HEAD_FILE}`; `airlift audit verify` tells more, and who has put back an older ledger removes `{HEAD_FILE}`",
                self.shown(),
                noted.number
            ))),
        }
    }

    async fn advance_head(&self, head: &AuditHead) -> Result<()> {
        let _hold = self.directory().hold(HEAD_FILE).await?;
        if let Some(noted) = self.read_audit_head()? {
            if noted.number >= head.number {
                return Ok(());
            }
            if !self.has_record(&noted).await? {
                return Err(Error::new(
                    ErrorKind::Unverified,
                    format!("record {} is not the one that was noted", noted.number),
                ));
            }
        }
        self.write_head(head).map_err(|cause| {
            let shown = self.shown();
            Error::io(format!("cannot write `{HEAD_FILE}` in `{shown}`"), cause)
        })
    }

    async fn has_record(&self, head: &AuditHead) -> Result<bool> {
        let row: Option<(String,)> = sqlx::query_as("SELECT hash FROM audit WHERE number = $1")
            .bind(number(head.number))
            .fetch_optional(self.pool())
            .await
            .map_err(self.failed("cannot read the audit log"))?;
        Ok(row.is_some_and(|(hash,)| hash == head.hash.to_string()))
    }

    fn write_head(&self, head: &AuditHead) -> io::Result<()> {
        let directory = self.directory();
        let new = directory.file(&format!("{HEAD_FILE}.new"));
        let mut file = File::create(&new)?;
        writeln!(file, "{head}")?;
        file.sync_all()?;
        fs::rename(new, directory.file(HEAD_FILE))
    }
}
