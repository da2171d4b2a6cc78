//! Exit codes. The README and every `--help` list them.

use std::process::ExitCode;

use crate::content::ErrorKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    PartlyFailed = 3,
    Unverified = 4,
    Denied = 5,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unverified | ErrorKind::Incomplete | ErrorKind::Changed => Self::Unverified,
            ErrorKind::Denied => Self::Denied,
            _ => Self::Failed,
        }
    }
}
