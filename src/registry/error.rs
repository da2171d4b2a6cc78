//! What can go wrong with a registry, and what somebody can do about it.
//!
//! Whether something is tried again is decided here and in `retry`, nowhere else: unknown means permanent.
//! Text from a registry is bounded, escaped and introduced as such; a URL is never part of a message.
//!
//! Specification: distribution-spec, "Error Codes".

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::addresses::AddressRefused;
use super::retry;
use crate::content::{self, ErrorKind, escape_control};
use crate::http::{self, ConnectionCause};

pub(super) type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// How much of the text of a registry is shown.
const TEXT_LENGTH_MAX: usize = 400;

/// Codes that say no whatever the status is: those of registries, and those of AWS.
const DENIALS: [&str; 7] = [
    "DENIED",
    "UNAUTHORIZED",
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
];

#[derive(Clone, Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("`{0}` is not a registry: expected `HOST` or `HOST:PORT`")]
    InvalidHost(String),
    #[error("a certificate authority for `{host}` is not a PEM certificate")]
    InvalidAuthority {
        host: String,
        #[source]
        cause: Option<Arc<reqwest::Error>>,
    },
    #[error("cannot set up connections to `{host}`")]
    Setup {
        host: String,
        #[source]
        cause: Arc<reqwest::Error>,
    },
    #[error("the connection to `{host}` failed")]
    Connection {
        host: String,
        is_temporary: bool,
        #[source]
        cause: ConnectionCause,
    },
    #[error("`{host}` was silent for {} s", .after.as_secs())]
    Silent { host: String, after: Duration },
    /// The transfer ended early, and can go on from where it ended.
    #[error("`{host}` ended the transfer early")]
    Interrupted { host: String },
    #[error(transparent)]
    Answer(Answer),
    #[error("the login at `{host}` has expired")]
    LoginExpired { host: String },
    #[error("cannot log in to `{host}`: {reason}")]
    Login { host: String, reason: String },
    #[error("`{host}` {what}, which is refused")]
    Refused { host: String, what: String },
    #[error("`{host}` gave an answer that is not one of a registry: {what}")]
    Malformed { host: String, what: String },
    #[error("`{host}` {what}")]
    Unverified { host: String, what: String },
    #[error("`{host}` {what}")]
    Unsupported { host: String, what: String },
    /// The content that was to be pushed could not be read.
    #[error("the content cannot be read")]
    Content(#[source] Arc<content::Error>),
}

impl RegistryError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Answer(answer) => answer.kind(),
            Self::Login { .. } => ErrorKind::Denied,
            Self::Connection { is_temporary, .. } if !is_temporary => ErrorKind::Failed,
            Self::Connection { .. }
            | Self::Silent { .. }
            | Self::Interrupted { .. }
            | Self::LoginExpired { .. } => ErrorKind::Temporary { retry_after: None },
            Self::Refused { .. } => ErrorKind::Refused,
            Self::Unverified { .. } => ErrorKind::Unverified,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Content(error) => error.kind(),
            Self::InvalidHost(_)
            | Self::InvalidAuthority { .. }
            | Self::Setup { .. }
            | Self::Malformed { .. } => ErrorKind::Failed,
        }
    }

    pub fn is_temporary(&self) -> bool {
        matches!(self.kind(), ErrorKind::Temporary { .. })
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    pub(super) fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answer(answer) => Some(answer),
            _ => None,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.answer().and_then(|answer| answer.retry_after)
    }

    /// The same failure, told as part of what was being done.
    pub(super) fn during(self, action: impl Into<String>) -> content::Error {
        match self {
            Self::Content(error) => {
                content::Error::new(error.kind(), action).with_cause(Self::Content(error))
            }
            other => content::Error::new(other.kind(), action).with_cause(other),
        }
    }

    /// A request that got no answer, or an answer whose body broke off.
    pub(super) fn connection(host: &str, cause: reqwest::Error) -> Self {
        Self::Connection {
            host: host.to_owned(),
            is_temporary: !is_hopeless(&cause),
            cause: ConnectionCause::of(&cause.without_url()),
        }
    }

    pub(super) fn malformed(host: &str, what: impl Into<String>) -> Self {
        Self::Malformed {
            host: host.to_owned(),
            what: what.into(),
        }
    }

    pub(super) fn unverified(host: &str, what: impl Into<String>) -> Self {
        Self::Unverified {
            host: host.to_owned(),
            what: what.into(),
        }
    }

    pub(super) fn refused(host: &str, what: impl Into<String>) -> Self {
        Self::Refused {
            host: host.to_owned(),
            what: what.into(),
        }
    }
}

/// A certificate that does not convince, an address that is refused and a name that nobody has stay so.
fn is_hopeless(error: &reqwest::Error) -> bool {
    http::is_hopeless(error) || http::causes(error).any(<dyn StdError>::is::<AddressRefused>)
}

/// A status that says no, with what the registry wrote about it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub host: String,
    pub status: StatusCode,
    /// The first error code of the envelope, such as `MANIFEST_UNKNOWN`.
    pub code: Option<String>,
    /// What the registry says, bounded and escaped.
    pub text: Option<String>,
    pub retry_after: Option<Duration>,
    no_space: bool,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    errors: Vec<EnvelopeEntry>,
}

#[derive(Deserialize)]
struct EnvelopeEntry {
    code: Option<String>,
    message: Option<String>,
}

/// The one error that a service of AWS tells, without a list; the name of its model may stand before the code. Some
/// tell the message twice, in both spellings.
fn entry_of_aws(body: &[u8]) -> Option<EnvelopeEntry> {
    let told: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| told.get(name)?.as_str().map(str::to_owned);
    let code = text("__type")?.rsplit('#').next().map(str::to_owned);
    let message = text("message").or_else(|| text("Message"));
    Some(EnvelopeEntry { code, message })
}

impl Answer {
    pub(super) fn new(host: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let entry = serde_json::from_slice::<Envelope>(body)
            .ok()
            .and_then(|envelope| envelope.errors.into_iter().next())
            .or_else(|| entry_of_aws(body));
        let text = match &entry {
            Some(entry) => entry.message.clone(),
            None => Some(String::from_utf8_lossy(body).trim().to_owned()),
        };
        Self {
            host: host.to_owned(),
            status,
            code: entry.and_then(|entry| entry.code).map(|code| shown(&code)),
            text: text
                .map(|text| shown(&text))
                .filter(|text| !text.is_empty()),
            retry_after: retry::retry_after(headers, std::time::SystemTime::now()),
            no_space: speaks_of_space(body),
        }
    }

    pub(super) fn has_code(&self, codes: &[&str]) -> bool {
        self.code
            .as_deref()
            .is_some_and(|code| codes.contains(&code))
    }

    /// The table of statuses and codes.
    pub fn kind(&self) -> ErrorKind {
        let status = self.status.as_u16();
        match status {
            507 => ErrorKind::NoSpace,
            403 | 412 | 413 | 500.. if self.no_space => ErrorKind::NoSpace,
            401 | 403 => ErrorKind::Denied,
            404 if self.has_code(&["MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID"]) => {
                ErrorKind::Refused
            }
            404 => ErrorKind::NotFound,
            405 | 501 => ErrorKind::Unsupported,
            _ if retry::is_retried(self.status) => ErrorKind::Temporary {
                retry_after: self.retry_after,
            },
            400..500 if self.has_code(&DENIALS) => ErrorKind::Denied,
            400 if self.has_code(&["ThrottlingException"]) => ErrorKind::Temporary {
                retry_after: self.retry_after,
            },
            400..500 => ErrorKind::Refused,
            _ => ErrorKind::Failed,
        }
    }
}

impl StdError for Answer {}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` answered {}", self.host, self.status)?;
        match (&self.code, &self.text) {
            (Some(code), Some(text)) => write!(f, "; the registry says: {code}: {text}"),
            (Some(said), None) | (None, Some(said)) => write!(f, "; the registry says: {said}"),
            (None, None) => Ok(()),
        }?;
        match self.retry_after {
            Some(wait) => write!(f, "; it asks to wait {} s", wait.as_secs()),
            None => Ok(()),
        }
    }
}

fn shown(text: &str) -> String {
    let mut cut = escape_control(text);
    if let Some((end, _)) = cut.char_indices().nth(TEXT_LENGTH_MAX) {
        cut.truncate(end);
        cut.push('…');
    }
    cut
}

/// Registries report a full disk as an unknown error with the operating system's words or number (28)
/// in its detail, and a full project by its quota.
fn speaks_of_space(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_lowercase();
    [
        "no space left on device",
        "disk quota exceeded",
        "quota exceeded",
        "storage resource, which when updated",
        "insufficient storage",
        "\"err\":28",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}
