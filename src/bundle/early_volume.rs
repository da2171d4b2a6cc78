//! A volume whose set is not complete: its blobs, and nothing that could be pulled by a name.
//!
//! It verifies alone. What it carries may be brought to a target at once; artifacts, manifests and tags wait for
//! the last volume. A blob in parts waits for its other parts.
//! Specification: FORMAT.md, "Volumes".

use std::sync::Arc;

use super::bundle_source::Bundle;
use super::volume::Volume;
use crate::content::{Result, Source};
use crate::oci::{Descriptor, Repository};

/// A volume before the last one.
pub struct EarlyVolume {
    contents: Bundle,
}

impl EarlyVolume {
    /// `None` for the last volume, whose artifacts say what its contents are.
    pub fn new(volume: Volume) -> Result<Option<Self>> {
        if volume.inventory().volume >= volume.inventory().volumes {
            return Ok(None);
        }
        let contents = Bundle::index(vec![volume])?;
        Ok(Some(Self { contents }))
    }

    pub fn repositories(&self) -> &[Repository] {
        &self.contents.inventory().repositories
    }

    /// The blobs that are whole here, with the positions of the repositories that use them.
    pub fn blobs(&self) -> impl Iterator<Item = (Descriptor, Vec<usize>)> {
        let rows = self.contents.inventory().contents.iter();
        let whole = rows.filter(|row| self.contents.carries(&row.digest));
        whole.map(|row| {
            let positions = row.repositories.iter();
            let positions = positions.filter_map(|at| usize::try_from(*at).ok());
            (row.descriptor(), positions.collect())
        })
    }

    pub fn into_source(self) -> Arc<dyn Source> {
        Arc::new(self.contents)
    }
}
