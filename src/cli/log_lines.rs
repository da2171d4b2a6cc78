//! How people see what the log warns of: like the other lines of the command, not like a log.
//!
//! Programs, and whoever asks for a more talkative log, get the lines of the log as they are.

use std::fmt;

use jiff::Timestamp;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::args::{Command, Format};
use super::output::message;

/// What a warning looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Warnings {
    /// `warning: TEXT`
    Plain,
    /// The same among lines that begin with the time.
    Timed,
}

impl Warnings {
    /// `None`: not people read them.
    pub(super) fn of(command: &Command, format: Format) -> Option<Self> {
        match format {
            Format::Json => None,
            Format::Text if command.tells_the_time() => Some(Self::Timed),
            Format::Text => Some(Self::Plain),
        }
    }

    fn line(self, label: &str, text: &str, now: Timestamp) -> String {
        match self {
            Self::Plain => message(label, text),
            Self::Timed => format!("{now:.0} {}", message(label, text)),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Warnings
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        let label = match *event.metadata().level() {
            Level::ERROR => "error",
            _ => "warning",
        };
        writeln!(writer, "{}", self.line(label, &text, Timestamp::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_the_log_look_like_the_other_lines() {
        let now = Timestamp::UNIX_EPOCH;
        let text = "`host` cannot be used just now";
        let timed = Warnings::Timed.line("warning", text, now);
        assert!(timed.starts_with("1970-01-01T00:00:00Z "), "{timed}");
        let plain = Warnings::Plain.line("warning", text, now);
        assert!(timed.ends_with(&plain), "{timed}");
        assert!(plain.ends_with(text), "{plain}");
    }
}
