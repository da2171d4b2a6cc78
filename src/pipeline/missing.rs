//! What a bundle expected at the target and did not find, as a file that goes home: the exporter's `--repair` reads it.
//!
//! The file is written by the far side and read by the near one, unsigned: it is only ever taken as a wish, and what
//! it names is exported only where the exporter's own ledger says that it was sent to that lane before.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::content::{Error, ErrorKind, Result, escape_control};
use crate::oci::{Digest, Repository};

/// What the file says it is.
pub const MISSING_MEDIA_TYPE: &str = "application/vnd.airlift.missing.v1+json";
/// More than a bundle can assume.
const FILE_SIZE_MAX_BYTES: u64 = 256 << 20;
/// Missing contents that one message names.
const SHOWN_MAX: usize = 5;

/// A content that the target was expected to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MissingContent {
    pub digest: Digest,
    pub size: u64,
    /// Names at the source.
    pub repositories: Vec<Repository>,
    /// The bundle of the pipeline that had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}

/// Everything that a bundle expected at the target and that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", show(missing))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MissingContents {
    pub media_type: String,
    pub bundle: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    pub inventory: Digest,
    pub missing: Vec<MissingContent>,
    /// Where this was written.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl MissingContents {
    /// Reads what the far side has written.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let doing = format!("cannot read the list of missing content `{shown}`");
        let read = || {
            let size = fs::metadata(path)?.len();
            match size > FILE_SIZE_MAX_BYTES {
                true => Err(io::ErrorKind::FileTooLarge.into()),
                false => fs::read(path),
            }
        };
        let bytes = read().map_err(|cause| Error::io(doing.clone(), cause))?;
        let mut missing: Self = serde_json::from_slice(&bytes)
            .map_err(|cause| Error::new(ErrorKind::Refused, doing.clone()).with_cause(cause))?;
        if missing.media_type != MISSING_MEDIA_TYPE {
            let found = escape_control(&missing.media_type);
            let message = format!("{doing}: its type is `{found}`, not `{MISSING_MEDIA_TYPE}`");
            return Err(Error::new(ErrorKind::Refused, message));
        }
        // Nobody has signed it, and a content goes into a bundle once.
        let mut seen = HashSet::new();
        missing.missing.retain(|it| seen.insert(it.digest.clone()));
        Ok(missing)
    }

    fn write(&mut self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let path = path_of(&self.bundle, directory);
        let unfinished = directory.join(format!(".{}.{}.partial", self.bundle, std::process::id()));
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        fs::write(&unfinished, text)?;
        fs::rename(&unfinished, &path)?;
        self.file = Some(path);
        Ok(())
    }
}

/// Writes what an import was missing into `directory`, and says in the error where.
pub(super) fn note_missing(error: Error, lane: Option<&str>, directory: Option<&Path>) -> Error {
    let (Some(missing), Some(directory)) = (find_missing(&error), directory) else {
        return error;
    };
    let mut noted = missing.clone();
    noted.lane = lane.map(str::to_owned);
    // The list is in the message too, and the import has failed for another reason than this.
    let _ = noted.write(directory);
    Error::new(error.kind(), describe_before(&error)).with_cause(noted)
}

/// Removes the list of a bundle that the lane has had delivered since, so that nobody asks for its contents again.
pub(super) fn forget_missing(bundle: &str, lane: Option<&str>, directory: Option<&Path>) {
    let Some(path) = directory.map(|it| path_of(bundle, it)) else {
        return;
    };
    // Usually there is none; one that stays is a wish that has been fulfilled.
    if MissingContents::read(&path).is_ok_and(|it| it.lane.as_deref() == lane) {
        let _ = fs::remove_file(path);
    }
}

fn path_of(bundle: &str, directory: &Path) -> PathBuf {
    directory.join(format!("{bundle}.json"))
}

/// What an error says above the list itself.
fn describe_before(error: &Error) -> String {
    let mut messages = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next.filter(|it| !it.is::<MissingContents>()) {
        messages.push(cause.to_string());
        next = cause.source();
    }
    messages.join(": ")
}

/// What was missing, where that is what an error is about.
pub(super) fn find_missing(error: &Error) -> Option<&MissingContents> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(missing) = cause.downcast_ref() {
            return Some(missing);
        }
        next = cause.source();
    }
    None
}

fn show(missing: &[MissingContent]) -> String {
    let shown = missing.iter().take(SHOWN_MAX).map(|content| {
        let repositories = content.repositories.iter();
        let repositories: Vec<&str> = repositories.map(Repository::as_str).collect();
        let origin = content.sequence.map_or(String::new(), |sequence| {
            format!(", which sequence {sequence} brought")
        });
        let names = repositories.join("`, `");
        format!("`{}` in `{names}`{origin}", content.digest)
    });
    let shown: Vec<String> = shown.collect();
    let rest = match missing.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        rest => format!("; and {rest} more"),
    };
    format!("{}{rest}", shown.join("; "))
}
