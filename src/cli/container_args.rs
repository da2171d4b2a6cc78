//! Containers and bundles as arguments: what was typed, opened.

use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;

use super::failure::UsageError;
use super::output::Output;
use crate::pipeline::{BundlePlace, connect_container, locate_bundles};
use crate::storage::{ContainerReference, Missing, Purpose, StorageContainer};

/// A container or bundle as it was typed: a path, or a URL.
pub(super) fn parse_container(text: &str) -> Result<ContainerReference, String> {
    text.parse()
        .map_err(|error: crate::storage::InvalidContainer| error.to_string())
}

pub(super) fn warn_of_secret(reference: &ContainerReference) {
    if reference.holds_secret() {
        warn_of_typed_secret(reference);
    }
}

/// `place` was typed with a signature.
pub(super) fn warn_of_typed_secret(place: &dyn std::fmt::Display) {
    Output::warn(&format!(
        "the signature of `{place}` can be seen by everybody on this machine; name it with `?credential=env:NAME` or `?credential=file:PATH`"
    ));
}

pub(super) fn refuse_file(reference: &ContainerReference) -> anyhow::Result<()> {
    if let ContainerReference::Directory(path) = reference
        && path.is_file()
    {
        let error = UsageError::new(format!("`{reference}` is a file"))
            .hint("a container is a directory or a URL: give the one that holds the bundles");
        return Err(error.into());
    }
    Ok(())
}

/// Opens a container that is written to.
pub(super) async fn open_container(
    reference: &ContainerReference,
    missing: Missing,
    purpose: Purpose,
) -> anyhow::Result<Arc<dyn StorageContainer>> {
    refuse_file(reference)?;
    warn_of_secret(reference);
    connect_container(reference, missing, purpose, Timestamp::now())
        .await
        .with_context(|| format!("cannot open the container `{reference}`"))
}

/// Opens the places that bundles are read from.
pub(super) async fn locate(
    references: &[ContainerReference],
    purpose: Purpose,
) -> anyhow::Result<Vec<BundlePlace>> {
    let mut places = Vec::new();
    for reference in references {
        warn_of_secret(reference);
        places.push(locate_bundles(reference, purpose, Timestamp::now()).await?);
    }
    Ok(places)
}
