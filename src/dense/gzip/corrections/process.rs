//! The parent's side of a child: how it is started, asked, and ended.

use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::super::Error;
use super::bounds::broken_limit;
use super::frame::{Answer, Request};

/// A program that works corrections out: run with these arguments, it calls [`super::serve_corrections`] and nothing
/// else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrector {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Corrector {
    /// The program at this path, as it is run with these arguments.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
        }
    }

    /// Starts a child. It gets nothing of the environment, prints nowhere, and a signal that a terminal sends to its
    /// parent leaves it alone.
    pub(super) fn start(&self) -> io::Result<Process> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|cause| {
                io::Error::new(
                    cause.kind(),
                    format!(
                        "cannot run `{}` to work out corrections: {cause}",
                        self.program.display()
                    ),
                )
            })?;
        Ok(Process {
            input: BufReader::new(ours.try_clone()?),
            output: BufWriter::new(ours),
            child,
        })
    }
}

/// A running child. It is ended when it is dropped.
pub(super) struct Process {
    child: Child,
    input: BufReader<UnixStream>,
    output: BufWriter<UnixStream>,
}

impl Process {
    /// Says what needs no answer.
    pub(super) fn tell(&mut self, request: &Request) -> Result<(), Error> {
        let told = request.write(&mut self.output);
        told.map_err(|cause| self.reason(cause))
    }

    pub(super) fn ask(&mut self, request: &Request) -> Result<Answer, Error> {
        let asked = request.write(&mut self.output);
        let answered = asked
            .and_then(|()| self.output.flush())
            .and_then(|()| Answer::read(&mut self.input));
        answered.map_err(|cause| self.reason(cause))
    }

    /// Why the child cannot be talked to: as a rule it has ended, by a limit.
    fn reason(&mut self, cause: io::Error) -> Error {
        let _ = self.input.get_ref().shutdown(std::net::Shutdown::Both);
        match self.child.wait() {
            Ok(status) => broken_limit(status).unwrap_or(Error::damaged(
                "its corrections ended the process that worked on them",
            )),
            Err(_) => cause.into(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has nothing to lose, and may be far from done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
