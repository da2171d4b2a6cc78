//! What a child may use: memory, and processor time by the plain text that it works on.
//!
//! The kernel holds both: an allocation beyond the first ends the child by an abort, and a moment beyond the second
//! by a signal. So a child that was bounded needs no watching.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::super::Error;
use super::super::limits::{
    CHILD_MEMORY_BYTES_MAX, EXPORT_BYTES_PER_SECOND_MIN, IMPORT_BYTES_PER_SECOND_MIN,
    START_SECONDS_MAX,
};

/// How much address space a child may have beyond its memory: the program itself, and stacks.
const ADDRESS_SPACE_MARGIN_BYTES: u64 = 1 << 30;

/// What a child may use.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Bounds {
    /// Memory, in bytes.
    pub(in super::super) memory_bytes: u64,
    /// Seconds of processor time that are free of plain text.
    pub(in super::super) start_seconds: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            memory_bytes: CHILD_MEMORY_BYTES_MAX,
            start_seconds: START_SECONDS_MAX,
        }
    }
}

/// What the child is asked for. Who exports gives up sooner, so that a slower importer can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Export,
    Import,
}

impl Bounds {
    /// Bounds this process for good.
    pub(in super::super) fn apply(&self) -> io::Result<()> {
        let space_bytes = self.memory_bytes + ADDRESS_SPACE_MARGIN_BYTES;
        set(Resource::Core, 0, Some(0))?;
        set(Resource::Data, self.memory_bytes, Some(self.memory_bytes))?;
        set(Resource::As, space_bytes, Some(space_bytes))?;
        set(Resource::Cpu, self.start_seconds, None)
    }

    /// Allows this process the time for so much plain text, all that it had before included.
    pub(super) fn allow(&self, purpose: Purpose, plain_bytes: u64) -> io::Result<()> {
        let bytes_per_second = match purpose {
            Purpose::Export => EXPORT_BYTES_PER_SECOND_MIN,
            Purpose::Import => IMPORT_BYTES_PER_SECOND_MIN,
        };
        let seconds = self.start_seconds + plain_bytes / bytes_per_second;
        set(Resource::Cpu, seconds, None)
    }
}

/// The limit that was broken by a child that ended so, if it was one.
pub(super) fn broken_limit(status: ExitStatus) -> Option<Error> {
    let ended_by = |signal: Signal| status.signal() == Some(signal.as_raw());
    if ended_by(Signal::XCPU) {
        return Some(Error::Limit {
            what: "seconds of work on its corrections, beside those for its plain text,",
            limit: START_SECONDS_MAX,
        });
    }
    (ended_by(Signal::ABORT) || ended_by(Signal::KILL)).then_some(NO_MEMORY)
}

pub(super) const NO_MEMORY: Error = Error::Limit {
    what: "bytes of memory for its corrections",
    limit: CHILD_MEMORY_BYTES_MAX,
};

fn set(resource: Resource, current: u64, maximum: Option<u64>) -> io::Result<()> {
    let current = Some(current);
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}
