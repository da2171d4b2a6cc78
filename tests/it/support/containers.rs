//! Containers in tests: what was named, opened.

use std::path::Path;

use airlift::content::Result;
use airlift::pipeline::{BundlePlace, locate_bundles};
use airlift::storage::{ContainerReference, Purpose, StorageContainer};
use futures_util::TryStreamExt;
use jiff::Timestamp;

/// The directory or file as a place that bundles are read from.
pub(crate) async fn places(path: &Path) -> Result<Vec<BundlePlace>> {
    let reference = ContainerReference::from(path);
    let place = locate_bundles(&reference, Purpose::Import, Timestamp::now()).await?;
    Ok(vec![place])
}

/// The names of all objects, sorted.
pub(crate) async fn object_names(container: &dyn StorageContainer) -> Vec<String> {
    let objects: Vec<_> = container.list("").try_collect().await.expect("a listing");
    let mut names: Vec<_> = objects.into_iter().map(|object| object.name).collect();
    names.sort();
    names
}
