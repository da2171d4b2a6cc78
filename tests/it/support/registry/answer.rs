//! Replies before they are sent: whole in memory, so that a fault can change them.

use std::fmt::Display;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use serde_json::json;

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Box<HeaderMap>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Box::default(),
            body: Bytes::new(),
        }
    }

    /// The error envelope of the distribution specification.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let envelope = json!({"errors": [{"code": code, "message": message, "detail": null}]});
        Self::new(status).json(&envelope)
    }

    /// The envelope with the code that usually goes with `status`.
    pub(super) fn refusal(status: u16) -> Self {
        let code = match status {
            401 => "UNAUTHORIZED",
            403 => "DENIED",
            404 => "NAME_UNKNOWN",
            405 => "UNSUPPORTED",
            413 => "SIZE_INVALID",
            429 => "TOOMANYREQUESTS",
            503 => "UNAVAILABLE",
            _ => "UNKNOWN",
        };
        Self::error(status, code, "as the test wants it")
    }

    pub(super) fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", &"application/json")
            .body(value.to_string())
    }

    pub(super) fn header(mut self, name: &'static str, value: &dyn Display) -> Self {
        if let Ok(value) = HeaderValue::try_from(value.to_string()) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    pub(super) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The head of the reply, which promises all of `self.body`, with `body` behind it.
    pub(super) fn into_response(self, body: Body) -> Response<Body> {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).expect("tests ask for valid status codes");
        *response.headers_mut() = *self.headers;
        if self.status != 204 {
            let length = HeaderValue::from(self.body.len());
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
        }
        response
    }
}
