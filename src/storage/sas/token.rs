//! Reads a shared access signature: what it says of itself.
//!
//! Pure. The signature proper is dropped while reading, so that nothing made of a [`SasToken`] can show it.

use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::permissions::Permissions;
use super::terms::{IpRange, Protocols, parse_time};

/// What a signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SasToken {
    pub signer: Signer,
    pub scope: Scope,
    pub version: String,
    /// `None` where only the stored policy says what is allowed.
    pub permissions: Option<Permissions>,
    pub start: Option<Timestamp>,
    /// `None` where only the stored policy says it.
    pub expires: Option<Timestamp>,
    pub protocols: Protocols,
    /// As it stands there: the service may know more forms than we do.
    pub ip: Option<String>,
    /// The name of a stored access policy, which adds what is not said here.
    pub policy: Option<String>,
}

/// Whose key has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    AccountKey,
    /// The key that the service gave to somebody who had logged in; it has an end of its own.
    UserDelegation {
        expires: Option<Timestamp>,
    },
}

/// What a signature is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Container,
    /// A directory of a hierarchical namespace, and all below it.
    Directory,
    /// One object, or one version or snapshot of it.
    Object,
    /// A storage account: letters of services, and of resource types.
    Account {
        services: String,
        types: String,
    },
    /// Something that holds no objects of ours, such as a file share.
    Other(String),
}

/// Why a text is no shared access signature. It never holds the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSas {
    #[error("it has no signature (`sig`)")]
    NoSignature,
    #[error("it says neither what it is for (`sr`), nor of which services (`ss`)")]
    NoScope,
    #[error("its `{0}` is not a time")]
    Time(&'static str),
    #[error("its protocols (`spr`) are neither `https` nor `https,http`")]
    Protocols,
    #[error("it says `{0}` twice")]
    Twice(String),
}

impl SasToken {
    /// Whether the text looks like a signature, and not like another secret.
    pub fn is_likely(secret: &SecretString) -> bool {
        let text = secret.expose_secret();
        text.trim_start_matches('?')
            .split('&')
            .any(|pair| pair.starts_with("sig="))
    }

    /// Reads a query; a `?` before it is no part of it.
    pub fn parse(secret: &SecretString) -> Result<Self, InvalidSas> {
        let fields = Fields::parse(secret.expose_secret())?;
        if fields.get("sig").is_none_or(str::is_empty) {
            return Err(InvalidSas::NoSignature);
        }
        let policy = fields.text("si");
        let permissions = fields.text("sp");
        let permissions = permissions.as_deref().map(Permissions::of_letters);
        Ok(Self {
            signer: match fields.get("skoid") {
                Some(_) => Signer::UserDelegation {
                    expires: fields.time("ske")?,
                },
                None => Signer::AccountKey,
            },
            scope: fields.scope()?,
            version: fields.text("sv").unwrap_or_default(),
            permissions: match (&permissions, &policy) {
                (None, None) => Some(Permissions::default()),
                _ => permissions,
            },
            start: fields.time("st")?,
            expires: fields.time("se")?,
            protocols: match fields.get("spr") {
                None | Some("https,http" | "http,https") => Protocols::HttpToo,
                Some("https") => Protocols::HttpsOnly,
                Some(_) => return Err(InvalidSas::Protocols),
            },
            ip: fields.text("sip"),
            policy,
        })
    }

    /// The range of addresses, where it is one that we know.
    pub fn ip_range(&self) -> Option<IpRange> {
        self.ip.as_deref()?.parse().ok()
    }

    /// When it ends: it, or the key that has signed it.
    pub fn ends(&self) -> Option<Timestamp> {
        let key_ends = match self.signer {
            Signer::UserDelegation { expires } => expires,
            Signer::AccountKey => None,
        };
        self.expires.into_iter().chain(key_ends).min()
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountKey => "account key",
            Self::UserDelegation { .. } => "user delegation key",
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container => f.write_str("container"),
            Self::Directory => f.write_str("directory"),
            Self::Object => f.write_str("object"),
            Self::Account { services, types } => {
                write!(f, "account (services {services}, resource types {types})")
            }
            Self::Other(what) => write!(f, "something that holds no objects (`{what}`)"),
        }
    }
}

/// The decoded pairs of the query, without those that hold nothing.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(text: &str) -> Result<Self, InvalidSas> {
        let query = text.trim().trim_start_matches('?');
        let mut fields: Vec<(String, String)> = Vec::new();
        // Not `form_urlencoded`: a `+` is a `+` here, as the service reads it.
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text: &str| {
                percent_encoding::percent_decode_str(text)
                    .decode_utf8_lossy()
                    .into_owned()
            };
            let (key, value) = (decode(key), decode(value));
            let is_ours = FIELDS.contains(&key.as_str());
            if is_ours && fields.iter().any(|(known, _)| *known == key) {
                return Err(InvalidSas::Twice(key));
            }
            if is_ours {
                fields.push((key, value));
            }
        }
        Ok(Self(fields))
    }

    fn get(&self, key: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(known, _)| known == key)?;
        Some(pair.1.as_str())
    }

    fn text(&self, key: &str) -> Option<String> {
        self.get(key)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }

    fn time(&self, key: &'static str) -> Result<Option<Timestamp>, InvalidSas> {
        let value = self.get(key).filter(|value| !value.is_empty());
        value
            .map(|value| parse_time(value).ok_or(InvalidSas::Time(key)))
            .transpose()
    }

    fn scope(&self) -> Result<Scope, InvalidSas> {
        match self.get("sr") {
            Some("c") => Ok(Scope::Container),
            Some("d") => Ok(Scope::Directory),
            Some("b" | "bs" | "bv") => Ok(Scope::Object),
            Some(other) => Ok(Scope::Other(other.to_owned())),
            None => match self.get("ss") {
                Some(services) => Ok(Scope::Account {
                    services: services.to_owned(),
                    types: self.text("srt").unwrap_or_default(),
                }),
                None => Err(InvalidSas::NoScope),
            },
        }
    }
}

const FIELDS: [&str; 14] = [
    "sv", "sr", "ss", "srt", "sp", "st", "se", "spr", "sip", "si", "skoid", "ske", "sdd", "sig",
];
