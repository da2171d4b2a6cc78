//! Carries one object through this process: a few ranged reads in flight, written in order.
//!
//! **Invariants.** All ranges are of the version that was planned, and when that is no longer the one at the
//! source, nothing is published. Memory is bounded by the ranges in flight and the writer's own queue.
//!
//! An interrupted copy is gone on with where the target can. The origin must be the same: name, size, inventory and
//! signatures of the volume, and its version, of which a directory keeps the time of writing when it is mounted
//! again. What is there must be proven. A directory reads it again and compares it with the digests that were noted
//! when it arrived; Azure has whole blocks under ids that only a copy of this version gives them. S3 and Google show
//! no parts, and begin anew.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt};

use super::options::TransferOptions;
use super::plan::{Piece, PlannedObject};
use crate::content::{Error, ErrorKind, Event, ObjectWriter, RangedRead, Result, Version};
use crate::storage::{BegunCopy, Origin, Overwrite, StorageContainer};

/// With what a directory's writer queues, about 32 MiB.
const RANGE_BYTES: u64 = 1 << 20;
const RANGES_AHEAD: usize = 8;

/// What has passed so far.
#[derive(Debug, Default)]
pub(super) struct Passed {
    pub(super) streamed_bytes: AtomicU64,
    /// What was there from interrupted runs.
    pub(super) resumed_bytes: AtomicU64,
}

/// Copies one version of an object.
pub(super) async fn stream_object(
    options: &TransferOptions,
    planned: &PlannedObject,
    overwrite: Overwrite,
    passed: &Passed,
) -> Result<()> {
    let source = &*options.source;
    let (object, version) = (planned.name(), planned.version());
    let read = source.open(object).await.map_err(at_source)?;
    if read.version() != version {
        return Err(changed(source, object));
    }
    let origin = origin_of(planned, source);
    let begun = options.target.create_equal(object, overwrite, &origin);
    let BegunCopy {
        mut writer,
        present_bytes,
    } = begun.await.map_err(at_target)?;
    if present_bytes > 0 {
        tracing::info!(object, present_bytes, "an interrupted copy goes on");
        (options.events)(Event::Spared(present_bytes));
    }
    let resumed = &passed.resumed_bytes;
    resumed.fetch_add(present_bytes, Ordering::Relaxed);
    let copied = async {
        let counter = &passed.streamed_bytes;
        pump(&*read, present_bytes, &mut *writer, options, counter).await?;
        writer.seal().await.map_err(at_target)?;
        check_unchanged(source, object, version).await
    };
    if let Err(error) = copied.await {
        match error.kind() {
            // Nobody wants it any more, or it takes the room that others need.
            ErrorKind::Changed | ErrorKind::AlreadyExists | ErrorKind::NoSpace => {
                writer.abort().await;
            }
            _ => writer.leave().await,
        }
        return Err(error);
    }
    writer.finish().await.map_err(at_target)
}

fn origin_of(planned: &PlannedObject, source: &dyn StorageContainer) -> Origin {
    let name = planned.name();
    Origin {
        name: match &planned.piece {
            Piece::Volume(volume) => format!("{name} {}", volume.tail_digest),
            Piece::Signature(_) => name.to_owned(),
        },
        version: source.lasting_version(planned.version()),
        size_bytes: planned.size_bytes(),
    }
}

async fn pump(
    source: &dyn RangedRead,
    first: u64,
    writer: &mut dyn ObjectWriter,
    options: &TransferOptions,
    counter: &AtomicU64,
) -> Result<()> {
    let size = source.size_bytes();
    let count = size.saturating_sub(first).div_ceil(RANGE_BYTES);
    let starts = (0..count).map(|number| first + number * RANGE_BYTES);
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
