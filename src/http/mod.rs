//! HTTP as all of airlift speaks it: the settings of its clients, what breaks a connection, and when people are told
//! that a peer is waited for.
//!
//! Bodies are not decoded, redirects are not followed, and nothing is tried twice: whoever asks decides that.
//! HTTP/1.1 only, so that one broken or slow body costs its own connection and no other. It knows neither
//! registries nor clouds.

mod cause;
mod patience;

use std::time::Duration;

use reqwest::{Client, ClientBuilder, redirect};

pub use cause::{ConnectionCause, causes, is_hopeless};
pub use patience::Patience;

const USER_AGENT: &str = concat!("airlift/", env!("CARGO_PKG_VERSION"));

/// A client in the making, without limits of time.
pub fn builder() -> ClientBuilder {
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
        .tcp_keepalive(Duration::from_secs(30))
}
