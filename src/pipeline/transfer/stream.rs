//! Carries one object through this process: a few ranged reads in flight, written in order.
//!
//! **Invariants.** All ranges are of the version that was planned, and when that is no longer the one at the
//! source, nothing is published. Memory is bounded by the ranges in flight and the writer's own queue.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt};

use super::options::TransferOptions;
use crate::content::{Error, ErrorKind, Event, ObjectWriter, RangedRead, Result, Version};
use crate::storage::{CreateOptions, Overwrite, StorageContainer};

/// With what a directory's writer queues, about 32 MiB.
const RANGE_BYTES: u64 = 1 << 20;
const RANGES_AHEAD: usize = 8;

/// Copies one version of an object; `counter` counts the bytes that pass.
pub(super) async fn stream_object(
    options: &TransferOptions,
    object: &str,
    version: &Version,
    overwrite: Overwrite,
    counter: &AtomicU64,
) -> Result<()> {
    let source = &*options.source;
    let read = source.open(object).await.map_err(at_source)?;
    if read.version() != version {
        return Err(changed(source, object));
    }
    let create = CreateOptions {
        overwrite,
        expected_bytes: read.size_bytes(),
        resume: None,
    };
    let created = options.target.create(object, create).await;
    let mut writer = created.map_err(at_target)?;
    let copied = async {
        pump(&*read, &mut *writer, options, counter).await?;
        writer.seal().await.map_err(at_target)?;
        check_unchanged(source, object, version).await
    };
    if let Err(error) = copied.await {
        writer.abort().await;
        return Err(error);
    }
    writer.finish().await.map_err(at_target)
}

async fn pump(
    source: &dyn RangedRead,
    writer: &mut dyn ObjectWriter,
    options: &TransferOptions,
    counter: &AtomicU64,
) -> Result<()> {
    let size = source.size_bytes();
    let starts = (0..size.div_ceil(RANGE_BYTES)).map(|number| number * RANGE_BYTES);
    let mut ranges = stream::iter(starts)
        .map(|start| {
            let length = RANGE_BYTES.min(size - start);
            source.read(start, usize::try_from(length).unwrap_or(usize::MAX))
        })
        .buffered(RANGES_AHEAD);
    while let Some(bytes) = ranges.next().await {
        let bytes = bytes.map_err(at_source)?;
        let length = bytes.len() as u64;
        counter.fetch_add(length, Ordering::Relaxed);
        writer.write(vec![bytes]).await.map_err(at_target)?;
        (options.events)(Event::Moved(length));
    }
    Ok(())
}

/// Files that are written in place are read from an open descriptor; only their times tell.
async fn check_unchanged(
    source: &dyn StorageContainer,
    object: &str,
    version: &Version,
) -> Result<()> {
    match source.find(object).await.map_err(at_source)? {
        Some(found) if found.version == *version => Ok(()),
        _ => Err(changed(source, object)),
    }
}

fn changed(source: &dyn StorageContainer, object: &str) -> Error {
    Error::new(
        ErrorKind::Changed,
        format!("source: `{}` was replaced meanwhile", source.shown(object)),
    )
}

fn at_source(error: Error) -> Error {
    error.on_side("source")
}

fn at_target(error: Error) -> Error {
    error.on_side("target")
}
