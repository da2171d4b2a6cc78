//! Containers in tests: what was named, opened.

use std::path::Path;

use airlift::content::Result;
use airlift::pipeline::{BundlePlace, locate_bundles};
use airlift::storage::{ContainerReference, StorageContainer};
use futures_util::TryStreamExt;

/// The directory or file as a place that bundles are read from.
pub(crate) async fn places(path: &Path) -> Result<Vec<BundlePlace>> {
    Ok(vec![locate_bundles(&ContainerReference::from(path)).await?])
}

/// The names of all objects, sorted.
pub(crate) async fn object_names(container: &dyn StorageContainer) -> Vec<String> {
    let objects: Vec<_> = container.list("").try_collect().await.expect("a listing");
    let mut names: Vec<_> = objects.into_iter().map(|object| object.name).collect();
    names.sort();
    names
}
