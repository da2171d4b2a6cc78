//! The one place that prints. Data goes to standard output, everything else to standard error.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::io::{self, IsTerminal, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::args::Format;
use super::exit::Exit;
use super::failure;
use super::voice::Voice;
use crate::config::InvalidConfiguration;
use crate::content::escape_control;

#[derive(Clone, Copy)]
pub(super) struct Output {
    format: Format,
}

impl Output {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(super) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints the text for people, or the document for programs.
    ///
    /// Beside others, each line of the text has the name of who speaks before it, and a document is an event in one
    /// line.
    pub(super) fn print(self, text: &str, document: &impl Serialize) -> anyhow::Result<()> {
        match (self.format, Voice::current().name()) {
            (Format::Text, Some(_)) => {
                text.lines().for_each(Self::stream_line);
                return Ok(());
            }
            (Format::Json, Some(_)) => {
                self.tell_event("report", document, "");
                return Ok(());
            }
            (_, None) => {}
        }
        match self.format {
            Format::Text => print_result(text.trim_end_matches('\n').as_bytes()),
            Format::Json => print_result(&serde_json::to_vec_pretty(document)?),
        }
    }

    /// One line of a stream of them: what a daemon tells. Whoever reads it may have gone.
    pub(super) fn stream_line(text: &str) {
        let named = match Voice::current().name() {
            Some(name) => format!("{name} {text}"),
            None => text.to_owned(),
        };
        print_line_of_stream(&named);
    }

    /// One line of what a daemon tells: for people with the time, for machines as JSON.
    pub(super) fn tell_event(self, event: &str, subject: &impl Serialize, text: &str) {
        let now = Timestamp::now();
        match self.format {
            Format::Text => Self::stream_line(&format!("{now:.0} {text}")),
            Format::Json => {
                let mut document = json!({
                    "time": now.to_string(),
                    "event": event,
                    "subject": subject,
                    "text": text,
                });
                if let Some(name) = Voice::current().name() {
                    document["pipeline"] = name.into();
                }
                print_line_of_stream(&document.to_string());
            }
        }
    }

    /// Whether somebody looks at standard output as it comes.
    pub(super) fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Puts the text in place of what the terminal shows.
    pub(super) fn redraw(text: &str) {
        Self::stream_line(&format!("\u{1b}[H\u{1b}[2J{text}"));
    }

    /// Something that a person should know.
    pub(super) fn warn(text: &str) {
        print_message("warning", text);
    }

    pub(super) fn note(text: &str) {
        print_message("note", text);
    }

    /// What the reader can do about errors that are told as data; each hint once.
    pub(super) fn hint_at<'a>(errors: impl Iterator<Item = &'a (dyn StdError + 'static)>) {
        let hints: BTreeSet<String> = errors.filter_map(failure::hint_of_chain).collect();
        for hint in hints {
            print_line(&format!("hint: {hint}"));
        }
    }

    /// Prints an error, its causes, and hints.
    pub(super) fn print_failure(error: &anyhow::Error) -> Exit {
        let exit = failure::exit_of(error);
        match error.downcast_ref::<InvalidConfiguration>() {
            Some(invalid) => {
                for line in invalid.lines() {
                    print_message("error", &line);
                }
            }
            None => print_message("error", &error.to_string()),
        }
        for cause in error.chain().skip(1) {
            let text = cause.to_string();
            print_line(&format!("  caused by: {}", escape_control(&text)));
        }
        for hint in failure::hints_of(error) {
            print_line(&format!("hint: {}", escape_control(&hint)));
        }
        exit
    }
}

/// Whoever reads it may have gone.
fn print_line_of_stream(text: &str) {
    if let Err(error) = print_result(text.as_bytes()) {
        tracing::warn!(%error, "a line could not be printed");
    }
}

/// A reader that has seen enough (`| head`) is no failure.
fn print_result(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let printed = stdout
        .write_all(bytes)
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush());
    match printed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn print_message(label: &str, text: &str) {
    let label = match label {
        _ if !is_coloured() => format!("{label}:"),
        "error" => "\u{1b}[1;31merror:\u{1b}[0m".to_owned(),
        "warning" => "\u{1b}[1;33mwarning:\u{1b}[0m".to_owned(),
        label => format!("\u{1b}[1m{label}:\u{1b}[0m"),
    };
    let voice = Voice::current();
    let speaker = voice
        .name()
        .map_or_else(String::new, |name| format!("{name}: "));
    print_line(&format!("{label} {speaker}{}", escape_control(text)));
}

fn is_coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Standard error that is closed is nobody's failure.
fn print_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What clap has to say: help and version are data, the rest is wrong usage.
pub(super) fn print_usage_error(mut error: clap::Error) -> Exit {
    hide_query(&mut error);
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    }
}

/// A URL that cannot be parsed is shown without its query, which may be a signature.
fn hide_query(error: &mut clap::Error) {
    use clap::error::{ContextKind, ContextValue};

    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && let Some((before, _)) = value.split_once('?')
    {
        let hidden = ContextValue::String(format!("{before}?…"));
        error.insert(ContextKind::InvalidValue, hidden);
    }
}

/// Bytes as they are, for scripts and manual pages.
pub(super) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    print_result(bytes.strip_suffix(b"\n").unwrap_or(bytes))
}

/// Logs to standard error. An unreadable filter is told and replaced by the default.
pub(super) fn start_log(filter: &str) {
    use tracing_subscriber::EnvFilter;

    let parsed = EnvFilter::try_new(filter);
    if parsed.is_err() {
        print_message(
            "warning",
            &format!("`{filter}` is not a log filter; `warn` is used"),
        );
    }
    tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new("warn")))
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
}

/// One cell of a table, of at least this width.
pub(super) fn pad(cell: &str, width: usize) -> String {
    format!("{:<width$}", escape_control(cell))
}

/// Rows as aligned columns, two spaces apart; the last column is not padded.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| pad(cell, *width))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
