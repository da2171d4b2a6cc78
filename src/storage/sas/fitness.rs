//! Whether a shared access signature is enough for what it is wanted for, before any request is sent.
//!
//! Pure. What cannot be known here, such as a stored policy or the address that the service sees, is not held
//! against a signature.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::permissions::Permission::{self, Delete, List, Read, Write};
use super::terms::Protocols;
use super::token::{SasToken, Scope};

/// How far this machine's clock may be behind before a start in the future is believed.
pub const CLOCK_ALLOWANCE: SignedDuration = SignedDuration::from_mins(5);

/// What a container is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Export,
    TransferSource,
    TransferTarget,
    /// Reading bundles: import, watch, verify, inspect, unpack.
    Import,
    /// Reading a bundle, and putting a signature beside it.
    Sign,
    DeleteSource,
    /// Listing objects and open uploads.
    Look,
    /// Removing what uploads have left: in a cloud something is written in its place, and that is deleted.
    Clean,
}

impl Purpose {
    /// Objects are uploaded in blocks, which the service counts as writing even where nothing is replaced: `create`
    /// is for objects that are put in one request.
    fn needs(self) -> &'static [Permission] {
        match self {
            Self::Export | Self::TransferTarget | Self::Sign => &[Read, Write, List],
            Self::TransferSource | Self::Import | Self::Look => &[Read, List],
            Self::DeleteSource => &[Delete],
            Self::Clean => &[Read, Write, List, Delete],
        }
    }

    /// The letters to ask for.
    pub fn letters(self) -> &'static str {
        match self {
            Self::Export | Self::TransferTarget | Self::Sign => "rwl",
            Self::TransferSource | Self::Import | Self::Look => "rl",
            Self::DeleteSource => "rdl",
            Self::Clean => "rwdl",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Export => "export",
            Self::TransferSource => "transfer from it",
            Self::TransferTarget => "transfer to it",
            Self::Import => "import",
            Self::Sign => "sign",
            Self::DeleteSource => "deleting the source",
            Self::Look => "listing what the container holds",
            Self::Clean => "removing what uploads have left",
        })
    }
}

/// One reason why a signature is not enough. Shown as what follows "it".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    NotAllowed(Permission),
    Expired(Timestamp),
    NotYetValid(Timestamp),
    NoEnd,
    HttpRefused,
    /// It is for one object, and a container is needed.
    OneObject,
    /// An account signature that is not for blob storage.
    NotForBlobs,
    /// An account signature that is not for containers (`c`) or not for objects (`o`).
    NotForType(char),
    /// It is for a file share, a queue or the like.
    NoObjects,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed(permission) => write!(f, "does not allow {permission}"),
            Self::Expired(time) => write!(f, "expired at {time}"),
            Self::NotYetValid(time) => {
                write!(f, "is not valid before {time} by this machine's clock")
            }
            Self::NoEnd => f.write_str("says no end (`se`), which the service refuses"),
            Self::HttpRefused => f.write_str("is for https only, and the URL says http"),
            Self::OneObject => f.write_str("is for one object, and the container must be listed"),
            Self::NotForBlobs => f.write_str("is not for blob storage (`ss` without b)"),
            Self::NotForType('c') => f.write_str("is not for containers (`srt` without c)"),
            Self::NotForType(_) => f.write_str("is not for objects (`srt` without o)"),
            Self::NoObjects => f.write_str("is not for a container"),
        }
    }
}

/// What the purpose needs and the signature does not give at `now`; nothing where it is enough. `endpoint` is where
/// it will be used, as far as that is known.
pub fn missing_for(
    token: &SasToken,
    purpose: Purpose,
    endpoint: Option<&Url>,
    now: Timestamp,
) -> Vec<Gap> {
    let mut gaps = missing_in_scope(&token.scope, purpose);
    if let Some(allowed) = &token.permissions {
        let missing = purpose
            .needs()
            .iter()
            .filter(|need| !allowed.contains(**need));
        gaps.extend(missing.copied().map(Gap::NotAllowed));
    }
    match token.ends() {
        Some(ends) if ends <= now => gaps.push(Gap::Expired(ends)),
        None if token.policy.is_none() => gaps.push(Gap::NoEnd),
        _ => {}
    }
    if let Some(start) = token.start
        && start.duration_since(now) > CLOCK_ALLOWANCE
    {
        gaps.push(Gap::NotYetValid(start));
    }
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.scheme() == "http");
    if is_plain && token.protocols == Protocols::HttpsOnly {
        gaps.push(Gap::HttpRefused);
    }
    gaps
}

fn missing_in_scope(scope: &Scope, purpose: Purpose) -> Vec<Gap> {
    let is_listed = purpose.needs().contains(&List);
    match scope {
        Scope::Container | Scope::Directory => Vec::new(),
        Scope::Object if is_listed => vec![Gap::OneObject],
        Scope::Object => Vec::new(),
        Scope::Other(_) => vec![Gap::NoObjects],
        Scope::Account { services, types } => {
            let gaps = [
                (!services.contains('b')).then_some(Gap::NotForBlobs),
                (is_listed && !types.contains('c')).then_some(Gap::NotForType('c')),
                (!types.contains('o')).then_some(Gap::NotForType('o')),
            ];
            gaps.into_iter().flatten().collect()
        }
    }
}
