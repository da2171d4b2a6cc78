//! What a service says with an answer that is an error: its status, and the code and message of its XML document.
//!
//! Pure. A body that is no such document, as the page of a proxy, is left out.

use std::fmt;

use super::failure::scrub;
use super::xml::element;

/// How much of a message is kept.
const MESSAGE_MAX: usize = 240;
/// What `object_store` writes before a status and the body, and before a body alone.
const STATUS_MARK: &str = "status code: ";
const BODY_MARK: &str = "error response: ";

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAnswer {
    pub status: u16,
    /// The service's own; empty where it says none.
    pub code: String,
    message: String,
}

impl ServiceAnswer {
    pub(super) fn new(status: u16, code: &str, body: &str) -> Self {
        let said = |name| element(body, name).unwrap_or_default();
        // An SDK may put the status in the place of a code that was not told.
        let code = match code {
            code if code.is_empty() || code == status.to_string() => said("Code"),
            code => code.to_owned(),
        };
        Self {
            status,
            code: first_line(&code),
            message: first_line(&said("Message")),
        }
    }

    /// Out of the words of an error of `object_store`, which tells it nowhere else.
    pub(super) fn of_words(words: &str) -> Option<Self> {
        if let Some((_, rest)) = words.split_once(STATUS_MARK) {
            return Some(Self::new(rest.get(..3)?.parse().ok()?, "", rest));
        }
        // An error in the body of a success.
        let (_, body) = words.split_once(BODY_MARK)?;
        Some(Self::new(200, "", body))
    }
}

/// Services put the id of the request behind the first line.
fn first_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let line = scrub(line);
    match line.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

impl fmt::Display for ServiceAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message.trim_end_matches('.'))?;
        }
        Ok(())
    }
}

impl std::error::Error for ServiceAnswer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_are_told_on_one_line() {
        let words = "Object at location a not found: Error performing DELETE http://h/a?uploadId=x in 3ms - Server \
            returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>NoSuchUpload</Code>\n\
            <Message>The &quot;upload&quot; is gone\u{7}.</Message><HostId>&gt;</HostId></Error>";
        let answer = ServiceAnswer::of_words(words).unwrap();
        assert_eq!((answer.status, &*answer.code), (404, "NoSuchUpload"));
        assert_eq!(
            answer.to_string(),
            "the service answered 404 NoSuchUpload: The \"upload\" is gone\\u{7}"
        );
        let azure = "<Error><Code>AuthenticationFailed</Code><Message>Server failed.\nRequestId:1\nTime:2</Message>\
            <AuthenticationErrorDetail>sig=SECRET</AuthenticationErrorDetail></Error>";
        assert_eq!(
            ServiceAnswer::new(403, "AuthenticationFailed", azure).to_string(),
            "the service answered 403 AuthenticationFailed: Server failed"
        );
        let in_success =
            "Server returned error response: <Error><Code>InternalError</Code></Error>";
        assert_eq!(
            ServiceAnswer::of_words(in_success).unwrap().to_string(),
            "the service answered 200 InternalError"
        );
    }

    #[test]
    fn a_status_is_told_once() {
        let answer = ServiceAnswer::new(407, "407", "");
        assert_eq!(answer.to_string(), "the service answered 407");
    }

    #[test]
    fn unknown_bodies_are_left_out() {
        let page = "status code: 502 Bad Gateway: <html><body>nginx\u{1b}[31m</body></html>";
        let answer = ServiceAnswer::of_words(page).unwrap();
        assert_eq!(answer.to_string(), "the service answered 502");
        assert_eq!(ServiceAnswer::of_words("cannot connect"), None);
    }
}
