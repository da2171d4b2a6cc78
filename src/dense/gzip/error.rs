//! What can go wrong: the two ends of the stream, a limit, or a recompression that does not hold.
//!
//! Strange *content* is no error of [`super::take_apart()`]: it answers that the blob goes verbatim.

use std::io;

/// Why a stream could not be taken apart, read or put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A number in a recompression is larger than this program allows.
    #[error("a recompression has more {what} than the limit of {limit}")]
    Limit {
        /// What is too many or too large, in the plural.
        what: &'static str,
        /// The largest value that is allowed.
        limit: u64,
    },

    /// A recompression names a compressor that this program does not know.
    #[error("the compressor `{name}` is unknown")]
    UnknownMethod {
        /// The name as it was read, with control characters escaped.
        name: String,
    },

    /// A recompression does not have the form that the format gives it, or does not fit its plain text.
    #[error("a recompression is damaged: {what}")]
    Damaged {
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Error {
    pub(super) const fn damaged(what: &'static str) -> Self {
        Self::Damaged { what }
    }
}
