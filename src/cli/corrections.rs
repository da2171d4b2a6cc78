//! The program as its own child: it works out the corrections of layers, within limits of memory and time.
//!
//! It is no command: nobody types it, and it needs a socket for its standard input. Specification: RECOMPRESSION.md,
//! "Threats".

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::dense::gzip::{Corrector, serve_corrections};

/// The only argument of a child.
const ARGUMENT: &str = "work-out-corrections";
/// This program on Linux, also where another release has taken its place on the disk since it was started.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// This program, as it is run as its own child.
pub(super) fn corrector() -> Corrector {
    let program = match Path::new(OWN_PROGRAM).exists() {
        true => PathBuf::from(OWN_PROGRAM),
        false => std::env::current_exe().unwrap_or_else(|_| PathBuf::from("airlift")),
    };
    Corrector::new(program, [ARGUMENT])
}

/// Serves the parent if this is a child; nothing else is done then.
pub(super) fn serve_where_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let is_child = arguments.next()? == ARGUMENT && arguments.next().is_none();
    is_child.then(|| match serve_corrections() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}
