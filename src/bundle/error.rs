//! What can be wrong with a volume, sorted by what the reader of the message does next.

use std::fmt;

use super::end_entry::InvalidEnd;
use super::inventory::InvalidInventory;
use super::seek_table::InvalidSeekTable;
use super::trust::NotTrusted;
use crate::content::{Error, ErrorKind};

/// What a tar header has room for.
const NAME_SHOWN_MAX_BYTES: usize = 100;

/// The place in a volume that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    SeekTable,
    Frame(u64),
    Entry(String),
    Signatures,
    End,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SeekTable => f.write_str("the seek table"),
            Self::Frame(number) => write!(f, "frame {number}"),
            Self::Entry(name) => write!(f, "the entry `{name}`"),
            Self::Signatures => f.write_str("the list of signatures"),
            Self::End => f.write_str("the end entry"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("it is not an airlift bundle")]
    NotABundle,
    #[error("it is incomplete: it ends before its end entry")]
    Incomplete,
    #[error("{0} is damaged")]
    Damaged(Part),
    #[error(
        "`{found}` stands where the entry `{expected}` should, and the inventory does not list it"
    )]
    Unlisted { found: String, expected: String },
    #[error("the header of the entry `{0}` is not that of a plain file as the writer makes it")]
    Header(String),
    #[error("the end entry cannot be used")]
    End(#[source] InvalidEnd),
    #[error("the inventory is refused")]
    Inventory(#[from] InvalidInventory),
    #[error("the signatures are refused")]
    NotTrusted(#[from] NotTrusted),
    #[error(transparent)]
    Content(#[from] Error),
}

impl BundleError {
    /// `found` stands where the header of `expected` should. Whoever sees only a part of an entry's bytes
    /// gives that part.
    pub(super) fn wrong_header(found: &[u8], expected: &str) -> Self {
        let name = found.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(&name[..name.len().min(NAME_SHOWN_MAX_BYTES)]);
        if expected.starts_with(&*name) && !name.is_empty() {
            return Self::Header(expected.to_owned());
        }
        Self::Unlisted {
            found: name.escape_default().to_string(),
            expected: expected.to_owned(),
        }
    }
}

impl From<InvalidSeekTable> for BundleError {
    fn from(invalid: InvalidSeekTable) -> Self {
        match invalid {
            InvalidSeekTable::Missing => Self::Incomplete,
            InvalidSeekTable::Damaged | InvalidSeekTable::TooLong => Self::Damaged(Part::SeekTable),
        }
    }
}

impl From<InvalidEnd> for BundleError {
    fn from(invalid: InvalidEnd) -> Self {
        Self::End(invalid)
    }
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Self {
        let kind = match error {
            BundleError::Content(error) => return error,
            BundleError::Incomplete => ErrorKind::Incomplete,
            BundleError::NotABundle
            | BundleError::Damaged(_)
            | BundleError::Unlisted { .. }
            | BundleError::Header(_)
            | BundleError::End(_)
            | BundleError::Inventory(_)
            | BundleError::NotTrusted(_) => ErrorKind::Unverified,
        };
        Self::new(kind, "cannot read the volume").with_cause(error)
    }
}
