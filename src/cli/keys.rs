//! Signing keys and trusted keys as flags name them.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::exit::Exit;
use super::failure::UsageError;
use crate::bundle::{InvalidKey, InvalidTrust, SignaturePolicy, SigningKey, TrustedKeys};
use crate::content::{Error, ErrorKind};
use crate::pipeline::PolicyReader;

const PASSPHRASE_VARIABLE: &str = "AIRLIFT_KEY_PASSPHRASE";

#[derive(Args, Clone)]
#[command(next_help_heading = "Trust")]
pub(super) struct TrustArguments {
    /// Public key of a sender, or a directory of `*.pub` files; `PIPELINE=FILE` binds a key to a pipeline
    #[arg(long, value_name = "[PIPELINE=]FILE|DIR")]
    pub(super) trust: Vec<String>,

    /// How many distinct trusted keys must have signed
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    threshold: u16,

    /// Accept bundles that nobody you trust has signed
    #[arg(long, conflicts_with_all = ["trust", "threshold"])]
    pub(super) insecure_accept_unsigned: bool,
}

impl TrustArguments {
    /// The policy for commands that use content.
    pub(super) fn policy(&self) -> anyhow::Result<SignaturePolicy> {
        if self.insecure_accept_unsigned {
            return Ok(SignaturePolicy::AcceptUnsigned);
        }
        if self.trust.is_empty() {
            let error =
                UsageError::new("nobody is trusted: whose signature should the bundle have?")
                    .hint(
                        "say whom you trust: `--trust SENDER.pub`, or a directory of `.pub` files",
                    )
                    .hint("or accept anything: `--insecure-accept-unsigned`")
                    .exit(Exit::Unverified);
            return Err(error.into());
        }
        Ok(self.require()?)
    }

    /// Reads the same policy again and again, for a daemon that has read it once.
    pub(super) fn reader(&self) -> PolicyReader {
        let trust = self.clone();
        Arc::new(move || {
            if trust.insecure_accept_unsigned {
                return Ok(SignaturePolicy::AcceptUnsigned);
            }
            trust.require().map_err(|cause| {
                Error::new(ErrorKind::Failed, "cannot read the trusted keys").with_cause(cause)
            })
        })
    }

    /// The policy for commands that only look.
    pub(super) fn policy_to_look(&self) -> anyhow::Result<SignaturePolicy> {
        if self.trust.is_empty() {
            Ok(SignaturePolicy::AcceptUnsigned)
        } else {
            Ok(self.require()?)
        }
    }

    /// Whether looking at a bundle checks its signatures.
    pub(super) fn checks_signatures(&self) -> bool {
        !self.trust.is_empty()
    }

    fn require(&self) -> Result<SignaturePolicy, InvalidTrust> {
        let mut keys = TrustedKeys::default();
        for text in &self.trust {
            add_trusted(&mut keys, split_binding(text))?;
        }
        Ok(SignaturePolicy::Require {
            keys,
            threshold: usize::from(self.threshold),
        })
    }
}

/// The pipeline that a key is bound to, if it is, and where the key is.
fn split_binding(text: &str) -> (Option<&str>, &Path) {
    match text.split_once('=') {
        Some((pipeline, path)) if !Path::new(text).exists() => (Some(pipeline), Path::new(path)),
        _ => (None, Path::new(text)),
    }
}

/// Trusts a key or a directory of them, for the pipeline or lane that it is bound to.
pub(super) fn add_trusted(
    keys: &mut TrustedKeys,
    (bound, path): (Option<&str>, &Path),
) -> Result<(), InvalidTrust> {
    let bounds: Vec<String> = bound.map(str::to_owned).into_iter().collect();
    if path.is_dir() {
        keys.read_directory(path, &bounds)
    } else {
        keys.read_file(path, &bounds)
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Reads signing keys; asks for a passphrase where one is needed and was not set.
pub(super) fn read_signing_keys(paths: &[PathBuf]) -> anyhow::Result<Vec<SigningKey>> {
    paths.iter().map(|path| read_signing_key(path)).collect()
}

pub(super) fn read_signing_key(path: &Path) -> anyhow::Result<SigningKey> {
    let failed = || format!("cannot use `{}` to sign", path.display());
    let pem = read(path)?;
    match SigningKey::parse(&pem, None) {
        Err(InvalidKey::Encrypted) => {
            let passphrase = find_passphrase(&format!("Passphrase of {}: ", path.display()))?;
            SigningKey::parse(&pem, passphrase.as_ref()).with_context(failed)
        }
        other => other.with_context(failed),
    }
}

/// A passphrase for a new key; a person types it twice, because nobody sees a slip.
pub(super) fn choose_passphrase() -> anyhow::Result<Option<SecretString>> {
    let chosen = find_passphrase("New passphrase: ")?;
    if std::env::var_os(PASSPHRASE_VARIABLE).is_none()
        && let Some(first) = &chosen
    {
        let again = find_passphrase("The same again: ")?;
        if again.is_none_or(|again| again.expose_secret() != first.expose_secret()) {
            return Err(UsageError::new("the two passphrases differ").into());
        }
    }
    if chosen
        .as_ref()
        .is_some_and(|chosen| chosen.expose_secret().is_empty())
    {
        return Err(UsageError::new("an empty passphrase protects nothing").into());
    }
    Ok(chosen)
}

/// The passphrase from the environment, or from the person at the terminal.
fn find_passphrase(prompt: &str) -> anyhow::Result<Option<SecretString>> {
    if let Ok(passphrase) = std::env::var(PASSPHRASE_VARIABLE) {
        return Ok(Some(passphrase.into()));
    }
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let passphrase = rpassword::prompt_password(prompt).context("cannot ask for the passphrase")?;
    Ok(Some(passphrase.into()))
}
