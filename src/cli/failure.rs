//! From an error to an exit code and to hints: what the reader can do next.

use super::exit::Exit;
use crate::bundle::{InvalidKey, NotTrusted};
use crate::content::{self, ErrorKind, SparseIndexRefused};
use crate::pipeline::CannotAdmit;

/// A mistake in what was typed that the parser could not see.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct UsageError {
    pub(super) message: String,
    pub(super) hints: Vec<String>,
    pub(super) exit: Exit,
}

impl UsageError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hints: Vec::new(),
            exit: Exit::Usage,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(super) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

pub(super) fn exit_of(error: &anyhow::Error) -> Exit {
    error
        .chain()
        .find_map(|cause| {
            if let Some(usage) = cause.downcast_ref::<UsageError>() {
                return Some(usage.exit);
            }
            cause
                .downcast_ref::<content::Error>()
                .map(|error| error.kind().into())
        })
        .unwrap_or(Exit::Failed)
}

/// What the reader can do, from the most specific cause that we know.
pub(super) fn hints_of(error: &anyhow::Error) -> Vec<String> {
    let mut hints: Vec<String> = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<UsageError>())
        .flat_map(|usage| usage.hints.clone())
        .collect();
    hints.extend(error.chain().find_map(hint_of_cause));
    if hints.is_empty() {
        let kind = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<content::Error>());
        hints.extend(kind.and_then(|error| hint_of_kind(error.kind())));
    }
    hints
}

fn hint_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(not_trusted) = cause.downcast_ref::<NotTrusted>() {
        return Some(hint_of_trust(not_trusted));
    }
    if let Some(CannotAdmit::WrongAudience { audience, .. }) = cause.downcast_ref() {
        return Some(format!(
            "if this is that lane, say `--lane {}`",
            audience.join("` or `--lane ")
        ));
    }
    if cause.is::<SparseIndexRefused>() {
        return Some(
            "export all platforms, or import with `--platform-index rebuild`: the digest of the index then changes, and its signatures no longer apply".to_owned(),
        );
    }
    let key = cause.downcast_ref::<InvalidKey>()?;
    match key {
        InvalidKey::Encrypted => Some("set `AIRLIFT_KEY_PASSPHRASE`, or run on a terminal to be asked".to_owned()),
        InvalidKey::Sec1 => Some(
            "convert it: `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW` (without `-nocrypt` to encrypt it)"
                .to_owned(),
        ),
        InvalidKey::PrivateForPublic => Some("give the `.pub` file beside it".to_owned()),
        InvalidKey::PublicForPrivate => Some("give the file without `.pub`".to_owned()),
        _ => None,
    }
}

fn hint_of_trust(not_trusted: &NotTrusted) -> String {
    match not_trusted {
        NotTrusted::Unsigned => {
            "ask the sender to sign it, or accept it as it is with `--insecure-accept-unsigned`"
                .to_owned()
        }
        NotTrusted::UnknownKeys(_) => {
            "get the sender's `.pub` file by a way that you trust and give it with `--trust`"
                .to_owned()
        }
        NotTrusted::BelowThreshold { .. } => {
            "the missing signers run `airlift sign` on it; bring their `.sig` files beside it"
                .to_owned()
        }
        NotTrusted::BadSignature(_) => {
            "fetch the bundle again: it was damaged or changed".to_owned()
        }
        NotTrusted::Revoked(_) | NotTrusted::NotForPipeline { .. } => {
            "ask the sender to sign it with a key that may ship it".to_owned()
        }
    }
}

fn hint_of_kind(kind: ErrorKind) -> Option<String> {
    let hint = match kind {
        ErrorKind::Denied => {
            "check the permissions; registries: `docker login REGISTRY` or `podman login REGISTRY`"
        }
        ErrorKind::Incomplete => "wait until it has arrived whole, or bring the missing volume",
        ErrorKind::Unverified => {
            "run `airlift verify` on the bundle to see which entry is not right"
        }
        ErrorKind::NoSpace => {
            "make room and run the same command again; what is there is not moved again"
        }
        ErrorKind::Temporary { .. } => {
            "run the same command again; what is there is not moved again"
        }
        ErrorKind::AlreadyExists => "choose another `--name`, or remove what is there",
        _ => return None,
    };
    Some(hint.to_owned())
}
