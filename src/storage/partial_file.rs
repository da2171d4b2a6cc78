//! The partial file of a copy: begun with a record beside it, or found again and gone on with.
//!
//! What is gone on with is a file of our own under our lock, cut behind the last chunk that agrees with its record.

use std::fs::File;
use std::io::{Seek, SeekFrom};

use super::container::{Origin, Overwrite};
use super::directory::DirectoryContainer;
use super::file_writer::FileWriter;
use super::partial_record::{self, PartialRecord};
use crate::content::{Error, Result};

impl DirectoryContainer {
    /// A copy that is gone on with, or begun.
    pub(super) fn begin_equal(
        &self,
        name: &str,
        overwrite: Overwrite,
        origin: &Origin,
    ) -> Result<(FileWriter, u64)> {
        self.check_free(name, overwrite)?;
        if let Some((file, record, present_bytes)) = self.find_proven(name, origin)? {
            let writer = self.writer(name, overwrite, file)?;
            return Ok((writer.recorded(record), present_bytes));
        }
        let writer = self.create_object(name, overwrite)?;
        let record = partial_record::name_for(name);
        let made = self.directory.remove(&record);
        let made = made.and_then(|()| self.directory.create_file(&record));
        let begun = made.and_then(|file| {
            let begun = PartialRecord::begin(file, origin);
            begun.map_err(|cause| Error::io(format!("cannot write `{record}`"), cause))
        });
        // Without a record the copy is as good; only, it cannot be gone on with.
        Ok(match begun {
            Ok(record) => (writer.recorded(record), 0),
            Err(error) => {
                tracing::debug!(%error, "an interruption would begin anew");
                (writer, 0)
            }
        })
    }

    /// The partial file of this version that an interrupted run has left, cut behind what is proven of it.
    fn find_proven(
        &self,
        name: &str,
        origin: &Origin,
    ) -> Result<Option<(File, PartialRecord, u64)>> {
        let partial = Self::partial_name(name);
        let record = partial_record::name_for(name);
        let (Ok(mut file), Ok(record)) = (
            self.directory.reopen_file(&partial),
            self.directory.reopen_file(&record),
        ) else {
            return Ok(None);
        };
        self.lock(&file, &partial)?;
        self.check_is_ours(&file, &partial)?;
        let failed = |cause| Error::io(format!("cannot go on with `{partial}`"), cause);
        let present_bytes = partial_record::prove(&file, &record, origin);
        if present_bytes == 0 {
            return Ok(None);
        }
        file.set_len(present_bytes).map_err(failed)?;
        file.seek(SeekFrom::Start(present_bytes)).map_err(failed)?;
        let record = PartialRecord::go_on(record, present_bytes).map_err(failed)?;
        Ok(Some((file, record, present_bytes)))
    }
}
