//! What is wrong with a configuration file: where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use crate::content::escape_control;

/// One fault. It is shown as `FILE:LINE: MESSAGE`, as editors and compilers show theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1; 0 stands for the file as a whole.
    pub line: usize,
    pub message: String,
    pub hint: Option<String>,
}

impl Fault {
    pub fn at(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            hint: None,
        }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Everything that is wrong with a file, in the order of its lines, each once; never empty.
#[derive(Debug)]
pub struct InvalidConfiguration {
    pub path: PathBuf,
    pub faults: Vec<Fault>,
}

impl InvalidConfiguration {
    pub fn new(path: impl Into<PathBuf>, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.line);
        // What the file as a whole lacks, each of its sections may complain about.
        faults
            .dedup_by(|later, first| (later.line, &later.message) == (first.line, &first.message));
        Self {
            path: path.into(),
            faults,
        }
    }

    /// The hints, each once.
    pub fn hints(&self) -> Vec<String> {
        let mut hints: Vec<String> = Vec::new();
        for hint in self.faults.iter().filter_map(|fault| fault.hint.clone()) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        hints
    }

    /// `FILE:LINE: MESSAGE` of each fault.
    pub fn lines(&self) -> Vec<String> {
        let path = self.path.display();
        let shown = self.faults.iter().map(|fault| {
            let message = escape_control(&fault.message);
            match fault.line {
                0 => format!("{path}: {message}"),
                line => format!("{path}:{line}: {message}"),
            }
        });
        shown.collect()
    }
}

/// The first fault: one error is one line. Who tells them all asks for [`lines`](InvalidConfiguration::lines).
impl fmt::Display for InvalidConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.lines().first().map_or("", String::as_str))
    }
}

impl std::error::Error for InvalidConfiguration {}
