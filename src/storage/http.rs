//! The HTTP client that all clouds are spoken to with; the SDKs retry.
//!
//! A machine without certificate authorities is an error with words, never a panic, and no obstacle to plain HTTP.

use std::time::Duration;

use reqwest::{Client, ClientBuilder};
use url::Url;

use super::failure::Said;
use crate::content::{Error, ErrorKind, Result};
use crate::http::{self, ConnectionCause, Patience};

const CONNECT: Duration = Duration::from_secs(20);
/// The silence after which a service is given up.
const SILENCE: Duration = Duration::from_mins(1);

/// A client for `endpoint`, or for the service's own addresses where there is none.
pub(super) fn client(endpoint: Option<&Url>) -> Result<Client> {
    let built = builder().build();
    let is_plain = endpoint.is_some_and(|url| url.scheme() == "http");
    let built = match built {
        Err(_) if is_plain => builder().tls_certs_only([]).build(),
        other => other,
    };
    built.map_err(|cause| {
        let message = "cannot speak TLS on this machine: no usable certificate authorities";
        Error::new(ErrorKind::Failed, message).with_cause(Said::of(&cause))
    })
}

fn builder() -> ClientBuilder {
    http::builder()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
}

/// Host and port, as people are told.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Tells people of trouble that lasts; `answer` is the status, or why there is none. What is permanent is told by
/// its error.
pub(super) fn notice(
    patience: &Patience,
    host: &str,
    answer: std::result::Result<u16, Option<&reqwest::Error>>,
) {
    match answer {
        Ok(status @ (408 | 429 | 500..)) => {
            patience.failed(host, &format!("it answered {status}"));
        }
        Err(Some(error)) if !http::is_hopeless(error) => {
            patience.failed(host, &ConnectionCause::of(error));
        }
        _ => patience.answered(),
    }
}
