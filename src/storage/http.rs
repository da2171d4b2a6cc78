//! The HTTP client that all clouds are spoken to with.
//!
//! Bodies are not decoded, redirects are not followed, and nothing is tried twice here: the SDKs retry. HTTP/1.1
//! only, so that one broken or slow body costs its own connection and no other. A machine without certificate
//! authorities is an error with words, never a panic, and no obstacle to plain HTTP.

use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect};
use url::Url;

use super::failure::Said;
use crate::content::{Error, ErrorKind, Result};

const USER_AGENT: &str = concat!("airlift/", env!("CARGO_PKG_VERSION"));
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
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .no_zstd()
        .http1_only()
        .referer(false)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .tcp_keepalive(Duration::from_secs(30))
}
