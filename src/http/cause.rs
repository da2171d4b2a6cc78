//! What broke a connection: the one cause that a person can do something about, and whether it will stay.
//!
//! Pure. Neither address nor query of the request is part of it.

use std::error::Error as StdError;

use hickory_resolver::net::NetError;

use crate::content::escape_control;

/// What broke a connection: the innermost cause, without the layers of software around it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionCause {
    #[error("no address is known for this name")]
    UnknownName,
    #[error("the certificate or the TLS handshake is refused: {0}")]
    Tls(String),
    #[error("{0}")]
    Other(String),
}

impl ConnectionCause {
    pub fn of(error: &reqwest::Error) -> Self {
        let is_unknown = |cause: &NetError| cause.is_nx_domain() || cause.is_no_records_found();
        if causes(error).any(|cause| cause.downcast_ref().is_some_and(is_unknown)) {
            return Self::UnknownName;
        }
        if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            return Self::Tls(escape_control(&tls.to_string()));
        }
        let innermost = causes(error).skip(1).last();
        Self::Other(innermost.map_or_else(
            || "the request cannot be sent".to_owned(),
            |cause| escape_control(&cause.to_string()),
        ))
    }
}

/// The error and its causes, the outermost first.
pub fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(Some(error as &(dyn StdError + 'static)), inner)
}

/// The source of an error of input and output is that of the error inside, not the one inside.
fn inner<'a>(cause: &&'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let cause: &'a (dyn StdError + 'static) = *cause;
    match cause.downcast_ref::<std::io::Error>() {
        Some(outer) => outer.get_ref().map(|inner| inner as _),
        None => cause.source(),
    }
}

/// A certificate that does not convince and a name that nobody has stay so.
pub fn is_hopeless(error: &reqwest::Error) -> bool {
    let has_no_address = |cause: &NetError| cause.is_nx_domain();
    let stays = |cause: &(dyn StdError + 'static)| {
        cause.is::<rustls::Error>() || cause.downcast_ref().is_some_and(has_no_address)
    };
    causes(error).any(stays) || error.is_builder()
}
