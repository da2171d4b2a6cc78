//! What clouds say when something fails, told in our kinds and without anything that opens a door.
//!
//! **Invariant.** The errors of the SDKs may hold addresses with signatures in their queries, and never become a
//! cause of ours: only their words do, and every query and signature is taken out of them first.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::time::Duration;

use azure_core::error::ErrorKind as Azure;

use super::answer::ServiceAnswer;
use super::xml::element;
use crate::content::{Error, ErrorKind, escape_control};

/// How much of a service's words is kept.
const WORDS_MAX: usize = 600;
/// What begins a secret in text, whatever is around it.
const SECRETS: [&str; 6] = [
    "sig=",
    "signature=",
    "x-amz-credential=",
    "x-amz-security-token=",
    "authorization:",
    "bearer ",
];

/// What `object_store` writes before the words of a connection that failed.
const LOST_MARK: &str = "HTTP error: ";

/// How the SDK of Azure says that it does not try again.
const GIVEN_UP: [&str; 2] = [
    "retry policy expired and the request will no longer be retried",
    "non-transport error occurred which will not be retried",
];

/// The words of somebody else's error, and of all its causes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Said(String);

impl Said {
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        Self::from_words(&words_of(error))
    }

    pub(super) fn from_words(words: &str) -> Self {
        Self(scrub(words))
    }

    #[cfg(test)]
    pub(super) fn words(&self) -> &str {
        &self.0
    }
}

/// What the error and its causes say.
fn words_of(error: &(dyn StdError + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        // Many errors repeat their cause, and that the SDK gives up is seen.
        if !GIVEN_UP.contains(&said.as_str()) && !words.iter().any(|known| known.contains(&said)) {
            words.push(said);
        }
        next = error.source();
    }
    words.join(": ")
}

/// The text with every document, query and signature left out, on one line and not too long.
pub(super) fn scrub(text: &str) -> String {
    let text = &without_documents(text);
    let mut safe: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        let lower = word.to_ascii_lowercase();
        let query = word.find('?').filter(|at| word[*at..].contains('='));
        let secret = SECRETS.iter().filter_map(|mark| lower.find(mark)).min();
        let cut = match (query, secret) {
            (Some(query), Some(secret)) => query.min(secret),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => word.len(),
        };
        safe.push(&word[..cut]);
        if cut < word.len() {
            safe.push("…");
        }
    }
    let joined = escape_control(&safe.join(" "));
    match joined.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", &joined[..end]),
        None => joined,
    }
}

/// A document of a service or a proxy is nothing to read in an error; what it says is in its code and message.
fn without_documents(text: &str) -> Cow<'_, str> {
    let is_tag = |at: &usize| {
        let next = text[at + 1..].chars().next();
        next.is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '!' | '?' | '/'))
    };
    let Some(start) = text.match_indices('<').map(|(at, _)| at).find(is_tag) else {
        return Cow::Borrowed(text);
    };
    let end = text.rfind('>').filter(|end| *end > start);
    let behind = end.map_or("", |end| &text[end + 1..]);
    let said = ["Code", "Message"].map(|name| element(&text[start..], name));
    let said: Vec<String> = said.into_iter().flatten().collect();
    let said = match said.is_empty() {
        true => "…".to_owned(),
        false => said.join(": ").replace('<', "…"),
    };
    Cow::Owned(format!("{}{said}{behind}", &text[..start]))
}

/// An error of the Azure SDK; `message` says what was being done to what.
pub(super) fn from_azure(message: impl Into<String>, error: &azure_core::Error) -> Error {
    let kind = match error.kind() {
        Azure::HttpResponse {
            status,
            error_code,
            raw_response,
        } => {
            let code = error_code.as_deref().unwrap_or_default();
            let status = u16::from(*status);
            let retry_after = raw_response.as_ref().and_then(|response| {
                let value = response
                    .headers()
                    .get_optional_string(&"retry-after".into());
                value?.parse().ok().map(Duration::from_secs)
            });
            let body: &[u8] = match raw_response {
                Some(response) => response.body().as_ref(),
                None => &[],
            };
            let body = String::from_utf8_lossy(body);
            let answer = ServiceAnswer::new(status, code, &body);
            let kind = kind_of(status, code, retry_after);
            return Error::new(kind, message).with_cause(answer);
        }
        Azure::Io | Azure::Connection => temporary(),
        Azure::Credential => ErrorKind::Denied,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, message).with_cause(Said::of(error))
}

/// An answer that is an error.
pub(super) fn from_answer(message: impl Into<String>, answer: ServiceAnswer) -> Error {
    let kind = kind_of(answer.status, &answer.code, None);
    Error::new(kind, message).with_cause(answer)
}

fn temporary() -> ErrorKind {
    ErrorKind::Temporary { retry_after: None }
}

/// What an answer means, by its status and the service's own code.
fn kind_of(status: u16, code: &str, retry_after: Option<Duration>) -> ErrorKind {
    match (status, code) {
        (409, "BlobAlreadyExists") => ErrorKind::AlreadyExists,
        (409, "PendingCopyOperation") => ErrorKind::Incomplete,
        // Somebody else is at the same name or bucket in this moment.
        (409, "OperationAborted" | "ConditionalRequestConflict") => {
            ErrorKind::Temporary { retry_after }
        }
        (401 | 403, _) => ErrorKind::Denied,
        (404, _) => ErrorKind::NotFound,
        (412, _) => ErrorKind::Changed,
        (416, _) => ErrorKind::Incomplete,
        (501, _) => ErrorKind::Unsupported,
        // It began to answer before it failed.
        (200..=299, _) => ErrorKind::Temporary { retry_after },
        (408 | 429 | 500..=599, _) => ErrorKind::Temporary { retry_after },
        _ => ErrorKind::Failed,
    }
}

/// An error of `object_store`.
pub(super) fn from_object_store(message: impl Into<String>, error: &object_store::Error) -> Error {
    use object_store::Error as Store;
    let words = words_of(error);
    let answer = ServiceAnswer::of_words(&words);
    let kind = match error {
        Store::NotFound { .. } => ErrorKind::NotFound,
        // Any answer of 409 is sorted so.
        Store::AlreadyExists { .. } => match answer.as_ref() {
            Some(answer) if answer.code == "OperationAborted" => temporary(),
            Some(answer) if answer.code == "ConditionalRequestConflict" => temporary(),
            _ => ErrorKind::AlreadyExists,
        },
        Store::Precondition { .. } | Store::NotModified { .. } => ErrorKind::Changed,
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => ErrorKind::Denied,
        Store::NotSupported { .. } | Store::NotImplemented { .. } => ErrorKind::Unsupported,
        Store::InvalidPath { .. } => ErrorKind::Refused,
        Store::Generic { .. } => kind_of_generic(answer.as_ref(), &words),
        _ => ErrorKind::Failed,
    };
    let error = Error::new(kind, message);
    match answer {
        Some(answer) => error.with_cause(answer),
        None => error.with_cause(Said::from_words(&without_request(&words))),
    }
}

/// What was asked of whom is told already; kept is why nothing came back.
fn without_request(words: &str) -> Cow<'_, str> {
    match words.split_once(LOST_MARK) {
        Some((_, why)) => Cow::Owned(format!("the service is not reached: {why}")),
        None => Cow::Borrowed(words),
    }
}

/// What `object_store` sorts under nothing tells its status only in words.
fn kind_of_generic(answer: Option<&ServiceAnswer>, words: &str) -> ErrorKind {
    match answer {
        Some(answer) => kind_of(answer.status, &answer.code, None),
        None if words.contains("error sending request") || words.contains("HTTP error") => {
            temporary()
        }
        None => ErrorKind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_hold_a_query() {
        for text in [
            "GET https://a.blob.core.windows.net/c/o?sv=2024&sig=SECRET%3D: refused",
            "error for url (http://127.0.0.1:10000/a/c?comp=list&sp=rl&sig=SECRET)",
            "<Message>Signature=SECRET</Message>",
            "\"https://b.s3.amazonaws.com/k?X-Amz-Signature=SECRET\" failed",
            "sig=SECRET",
            "sv=2024&SIG=SECRET&x",
        ] {
            let said = Said::from_words(text);
            assert!(!said.words().contains("SECRET"), "{said}");
            assert!(!said.words().contains("sig="), "{said}");
        }
        let page = "login failed: <!DOCTYPE html><html><b>No</b></html> at once";
        assert_eq!(Said::from_words(page).words(), "login failed: … at once");
        let document = "refused: <Error><Code>Busy</Code><Message>a\nb</Message></Error>";
        assert_eq!(Said::from_words(document).words(), "refused: Busy: a b");
        let kept = "cannot connect to `127.0.0.1:9`: is it running? no";
        assert_eq!(Said::from_words(kept).words(), kept);
    }

    #[test]
    fn causes_are_told_once_and_without_their_queries() {
        let inner = std::io::Error::other("https://h/c?sig=SECRET is not there");
        let outer = azure_core::Error::with_error(Azure::Io, inner, "cannot send");
        let error = from_azure("cannot read `x`", &outer);
        let shown = format!("{error:?} {}", error.source().unwrap());
        assert!(error.is_temporary());
        assert!(shown.contains("cannot send") && shown.contains("is not there"));
        assert!(!shown.contains("SECRET"), "{shown}");
    }

    fn generic(source: &str) -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: source.into(),
        }
    }

    #[test]
    fn a_bucket_that_is_not_reached_is_told_without_its_address() {
        let lost = "Error performing PUT http://127.0.0.1:9/drop/one?partNumber=1&uploadId=x in 3s, after 6 retries - \
            HTTP error: error sending request: connection refused";
        let error = from_object_store("cannot write `s3://drop/one`", &generic(lost));
        assert!(error.is_temporary());
        assert_eq!(
            error.source().unwrap().to_string(),
            "the service is not reached: error sending request: connection refused"
        );
    }

    #[test]
    fn a_conflict_that_passes_is_no_object_of_this_name() {
        for code in ["OperationAborted", "ConditionalRequestConflict"] {
            assert_eq!(kind_of(409, code, None), temporary());
            let words = format!(
                "Server returned non-2xx status code: 409 Conflict: <Error><Code>{code}</Code></Error>"
            );
            let conflict = object_store::Error::AlreadyExists {
                path: "one".to_owned(),
                source: words.into(),
            };
            let error = from_object_store("cannot finish `s3://drop/one`", &conflict);
            assert!(error.is_temporary(), "{code}");
        }
        let taken = object_store::Error::AlreadyExists {
            path: "one".to_owned(),
            source: "status code: 409 Conflict: <Error><Code>EntityExists</Code></Error>".into(),
        };
        let error = from_object_store("cannot finish `s3://drop/one`", &taken);
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    fn answers_are_sorted_by_what_can_be_done() {
        assert_eq!(kind_of(412, "ConditionNotMet", None), ErrorKind::Changed);
        assert_eq!(
            kind_of(409, "BlobAlreadyExists", None),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            kind_of(403, "AuthenticationFailed", None),
            ErrorKind::Denied
        );
        assert_eq!(kind_of(503, "ServerBusy", None), temporary());
        assert_eq!(kind_of(416, "", None), ErrorKind::Incomplete);
        assert_eq!(kind_of(400, "InvalidBlockList", None), ErrorKind::Failed);
    }
}
