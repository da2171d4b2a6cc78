//! Progress: a bar on a terminal, plain lines elsewhere, from the same events.
//!
//! The bar counts bytes that are settled, moved or found at their place, so it never runs backwards.

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Output;
use super::voice::Voice;
use crate::content::{Event, Events};

/// Shows one action from its first event to its end.
#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    output: Output,
    action: &'static str,
    noun: &'static str,
    voice: Voice,
}

impl Progress {
    /// `action` is what is being done, as in `exporting`, to how many of `noun`.
    pub(super) fn new(output: Output, action: &'static str, noun: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, draw_target(&Voice::current()));
        let style =
            "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self {
            bar,
            output,
            action,
            noun,
            voice: Voice::current(),
        }
    }

    pub(super) fn events(&self) -> Events {
        let this = self.clone();
        Arc::new(move |event| this.voice.say(|| this.show(event)))
    }

    /// Events of what follows on the same bar, such as reading back what was imported.
    pub(super) fn events_of(&self, action: &'static str) -> Events {
        let this = Self {
            action,
            ..self.clone()
        };
        this.events()
    }

    fn show(&self, event: Event) {
        match event {
            Event::Planned { contents, bytes } => self.begin(self.action, contents, bytes),
            Event::TakingApart { layers, bytes } => self.begin("taking apart", layers, bytes),
            Event::ReadingBack(bytes) => self.lengthen(bytes),
            Event::Moved(bytes) | Event::Spared(bytes) => self.bar.inc(bytes),
            Event::Warning(text) => self.bar.suspend(|| Output::warn(&text)),
            Event::Created(it) => self.bar.suspend(|| Output::note(&format!("created {it}"))),
            Event::ContentDone(_) | Event::Tagged(..) | Event::Settled { .. } => {}
        }
    }

    fn begin(&self, action: &'static str, contents: usize, bytes: u64) {
        self.bar.set_message(action);
        self.bar.set_length(bytes);
        self.bar.reset();
        if self.bar.is_hidden() && !self.output.is_json() {
            let size = super::size::show_size(bytes);
            let contents = super::size::count(contents, self.noun);
            Output::note(&format!("{action} {contents}, {size}"));
        }
    }

    fn lengthen(&self, bytes: u64) {
        if self.bar.length().is_none() {
            // What was there before is proven before anything moves.
            self.bar.set_message("reading back");
        }
        let length = self.bar.length().unwrap_or(0);
        self.bar.set_length(length + bytes);
    }

    /// Removes the bar, before results are printed.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Several pipelines at once have no bar.
fn draw_target(voice: &Voice) -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() && voice.name().is_none() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}
