//! Secrets that a program prints. It is run without a shell, with nothing on its input, within a time limit.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::{InvalidSecretReference, SECRET_SIZE_MAX_BYTES, to_text};
use crate::content::{Error, ErrorKind, Result, escape_control};

const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How much of what a failed program says is told.
const SAID_MAX_CHARACTERS: usize = 200;

/// Splits at spaces; what stands within `'` or `"` is kept together. There are no escapes.
pub(in crate::config) fn split_words(text: &str) -> Result<Vec<String>, InvalidSecretReference> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(InvalidSecretReference::Quote);
    }
    words.extend(word);
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words),
        _ => Err(InvalidSecretReference::Program),
    }
}

/// Writes words so that [`split_words`] reads them again.
pub(super) fn join_words(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    quoted.join(" ")
}

fn quote(word: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && c != '\'' && c != '"';
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let apart = word.split('\'').map(|part| format!("'{part}'"));
    apart.collect::<Vec<_>>().join("\"'\"")
}

/// Runs the program, and returns what it has printed.
pub(in crate::config) async fn run(words: &[String]) -> Result<String> {
    run_within(words, TIME_LIMIT).await
}

pub(super) async fn run_within(words: &[String], limit: Duration) -> Result<String> {
    let program = &words[0];
    let mut child = Command::new(program)
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| Error::io(format!("cannot run `{program}` for a secret"), cause))?;
    let finished = tokio::time::timeout(limit, finish(&mut child)).await;
    let output = finished
        .map_err(|_| {
            let seconds = limit.as_secs();
            let message = format!("`{program}` gave no secret within {seconds} s");
            Error::new(ErrorKind::Failed, message)
        })?
        .map_err(|cause| Error::io(format!("cannot read what `{program}` says"), cause))?;
    if !output.status.success() {
        return Err(told_by(program, &output));
    }
    to_text(output.stdout, &format!("what `{program}` says")).map(|text| text.trim().to_owned())
}

/// Both outputs up to their bounds, and then the end of the program.
async fn finish(child: &mut Child) -> std::io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(read(stdout), read(stderr))?;
    let status = child.wait().await?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let mut bounded = (&mut pipe).take(SECRET_SIZE_MAX_BYTES + 1);
        bounded.read_to_end(&mut bytes).await?;
        // The rest is drained, so that the program can end.
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// The end of a program that failed, with the first line that it said about it.
fn told_by(program: &str, output: &Output) -> Error {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let first = stderr.lines().map(str::trim).find(|line| !line.is_empty());
    let said: String = first
        .unwrap_or_default()
        .chars()
        .take(SAID_MAX_CHARACTERS)
        .collect();
    let said = match escape_control(&said) {
        said if said.is_empty() => String::new(),
        said => format!(": {said}"),
    };
    let message = format!("`{program}` gave no secret ({}){said}", output.status);
    Error::new(ErrorKind::Failed, message)
}
