//! Layers that are made again at the target: from recipes and segments of the bundle, and from layers that are there.
//!
//! **Invariants.** Recipes and segments are checked against their digests before anything of them is decoded, layers
//! of the target against theirs before anything made from them counts. A layer is decompressed once. Memory is
//! bounded: one delta is applied at a time, and no recipe is kept. Specification: FORMAT.md, "Version 2", To rebuild.

use std::collections::{HashMap, HashSet};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};

use super::assumed::{FoundContents, missing_of};
use super::byte_channel::write_stream;
use super::encoder_threads::count_encoder_threads;
use super::spool::{Spool, SpooledFile};
use super::spooling::{Unread, spool_plain};
use crate::bundle::{Bundle, RebuiltRow};
use crate::content::{Content, Error, ErrorKind, RawStream, Result, Source};
use crate::dense::delta::ReadAt;
use crate::dense::gzip::Corrector;
use crate::dense::recipe::{self, Recipe, put_together};
use crate::oci::Digest;

type Plain = Arc<OnceCell<SpooledFile>>;

/// What the layers of one bundle are made again with.
pub(super) struct Reconstruction {
    bundle: Arc<Bundle>,
    target: Arc<dyn Source>,
    found: FoundContents,
    spool: Spool,
    threads: NonZeroUsize,
    corrector: Corrector,
    plains: Mutex<HashMap<Digest, Plain>>,
    /// Who decodes segments holds some tens of MiB.
    applying: Arc<Semaphore>,
}

impl Reconstruction {
    pub(super) fn new(
        bundle: &Arc<Bundle>,
        (target, found): (Arc<dyn Source>, FoundContents),
        spool: Spool,
        corrector: Corrector,
    ) -> Self {
        Self {
            bundle: Arc::clone(bundle),
            target,
            found,
            spool,
            threads: count_encoder_threads(),
            corrector,
            plains: Mutex::default(),
            applying: Arc::new(Semaphore::new(1)),
        }
    }

    /// The bytes `range` of a layer, as it is written again.
    pub(super) async fn open(
        self: &Arc<Self>,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<RawStream> {
        let row = self.row(digest)?.clone();
        let plain = self.plain(digest).await?;
        // Its operations are not kept while the layer is pushed.
        let recompression = self.recipe(&row).await?.recompression;
        let (mut writer, stream) = write_stream(range.start);
        let (threads, corrector) = (self.threads, self.corrector.clone());
        let spool = self.spool.clone();
        tokio::task::spawn_blocking(move || {
            let mut reader = plain.reader();
            let with = (threads, &corrector);
            let written = put_together(recompression.as_ref(), &mut reader, &mut writer, with);
            let written = written.map_err(|cause| {
                let error = blame(cause, &spool, || cannot_rebuild(&row.digest));
                error.within(format!("the layer `{}` is made again", row.digest))
            });
            writer.finish(written.map(drop));
        });
        Ok(stream)
    }

    fn row(&self, digest: &Digest) -> Result<&RebuiltRow> {
        let absent = || Error::not_found(format!("the bundle has no `{digest}`"));
        self.bundle.find_rebuilt(digest).ok_or_else(absent)
    }

    /// The decompressed bytes of a layer of the bundle, made after all that it leads to.
    async fn plain(&self, digest: &Digest) -> Result<SpooledFile> {
        for needed in self.order(digest) {
            self.make(&needed).await?;
        }
        self.make(digest).await
    }

    /// What is not there yet of a layer and all that it leads to, in an order in which it can be made: references lead
    /// backwards. They may do so through any number of layers, so that nothing here is as deep as they are.
    fn order(&self, digest: &Digest) -> Vec<Digest> {
        let mut seen = HashSet::from([digest]);
        let mut rebuilt = Vec::new();
        let mut fetched = Vec::new();
        let mut ahead = vec![digest];
        while let Some(next) = ahead.pop() {
            if self.cell(next).initialized() {
                continue;
            }
            match self.bundle.find_rebuilt(next) {
                Some(row) => {
                    let unseen = row.references.iter().filter(|it| seen.insert(it));
                    ahead.extend(unseen);
                    rebuilt.push(next);
                }
                None => fetched.push(next),
            }
        }
        rebuilt.sort_by_key(|it| self.bundle.position_of_rebuilt(it));
        fetched.into_iter().chain(rebuilt).cloned().collect()
    }

    /// The decompressed bytes of a layer of the target, or of one of the bundle whose references are there.
    async fn make(&self, digest: &Digest) -> Result<SpooledFile> {
        let cell = self.cell(digest);
        let made = cell.get_or_try_init(|| async {
            match self.bundle.find_rebuilt(digest) {
                Some(row) => self.apply(row).await,
                None => self.fetch(digest).await,
            }
        });
        made.await.cloned()
    }

    fn cell(&self, digest: &Digest) -> Plain {
        let mut plains = self.plains.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(plains.entry(digest.clone()).or_default())
    }

    async fn recipe(&self, row: &RebuiltRow) -> Result<Recipe> {
        let bytes = self.bundle.read_derived(&row.recipe).await?;
        let sizes: Result<Vec<u64>> = row
            .references
            .iter()
            .map(|it| self.plain_size(it))
            .collect();
        Recipe::from_bytes(&bytes, &sizes?)
            .and_then(|recipe| {
                recipe
                    .check(row.plain_size, row.segments.len())
                    .map(|()| recipe)
            })
            .map_err(|cause| cannot_rebuild(&row.digest).with_cause(cause))
    }

    fn plain_size(&self, digest: &Digest) -> Result<u64> {
        let rebuilt = self.bundle.find_rebuilt(digest).map(|row| row.plain_size);
        let assumed = || self.bundle.find_assumed(digest)?.plain_size;
        rebuilt
            .or_else(assumed)
            .ok_or_else(|| cannot_rebuild(digest))
    }

    /// A layer that the target has, read from there and decompressed.
    async fn fetch(&self, digest: &Digest) -> Result<SpooledFile> {
        let row = self.bundle.find_assumed(digest);
        let (Some(row), Some(name)) = (row, self.found.get(digest)) else {
            return Err(missing_of(&self.bundle, digest));
        };
        let size_max = self.plain_size(digest)?;
        let content = Content::new(Arc::clone(&self.target), name.clone(), row.descriptor());
        let spooled = spool_plain(content, &self.spool, size_max).await;
        let file = spooled.map_err(|unread| match unread {
            Unread::Source(error) => self.blame_target(digest, error),
            Unread::Content(cause) => cannot_rebuild(digest).with_cause(cause),
            Unread::Spool(error) => error,
        })?;
        match file.size_bytes == size_max {
            true => Ok(file),
            false => Err(cannot_rebuild(digest)),
        }
    }

    /// A layer of the target that is not what its digest says is as good as missing.
    fn blame_target(&self, digest: &Digest, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Unverified | ErrorKind::NotFound => missing_of(&self.bundle, digest),
            _ => error.on_side("target"),
        }
    }

    /// A layer of the bundle, put together out of others and its segments.
    async fn apply(&self, row: &RebuiltRow) -> Result<SpooledFile> {
        let there = row.references.iter().map(|it| self.cell(it).get().cloned());
        let references: Option<Vec<SpooledFile>> = there.collect();
        let references = references.ok_or_else(|| cannot_rebuild(&row.digest))?;
        // It is never closed.
        let permit = Arc::clone(&self.applying).acquire_owned().await.ok();
        let recipe = self.recipe(row).await?;
        let (bundle, segments) = (Arc::clone(&self.bundle), row.segments.clone());
        let (spool, runtime) = (self.spool.clone(), Handle::current());
        let applying = tokio::task::spawn_blocking(move || {
            // Whoever waits for this may go; it goes on to its end.
            let _permit = permit;
            let references: Vec<&dyn ReadAt> = references.iter().map(|it| it as _).collect();
            let mut file = spool.file().map_err(|cause| spool.failed(cause))?;
            let mut failed = None;
            let mut read_segment = |number: usize| {
                let read = runtime.block_on(bundle.read_derived(&segments[number]));
                read.map(|bytes| bytes.to_vec()).map_err(|error| {
                    failed = Some(error);
                    std::io::Error::other("a segment could not be read")
                })
            };
            let applied = recipe.apply(&references, &mut read_segment, &mut file);
            match (failed, applied) {
                (Some(error), _) => Err(error),
                (None, Err(cause)) => Err(blame(cause, &spool, || {
                    Error::unverified("its recipe cannot be followed")
                })),
                (None, Ok(_)) => SpooledFile::of(file).map_err(|cause| spool.failed(cause)),
            }
        });
        let applied = applying.await.map_err(|_| cannot_rebuild(&row.digest))?;
        applied.map_err(|error| match error.kind() {
            ErrorKind::Unverified => cannot_rebuild(&row.digest).with_cause(error),
            _ => error,
        })
    }
}

/// A disk that is full says nothing about the bundle.
fn blame(cause: recipe::Error, spool: &Spool, wrong: impl FnOnce() -> Error) -> Error {
    match cause.io_failure().map(|it| (it.raw_os_error(), it.kind())) {
        Some((Some(code), _)) => spool.failed(io::Error::from_raw_os_error(code)),
        Some((None, kind)) => spool.failed(kind.into()),
        None => wrong().with_cause(cause),
    }
}

fn cannot_rebuild(digest: &Digest) -> Error {
    Error::unverified(format!("the layer `{digest}` cannot be made again"))
}
