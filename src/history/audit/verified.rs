//! The chain of a ledger, and of an exported file, from the first record to the last.

use std::io::BufRead;

use futures_util::TryStreamExt;

use super::chain::{ChainBreak, ChainCheck, CheckedChain};
use super::head::AuditHead;
use super::record::AuditRecord;
use crate::content::{Error, Result};
use crate::history::ledger::Ledger;

impl Ledger {
    /// Checks the whole log, against its own head and those that were noted elsewhere.
    pub async fn check_audit(&self, mut noted: Vec<AuditHead>) -> Result<CheckedChain> {
        noted.extend(self.read_audit_head()?);
        let mut check = ChainCheck::of_log(noted);
        let mut records = std::pin::pin!(self.read_audit(0));
        while let Some(record) = records.try_next().await? {
            self.take(&mut check, record.as_ref())?;
        }
        check.finish().map_err(|broken| self.tampered(broken))
    }

    fn take(&self, check: &mut ChainCheck, record: Option<&AuditRecord>) -> Result<()> {
        let taken = match record {
            Some(record) => check.take(record),
            None => Err(ChainBreak::Unreadable(check.next_number())),
        };
        taken.map_err(|broken| self.tampered(broken))
    }

    fn tampered(&self, broken: ChainBreak) -> Error {
        tampered(&format!("the state directory `{}`", self.shown()), broken)
    }
}

/// The error of a history that is not as it was written.
pub(in crate::history) fn tampered(
    place: &str,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::unverified(format!("the history in {place} was tampered with")).with_cause(cause)
}

/// Why a file is not what an export has printed.
#[derive(Debug, thiserror::Error)]
pub enum InvalidExport {
    #[error("it has no record, and an export of a log has one at least")]
    Empty,
    #[error(transparent)]
    NoRecord(#[from] serde_json::Error),
    #[error(transparent)]
    Broken(#[from] ChainBreak),
}

/// Checks exported lines, which may be a part of a log; `shown` is what they were read from.
pub fn check_export(
    lines: impl BufRead,
    shown: &str,
    noted: Vec<AuditHead>,
) -> Result<CheckedChain> {
    let place = format!("`{shown}`");
    let broken = |cause: ChainBreak| tampered(&place, InvalidExport::Broken(cause));
    let mut check = ChainCheck::of_part(noted);
    for (line, text) in (1..).zip(lines.split(b'\n')) {
        let text = text.map_err(|cause| Error::io(format!("cannot read `{shown}`"), cause))?;
        let record: AuditRecord = serde_json::from_slice(&text).map_err(|cause| {
            let message = format!("line {line} of {place} is no record of an audit log");
            Error::unverified(message).with_cause(InvalidExport::NoRecord(cause))
        })?;
        check.take(&record).map_err(broken)?;
    }
    let checked = check.finish().map_err(broken)?;
    match checked.records {
        0 => {
            let message = format!("cannot verify {place}");
            Err(Error::unverified(message).with_cause(InvalidExport::Empty))
        }
        _ => Ok(checked),
    }
}
