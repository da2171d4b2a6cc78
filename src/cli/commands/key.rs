//! `airlift key`: makes signing keys and shows what a key is called.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::bundle::{KeyAlgorithm, PublicKey, generate_key};
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::keys::choose_passphrase;
use crate::cli::output::Output;

/// Make signing keys, and show them
#[derive(Args)]
pub(in crate::cli) struct KeyArguments {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a private key in FILE and its public key in FILE.pub
    ///
    /// Example: airlift key generate --out ops.key --encrypt
    Generate(GenerateArguments),
    /// Show the id and the algorithm of a public key
    ///
    /// Example: airlift key show ops.key.pub
    Show(ShowArguments),
}

#[derive(Args)]
struct GenerateArguments {
    /// The private key's file; nothing is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// The signature algorithm
    #[arg(long, value_name = "NAME", default_value = "ecdsa-p256")]
    algorithm: AlgorithmArgument,

    /// Encrypt the private key with a passphrase, from `AIRLIFT_KEY_PASSPHRASE` or asked for
    #[arg(long)]
    encrypt: bool,
}

#[derive(Args)]
struct ShowArguments {
    /// A public key
    file: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum AlgorithmArgument {
    /// Checked by `openssl dgst` in one line
    EcdsaP256,
    Ed25519,
}

pub(in crate::cli) fn run(arguments: &KeyArguments, output: Output) -> anyhow::Result<Exit> {
    match &arguments.command {
        KeyCommand::Generate(arguments) => generate(arguments, output),
        KeyCommand::Show(arguments) => show(arguments, output),
    }
}

fn generate(arguments: &GenerateArguments, output: Output) -> anyhow::Result<Exit> {
    let public_path = public_path(&arguments.out);
    check_free(&[&arguments.out, &public_path])?;
    let algorithm = match arguments.algorithm {
        AlgorithmArgument::EcdsaP256 => KeyAlgorithm::EcdsaP256,
        AlgorithmArgument::Ed25519 => KeyAlgorithm::Ed25519,
    };
    let passphrase = if arguments.encrypt {
        let passphrase = choose_passphrase()?.ok_or_else(|| {
            UsageError::new("there is no terminal to ask for a passphrase")
                .hint("set `AIRLIFT_KEY_PASSPHRASE`")
        })?;
        Some(passphrase)
    } else {
        None
    };
    let (pem, public) =
        generate_key(algorithm, passphrase.as_ref()).context("cannot make a key")?;
    let public_pem = public.to_pem().context("cannot encode the public key")?;
    write_new(&arguments.out, pem.as_bytes(), 0o600)?;
    write_new(&public_path, public_pem.as_bytes(), 0o644)?;
    let text = format!(
        "key id       {}\nalgorithm    {algorithm}\nprivate key  {}{}\npublic key   {}\n",
        public.id(),
        arguments.out.display(),
        if arguments.encrypt {
            " (encrypted)"
        } else {
            " (not encrypted; keep it safe)"
        },
        public_path.display(),
    );
    let document = json!({
        "keyId": public.id().to_string(),
        "algorithm": algorithm.to_string(),
        "privateKey": arguments.out,
        "publicKey": public_path,
        "encrypted": arguments.encrypt,
    });
    output.print(&text, &document)?;
    Ok(Exit::Done)
}

/// Neither file is written when one of them is there: half a pair is of no use.
fn check_free(paths: &[&Path]) -> anyhow::Result<()> {
    match paths.iter().find(|path| path.exists()) {
        None => Ok(()),
        Some(path) => {
            let error = UsageError::new(format!("`{}` is there already", path.display()))
                .hint("keys are never replaced: choose another `--out`")
                .exit(Exit::Failed);
            Err(error.into())
        }
    }
}

fn public_path(private: &Path) -> PathBuf {
    let mut name = private.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .with_context(|| format!("cannot create `{}`", path.display()))
}

fn show(arguments: &ShowArguments, output: Output) -> anyhow::Result<Exit> {
    let path = &arguments.file;
    let pem = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let key =
        PublicKey::parse(&pem).with_context(|| format!("cannot show `{}`", path.display()))?;
    let text = format!("{}  {}  {}", key.id(), key.algorithm(), path.display());
    let document = json!({
        "keyId": key.id().to_string(),
        "algorithm": key.algorithm().to_string(),
        "publicKey": path,
    });
    output.print(&text, &document)?;
    Ok(Exit::Done)
}
