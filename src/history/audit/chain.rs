//! Whether records are what was once written: a check over a stream of them that names the first bad one.
//!
//! Pure. It proves that nothing between the first and the last record was changed, left out, moved or put in. That
//! nothing was cut off at the end, and that not everything was written anew, only a head can prove that was noted
//! before. Specification: SCHEMA.md, "The audit log".

use super::head::AuditHead;
use super::record::AuditRecord;
use crate::oci::Digest;

/// The first record that is not right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainBreak {
    #[error("its table is missing: somebody has removed the whole log")]
    Removed,
    #[error("record {0} was changed: its hash is not that of its content")]
    Changed(u64),
    #[error("record {0} cannot be read: it was changed")]
    Unreadable(u64),
    #[error("record {} does not follow from record {}: one of them was replaced", .0, .0 - 1)]
    Unlinked(u64),
    #[error("{} missing", show_range(*first, *last))]
    Missing { first: u64, last: u64 },
    #[error("record {found} stands where record {expected} has to be")]
    OutOfPlace { found: u64, expected: u64 },
    #[error("{} missing: the newest was once record {last}", show_range(*first, *last))]
    CutOff { first: u64, last: u64 },
    #[error("record {0} is not the one that was noted: it, or one before it, was written anew")]
    NotAsNoted(u64),
}

fn show_range(first: u64, last: u64) -> String {
    match first == last {
        true => format!("record {first} is"),
        false => format!("records {first} to {last} are"),
    }
}

/// What was found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedChain {
    pub records: u64,
    /// The number of the first record; 1 where the chain is whole.
    pub first: Option<u64>,
    pub head: Option<AuditHead>,
}

/// A check that goes on from record to record.
pub struct ChainCheck {
    /// The next record's number; `None` where a part may begin anywhere.
    expected: Option<u64>,
    /// Of the record before.
    link: Option<Digest>,
    records: u64,
    first: Option<u64>,
    noted: Vec<AuditHead>,
}

impl ChainCheck {
    /// Of a whole log, which begins with record 1.
    pub fn of_log(noted: Vec<AuditHead>) -> Self {
        Self {
            expected: Some(1),
            link: None,
            records: 0,
            first: None,
            noted,
        }
    }

    /// Of a part of a log, which may begin anywhere.
    pub fn of_part(noted: Vec<AuditHead>) -> Self {
        Self {
            expected: None,
            ..Self::of_log(noted)
        }
    }

    /// The number that the next record has to have.
    pub fn next_number(&self) -> u64 {
        self.expected.unwrap_or(1)
    }

    pub fn take(&mut self, record: &AuditRecord) -> Result<(), ChainBreak> {
        let number = record.number;
        self.check_place(number)?;
        if record.hash.as_ref() != Some(&record.compute_hash()) {
            return Err(ChainBreak::Changed(number));
        }
        // A part says by itself what came before it.
        let is_linked = match self.records == 0 && self.expected.is_none() && number > 1 {
            true => record.previous.is_some(),
            false => record.previous == self.link,
        };
        if !is_linked {
            return Err(match number {
                0 | 1 => ChainBreak::Changed(number),
                number => ChainBreak::Unlinked(number),
            });
        }
        if self.records == 0 {
            self.check_noted(number.saturating_sub(1), record.previous.as_ref())?;
            self.first = Some(number);
        }
        self.check_noted(number, record.hash.as_ref())?;
        self.records += 1;
        self.expected = Some(number.saturating_add(1));
        self.link.clone_from(&record.hash);
        Ok(())
    }

    fn check_place(&self, number: u64) -> Result<(), ChainBreak> {
        match self.expected {
            None => Ok(()),
            Some(expected) if expected == number => Ok(()),
            Some(expected) if number > expected => Err(ChainBreak::Missing {
                first: expected,
                last: number - 1,
            }),
            Some(expected) => Err(ChainBreak::OutOfPlace {
                found: number,
                expected,
            }),
        }
    }

    fn check_noted(&self, number: u64, hash: Option<&Digest>) -> Result<(), ChainBreak> {
        let mut noted = self.noted.iter().filter(|head| head.number == number);
        match number > 0 && noted.any(|head| Some(&head.hash) != hash) {
            true => Err(ChainBreak::NotAsNoted(number)),
            false => Ok(()),
        }
    }

    /// After the last record.
    pub fn finish(self) -> Result<CheckedChain, ChainBreak> {
        let next = self.next_number();
        let newest = self.noted.iter().map(|head| head.number).max();
        if let Some(last) = newest.filter(|newest| *newest >= next) {
            return Err(ChainBreak::CutOff { first: next, last });
        }
        let head = self.link.map(|hash| AuditHead {
            number: next - 1,
            hash,
        });
        Ok(CheckedChain {
            records: self.records,
            first: self.first,
            head,
        })
    }
}
