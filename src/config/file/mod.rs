//! The configuration file: found, judged by its owner, and read into sections. It is not interpreted here.
//!
//! **Invariants.** It is never looked for in the current directory. A file that names programs is used only if nobody
//! but root and the user can have written it. All faults are told, each with its line.
//! Specification: design.md, section 5.

mod fault;
mod near;
mod owner;
mod parse;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub use fault::{Fault, InvalidConfiguration};
pub use near::find_near;
use rustix::fs::OFlags;

use owner::{Distrusted, judge_owner};
pub use parse::{Entry, Item, Section, Sections, Setting, is_section_name, parse_sections};

/// Where a file is looked for that nobody named.
const DEFAULT_PATH: &str = "/etc/airlift/airlift.toml";
/// More than ten thousand pipelines have.
const FILE_SIZE_MAX_BYTES: u64 = 4 << 20;

/// The file that is in force: the one that was named, or the machine's own where it has one.
pub fn find_configuration(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_PATH)).filter(|path| path.exists()),
    }
}

/// Reads the file at `path`.
pub fn read_configuration(path: &Path) -> Result<Sections, InvalidConfiguration> {
    let invalid = |fault: Fault| InvalidConfiguration::new(path, vec![fault]);
    let unreadable = |cause| invalid(Fault::at(0, format!("cannot be read: {cause}")));
    // A pipe would be waited for before it is known to be one.
    let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
    let mut opening = std::fs::OpenOptions::new();
    let opened = opening.read(true).custom_flags(without_waiting).open(path);
    let mut file = opened.map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(invalid(Fault::at(0, "is not a file")));
    }
    let mut text = String::new();
    let mut bounded = (&mut file).take(FILE_SIZE_MAX_BYTES + 1);
    bounded.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_SIZE_MAX_BYTES {
        return Err(invalid(Fault::at(0, "is larger than 4 MiB")));
    }
    let sections =
        parse_sections(&text).map_err(|faults| InvalidConfiguration::new(path, faults))?;
    let Some(line) = find_program(&sections) else {
        return Ok(sections);
    };
    let user = rustix::process::geteuid().as_raw();
    match judge_owner(&metadata, user) {
        Ok(()) => Ok(sections),
        Err(distrusted) => Err(invalid(explain(&distrusted, line, path))),
    }
}

fn explain(distrusted: &Distrusted, line: usize, path: &Path) -> Fault {
    let shown = path.display();
    match distrusted {
        Distrusted::Owner(owner) => Fault::at(
            line,
            format!("names a program to run, and the file belongs to the user {owner}"),
        )
        .with_hint(format!(
            "a file that names programs belongs to root or to you: look at it, and then `chown root {shown}`"
        )),
        Distrusted::WritableByOthers => Fault::at(
            line,
            "names a program to run, and others than its owner can write the file",
        )
        .with_hint(format!("look at it, and then: `chmod go-w {shown}`")),
    }
}

/// The line of the first setting that makes airlift run a program.
fn find_program(sections: &Sections) -> Option<usize> {
    let names_program = |text: &str| {
        let text = text.trim_start();
        text.starts_with("exec:") || text.contains("credential=exec")
    };
    let entries = sections
        .sections
        .iter()
        .flat_map(|section| &section.entries)
        .chain(&sections.top);
    let mut lines = entries.filter_map(|entry| match &entry.setting {
        Setting::Text(text) => names_program(text).then_some(entry.line),
        Setting::List(items) => {
            let item = items.iter().find(|item| names_program(&item.text))?;
            Some(item.line)
        }
        Setting::Flag(_) | Setting::Number(_) => None,
    });
    lines.next()
}
