//! The error of everything that moves content, sorted by what somebody can do about it.
//!
//! An implementation keeps its own detailed error and hands it over as the cause; the kind is what the
//! copy, the retry and the exit code act on. The message never repeats its cause.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A definitive answer: it is not there.
    NotFound,
    /// It is there already, and was not to be replaced.
    AlreadyExists,
    /// Not logged in, or not allowed.
    Denied,
    /// The bytes are not what their digest, size or signature says.
    Unverified,
    /// The object ends before its end entry: it may still be arriving.
    Incomplete,
    /// Somebody else changed it while it was read.
    Changed,
    /// The other side refuses this content, and will refuse it again.
    Refused,
    /// The other side cannot do this.
    Unsupported,
    /// No room left on the device or in the quota.
    NoSpace,
    /// May work when tried again, not before the given time has passed.
    Temporary { retry_after: Option<Duration> },
    /// Anything else.
    Failed,
}

/// What was being done, to what, and why it failed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    is_of_source: bool,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// `message` says what was being done to which named thing: lower case, no period, no cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: escape_control(&message.into()),
            is_of_source: false,
            cause: None,
        }
    }

    pub fn with_cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// An input or output error of the operating system, sorted by its kind.
    pub fn io(message: impl Into<String>, cause: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match cause.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::NoSpace,
            _ => ErrorKind::Failed,
        };
        Self::new(kind, message).with_cause(cause)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub fn unverified(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unverified, message)
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, ErrorKind::Temporary { .. })
    }

    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }

    /// The same failure, with the side that it happened on.
    pub fn on_side(mut self, side: &str) -> Self {
        self.message = format!("{side}: {}", self.message);
        self
    }

    /// The same failure, marked as one of the place that content is read from. It may pass through the hands of
    /// whoever writes the content, and is not theirs.
    pub(super) fn of_source(mut self) -> Self {
        self.is_of_source = true;
        self
    }

    /// Whether it, or what caused it, is a failure of the place that content is read from.
    pub fn is_of_source(&self) -> bool {
        let mut next: Option<&(dyn StdError + 'static)> = Some(self);
        while let Some(cause) = next {
            // One that has broken a connection is shared with it.
            let shared = cause.downcast_ref::<Arc<Self>>().map(|error| &**error);
            let error = cause.downcast_ref::<Self>().or(shared);
            if error.is_some_and(|error| error.is_of_source) {
                return true;
            }
            next = cause.source();
        }
        false
    }

    /// The same failure, told as part of a larger action.
    pub fn within(self, message: impl Into<String>) -> Self {
        Self::new(self.kind, message).with_cause(self)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}

/// Remote text with control characters and direction overrides made visible, for terminals and logs.
pub fn escape_control(text: &str) -> String {
    let is_hostile = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_hostile) {
        return text.to_owned();
    }
    text.chars().fold(String::new(), |mut safe, c| {
        if is_hostile(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
        safe
    })
}
