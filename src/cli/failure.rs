//! From an error to an exit code and to hints: what the reader can do next.

use std::error::Error as StdError;
use std::io;

use super::exit::Exit;
use crate::bundle::{BundleError, InvalidKey, InvalidTrust, NotTrusted};
use crate::config::InvalidConfiguration;
use crate::content::{self, ErrorKind, SparseIndexRefused};
use crate::history::{ChainBreak, InvalidExport, InvalidHead, NewerLedger, RunCancelled};
use crate::layout::LayoutInUse;
use crate::pipeline::{CannotAdmit, CannotNumber, CannotTransfer, MissingContents, NameCollision};
use crate::registry::{ConnectionCause, MayNotCreate, RegistryError};
use crate::selection::CannotRename;
use crate::storage::{ServiceAnswer, UnfitSas};

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
    if RunCancelled::is_cause_of(error.as_ref()) {
        return Exit::Interrupted;
    }
    if error.chain().any(is_about_names) {
        return Exit::Usage;
    }
    error
        .chain()
        .find_map(|cause| {
            if let Some(usage) = cause.downcast_ref::<UsageError>() {
                return Some(usage.exit);
            }
            if cause.is::<InvalidConfiguration>()
                || error.chain().any(<dyn StdError>::is::<NewerLedger>)
            {
                return Some(Exit::Usage);
            }
            cause
                .downcast_ref::<content::Error>()
                .map(|error| error.kind().into())
        })
        .unwrap_or(Exit::Failed)
}

/// Whether rename rules cannot be applied to what is there.
fn is_about_names(cause: &(dyn StdError + 'static)) -> bool {
    cause.is::<NameCollision>() || cause.is::<CannotRename>()
}

/// What the reader can do, from the most specific cause that we know.
pub(super) fn hints_of(error: &anyhow::Error) -> Vec<String> {
    let mut hints: Vec<String> = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<UsageError>())
        .flat_map(|usage| usage.hints.clone())
        .collect();
    if let Some(invalid) = error.downcast_ref::<InvalidConfiguration>() {
        hints.extend(invalid.hints());
        return hints;
    }
    hints.extend(hint_of_chain(error.as_ref()));
    hints
}

/// What the reader can do about an error that was told as one of several.
pub(super) fn hint_of_chain(error: &(dyn StdError + 'static)) -> Option<String> {
    let causes = || anyhow::Chain::new(error);
    let of_cause = causes().find_map(hint_of_cause);
    of_cause.or_else(|| {
        let error = causes().find_map(|cause| cause.downcast_ref::<content::Error>())?;
        let is_io = causes().any(<dyn StdError>::is::<io::Error>);
        if error.kind() == ErrorKind::NotFound {
            let is_in_layout = error.to_string().starts_with("source: the layout ");
            let is_known = is_in_layout || causes().any(<dyn StdError>::is::<RegistryError>);
            return is_known.then(|| LOOK.to_owned());
        }
        hint_of_kind(error.kind(), is_io, &error.to_string())
    })
}

fn hint_of_cause(cause: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(invalid) = cause.downcast_ref::<InvalidExport>() {
        return Some(hint_of_export(invalid).to_owned());
    }
    if cause.is::<ChainBreak>() || cause.is::<InvalidHead>() {
        return Some(TAMPERED.to_owned());
    }
    if cause.is::<NewerLedger>() {
        return Some("use that airlift, or give another `--state`".to_owned());
    }
    if cause.is::<RunCancelled>() {
        return Some("nothing is half published, and the same command can be run again".to_owned());
    }
    if cause.is::<LayoutInUse>() {
        return Some(ONE_WRITER.to_owned());
    }
    if let Some(not_trusted) = cause.downcast_ref::<NotTrusted>() {
        return Some(hint_of_trust(not_trusted));
    }
    if let Some(denial) = cause.downcast_ref::<MayNotCreate>() {
        return Some(hint_of_creation(denial).to_owned());
    }
    if let Some(error) = cause.downcast_ref::<RegistryError>() {
        return hint_of_registry(error);
    }
    if let Some(refusal) = cause.downcast_ref::<CannotAdmit>() {
        return Some(hint_of_admission(refusal));
    }
    if let Some(unfit) = cause.downcast_ref::<UnfitSas>() {
        return Some(hint_of_sas(unfit));
    }
    if let Some(answer) = cause.downcast_ref::<ServiceAnswer>() {
        return (answer.code == "InvalidPart").then(|| LOST_PARTS.to_owned());
    }
    if let Some(refusal) = cause.downcast_ref::<CannotTransfer>() {
        return Some(hint_of_transfer(refusal).to_owned());
    }
    if let Some(refusal) = cause.downcast_ref::<CannotNumber>() {
        return hint_of_number(refusal).map(str::to_owned);
    }
    if let Some(missing) = cause.downcast_ref::<MissingContents>() {
        return Some(hint_of_missing(missing));
    }
    if is_about_names(cause) {
        return Some(RENAME.to_owned());
    }
    if let Some(error) = cause.downcast_ref::<BundleError>() {
        return hint_of_bundle(error).map(str::to_owned);
    }
    if let Some(InvalidTrust::WritableByOthers(path)) = cause.downcast_ref() {
        return Some(format!("look at the key, and then: `chmod go-w {path}`"));
    }
    if cause.is::<SparseIndexRefused>() {
        return Some(
            "export all platforms, or import with `--platform-index rebuild`: the digest of the index then changes, and its signatures no longer apply".to_owned(),
        );
    }
    hint_of_key(cause.downcast_ref::<InvalidKey>()?).map(str::to_owned)
}

fn hint_of_admission(refusal: &CannotAdmit) -> String {
    match refusal {
        CannotAdmit::WrongAudience { audience, .. } => format!(
            "if this is that lane, say `--lane {}`",
            audience.join("` or `--lane ")
        ),
        CannotAdmit::Expired(_) => {
            "check this machine's clock, or ask the sender for a new bundle".to_owned()
        }
        CannotAdmit::Replay { .. }
        | CannotAdmit::Fork { .. }
        | CannotAdmit::AcceptedFork { .. } => {
            "ask the sender which bundle is the right one".to_owned()
        }
    }
}

fn hint_of_missing(missing: &MissingContents) -> String {
    let Some(file) = &missing.file else {
        return "give the `--state` of this lane, or list where the target has it with \
                `--assumed-repositories`; else ask the sender for a bundle without `--incremental` and `--delta`"
            .to_owned();
    };
    let name = file.file_name().unwrap_or_default().display();
    format!(
        "take `{}` to the sender, who repeats the export with `--repair {name}`; import what it makes, and then this again",
        file.display()
    )
}

fn hint_of_sas(unfit: &UnfitSas) -> String {
    // Without the flag another one would be for https alone.
    let protocol = match unfit.container.starts_with("http:") {
        true => " --allow-http",
        false => "",
    };
    format!(
        "ask for another one; who has the account's key makes it with `airlift sas make {} --account-key file:KEY --permissions {} --expires 7d{protocol}`",
        unfit.container,
        unfit.purpose.letters(),
    )
}

fn hint_of_transfer(refusal: &CannotTransfer) -> &'static str {
    match refusal {
        CannotTransfer::OtherContent { .. } => {
            "look which of the two is right; `--overwrite-blobs` replaces what the target has"
        }
        CannotTransfer::TooLarge { .. } => {
            "export it in volumes that fit: `--volume-size fat32`; or format the device with exFAT"
        }
        CannotTransfer::NoRoom { .. } => {
            "make room, or take less with `--newest`, `--bundle` or `--pipeline`"
        }
        CannotTransfer::Foreign { .. } => {
            "two exports share this name: take the one that is not wanted out of the source"
        }
        CannotTransfer::NotAdmitted { .. } => {
            "give every signer's key with `--trust`; missing signers run `airlift sign` on it"
        }
        CannotTransfer::UnknownBundle { .. } | CannotTransfer::UnknownVolume { .. } => {
            "`airlift inspect` on the source shows what it has"
        }
        CannotTransfer::ManyForVolume(_) => "name the bundle with `--bundle`",
    }
}

fn hint_of_export(invalid: &InvalidExport) -> &'static str {
    match invalid {
        InvalidExport::Empty | InvalidExport::NoRecord(_) => {
            "expected the lines of `airlift audit export` as they were printed: export them again, and verify the state directory itself with `--state`"
        }
        InvalidExport::Broken(_) => {
            "compare the file with another copy of it, and with what `airlift audit export` prints now"
        }
    }
}

fn hint_of_number(refusal: &CannotNumber) -> Option<&'static str> {
    match refusal {
        CannotNumber::Unknown => Some(
            "give `--state DIR`, which remembers it from now on; without a state directory the first bundle needs `--sequence 1`",
        ),
        CannotNumber::TooLow { .. } => {
            Some("leave `--sequence` out, unless what was known is lost")
        }
        CannotNumber::Exhausted(_) => None,
    }
}

fn hint_of_bundle(error: &BundleError) -> Option<&'static str> {
    match error {
        BundleError::NotABundle => {
            Some("expected a `.tar.zst` or `.tar` that `airlift export` has written")
        }
        BundleError::Incomplete => Some(INCOMPLETE),
        _ => None,
    }
}

const TAMPERED: &str = "leave the directory as it is, and compare it with a backup, and with what `airlift audit export` printed before";
const LOST_PARTS: &str = "the store has not kept the upload as it was written; run the same command again: what was lost is sent anew";

const ONE_WRITER: &str =
    "a layout has one writer at a time: run the same command again when the other one has ended";

const INCOMPLETE: &str = "wait until it has arrived whole, or bring the missing volume";

fn hint_of_key(key: &InvalidKey) -> Option<&'static str> {
    match key {
        InvalidKey::Encrypted => {
            Some("set `AIRLIFT_KEY_PASSPHRASE`, or run on a terminal to be asked")
        }
        InvalidKey::WrongPassphrase => {
            Some("check `AIRLIFT_KEY_PASSPHRASE`, or unset it to be asked on a terminal")
        }
        InvalidKey::Sec1 => Some(
            "convert it: `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW` (without `-nocrypt` to encrypt it)",
        ),
        InvalidKey::PrivateForPublic => Some("give the `.pub` file beside it"),
        InvalidKey::PublicForPrivate => Some("give the file without `.pub`"),
        InvalidKey::NotPem => {
            Some("expected a file as `airlift key generate` or `openssl genpkey` writes it")
        }
        _ => None,
    }
}

fn hint_of_registry(error: &RegistryError) -> Option<String> {
    let hint = match error {
        RegistryError::Connection { cause, .. } => match cause {
            ConnectionCause::UnknownName => {
                "check the registry's name, and that this machine can resolve it"
            }
            ConnectionCause::Tls(_) => {
                "a registry with its own certificate authority needs `--ca-file FILE`, one without TLS `--plain-http`"
            }
            ConnectionCause::Other(_) => UNREACHABLE,
        },
        RegistryError::Silent { .. } => UNREACHABLE,
        RegistryError::Answer(answer) if answer.kind() == ErrorKind::Denied => {
            return Some(hint_of_denial(&answer.host, answer.status.as_u16()));
        }
        RegistryError::Login { host, .. } => return Some(hint_of_denial(host, 401)),
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_of_creation(denial: &MayNotCreate) -> &'static str {
    match denial {
        MayNotCreate::Project(_) => {
            "give the user or robot account Harbor's right to create projects, or create the project before"
        }
        MayNotCreate::Repository(_) => {
            "allow `ecr:CreateRepository` and `ecr:DescribeRepositories`, or create the repository before"
        }
    }
}

const RENAME: &str =
    "change the rules that you gave with `--rename`; `--dry-run` shows every name at both ends";
const LOOK: &str = "`airlift list` shows what a registry, a repository or a layout has";
const UNREACHABLE: &str =
    "check the registry's address and port, the network, and `HTTPS_PROXY` and `NO_PROXY`";

fn hint_of_denial(host: &str, status: u16) -> String {
    if status == 403 {
        return format!("the login for `{host}` may not do this; ask whoever runs the registry");
    }
    format!(
        "log in with `docker login {host}` or `podman login {host}`; airlift reads what they store"
    )
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
        NotTrusted::NotForLane { lane, .. } => {
            format!("if it may, give it with `--trust {lane}=FILE`")
        }
    }
}

fn hint_of_kind(kind: ErrorKind, is_io: bool, message: &str) -> Option<String> {
    let hint = match kind {
        ErrorKind::Denied if is_io => "check the permissions, and whether it is mounted read-only",
        ErrorKind::AlreadyExists if message.starts_with("the target has ") => {
            "`--existing keep` leaves such tags alone, `--existing overwrite` moves them"
        }
        ErrorKind::AlreadyExists if !is_io => "choose another `--name`, or remove what is there",
        ErrorKind::Incomplete => INCOMPLETE,
        ErrorKind::Unverified if message.contains(" has the inventory ") => {
            "this is not what you were told to sign: ask the sender"
        }
        ErrorKind::Unverified => {
            "run `airlift verify` on the bundle to see which entry is not right"
        }
        ErrorKind::NoSpace => "make room and run the same command again",
        // What is at a target is asked for first; what is half a bundle may have to begin anew.
        ErrorKind::Temporary { .. } if message.starts_with("target: ") => {
            "run the same command again; what is there is not moved again"
        }
        ErrorKind::Temporary { .. } => "run the same command again",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_promised_of_what_may_begin_anew() {
        let kind = ErrorKind::Temporary { retry_after: None };
        let hint = |message: &str| hint_of_chain(&content::Error::new(kind, message));
        let hint = |message: &str| hint(message).expect("a hint");
        let writing = hint("cannot finish `s3://drop/one.tar.zst`");
        assert_eq!(writing, "run the same command again");
        assert!(hint("target: cannot write `web`").ends_with("is not moved again"));
    }
}
