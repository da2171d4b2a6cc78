//! One layer on its way into a recipe: taken apart, described, and put together again as a proof.
//!
//! All of it is work for threads. What comes of it is either proven or nothing.
//! Specification: FORMAT.md, "Version 2".

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::num::NonZeroUsize;

use super::export_stock::Stock;
use super::spool::{Spool, SpooledFile};
use crate::bundle::{RECIPE_MEDIA_TYPE, RECIPE_SIZE_MAX_BYTES, SEGMENT_MEDIA_TYPE};
use crate::dense::delta::{self, AnchorIndex, Delta, Options, ReadAt, Rebuilt, make_delta};
use crate::dense::gzip::{self, Corrector, Recompression, take_apart};
use crate::dense::recipe::{Recipe, put_together};
use crate::oci::{Descriptor, Digest, Hasher};

/// What an entry costs beside its bytes: header, padding, its row and its line in the seek table.
const ENTRY_COST_BYTES: u64 = 1200;

/// A layer without its compression.
pub(super) struct PlainLayer {
    pub(super) file: SpooledFile,
    recompression: Option<Recompression>,
}

impl PlainLayer {
    /// Whether the layer with this digest is made again from it.
    pub(super) fn makes(&self, digest: &Digest, with: (NonZeroUsize, &Corrector)) -> bool {
        let mut sink = HashingSink(Hasher::new(digest.algorithm()));
        let mut plain = self.file.reader();
        let made = put_together(self.recompression.as_ref(), &mut plain, &mut sink, with);
        made.is_ok() && sink.0.finish() == *digest
    }
}

/// Hashes what is written.
struct HashingSink(Hasher);

impl Write for HashingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a layer has become.
pub(super) struct DescribedLayer {
    pub(super) recipe: Descriptor,
    pub(super) segments: Vec<Descriptor>,
    /// Positions in the references that were offered, in the order of the recipe's numbers.
    pub(super) references: Vec<usize>,
    /// What the layer adds to the index.
    pub(super) anchors: AnchorIndex,
}

/// A layer as it came, where nothing compresses it.
pub(super) fn plain_layer(file: SpooledFile) -> PlainLayer {
    PlainLayer {
        file,
        recompression: None,
    }
}

/// Undoes the gzip of a content, and reads it to its end; `None` where that cannot be proven.
pub(super) fn take_layer_apart<R: Read + Seek + Send>(
    content: &mut R,
    spool: &Spool,
    (threads, corrector): (NonZeroUsize, &Corrector),
) -> io::Result<Option<PlainLayer>> {
    let mut file = spool.file()?;
    let mut output = BufWriter::with_capacity(1 << 20, &mut file);
    let taken = take_apart(content, &mut output, threads, corrector);
    let taken = taken.map_err(|error| match error {
        gzip::Error::Io(cause) => cause,
        other => io::Error::other(other),
    })?;
    output.flush()?;
    drop(output);
    // Only at its end is a content proven to be the one of its digest.
    io::copy(content, &mut io::sink())?;
    let Some(recompression) = taken else {
        return Ok(None);
    };
    Ok(Some(PlainLayer {
        file: SpooledFile::of(file)?,
        recompression: Some(recompression),
    }))
}

/// Describes a layer by references, and puts what comes of it into the stock; `None` where the layer itself is not
/// larger. `level` is that of zstd.
pub(super) fn describe_layer(
    layer: &PlainLayer,
    size_bytes: u64,
    (index, references): (&AnchorIndex, &[SpooledFile]),
    (level, threads): (i32, NonZeroUsize),
    stock: &mut Stock,
) -> Result<Option<DescribedLayer>, DescribeError> {
    let mark = stock.mark();
    let mut description = Description {
        layer,
        offered: references.iter().map(|it| it as _).collect(),
        segments: Vec::new(),
        cost_bytes: ENTRY_COST_BYTES,
        size_bytes,
    };
    let options = Options {
        level,
        threads: threads.get(),
    };
    let described = description.describe(index, options, stock)?;
    if described.is_none() {
        stock.take_back(mark)?;
    }
    Ok(described)
}

struct Description<'a> {
    layer: &'a PlainLayer,
    offered: Vec<&'a dyn ReadAt>,
    segments: Vec<Descriptor>,
    cost_bytes: u64,
    /// What it must not cost.
    size_bytes: u64,
}

impl Description<'_> {
    fn describe(
        &mut self,
        index: &AnchorIndex,
        options: Options,
        stock: &mut Stock,
    ) -> Result<Option<DescribedLayer>, DescribeError> {
        let Some((delta, anchors)) = self.make(index, options, stock)? else {
            return Ok(None);
        };
        let (delta, references) = delta.keep_used_references()?;
        let recipe = Recipe {
            recompression: self.layer.recompression.clone(),
            delta,
        };
        let bytes = recipe.to_bytes()?;
        let recipe_bytes = bytes.len() as u64;
        if self.cost_bytes + recipe_bytes >= self.size_bytes || recipe_bytes > RECIPE_SIZE_MAX_BYTES
        {
            return Ok(None);
        }
        let used: Vec<&dyn ReadAt> = references.iter().map(|it| self.offered[*it]).collect();
        let made = (self.layer, &*self.segments);
        if !is_right(&recipe.delta, &used, made, stock)? {
            return Ok(None);
        }
        Ok(Some(DescribedLayer {
            recipe: stock.put(RECIPE_MEDIA_TYPE, &bytes)?,
            segments: std::mem::take(&mut self.segments),
            references,
            anchors,
        }))
    }

    /// `None` where the segments alone are too many.
    fn make(
        &mut self,
        index: &AnchorIndex,
        options: Options,
        stock: &mut Stock,
    ) -> Result<Option<(Delta, AnchorIndex)>, DescribeError> {
        let offered = self.offered.clone();
        let made = make_delta(&self.layer.file, index, &offered, options, &mut |bytes| {
            let segment = stock.put(SEGMENT_MEDIA_TYPE, &bytes)?;
            self.cost_bytes += segment.size + ENTRY_COST_BYTES;
            self.segments.push(segment);
            match self.cost_bytes < self.size_bytes {
                true => Ok(()),
                false => Err(io::Error::other(NotSmaller)),
            }
        });
        match made {
            Ok(made) => Ok(Some(made)),
            Err(error) if is_not_smaller(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Follows the delta as an importer would, and compares.
fn is_right(
    delta: &Delta,
    references: &[&dyn ReadAt],
    (layer, segments): (&PlainLayer, &[Descriptor]),
    stock: &Stock,
) -> Result<bool, DescribeError> {
    let mut proof = Proof {
        expected: &layer.file.file,
        position: 0,
        buffer: Vec::new(),
    };
    let mut read = |number: usize| stock.read(&segments[number].digest);
    match delta::apply_delta(delta, references, &mut read, &mut proof) {
        Ok(size_bytes) => Ok(size_bytes == layer.file.size_bytes),
        Err(delta::Error::Write { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes the bytes of a layer, if they are the right ones.
struct Proof<'a> {
    expected: &'a File,
    position: u64,
    buffer: Vec<u8>,
}

impl Rebuilt for Proof<'_> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.resize(bytes.len(), 0);
        self.read_expected(self.position)?;
        self.position += bytes.len() as u64;
        match self.buffer == bytes {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn read_back(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self.expected, buffer, offset)
    }
}

impl Proof<'_> {
    fn read_expected(&mut self, offset: u64) -> io::Result<()> {
        let read =
            std::os::unix::fs::FileExt::read_exact_at(self.expected, &mut self.buffer, offset);
        read.map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => io::ErrorKind::InvalidData.into(),
            _ => cause,
        })
    }
}

/// What ends the description of a layer that is smaller as it is.
#[derive(Debug, thiserror::Error)]
#[error("it is smaller as it is")]
struct NotSmaller;

fn is_not_smaller(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        let inner = cause.downcast_ref::<io::Error>();
        if inner.is_some_and(|it| {
            it.get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotSmaller>)
        }) {
            return true;
        }
        next = cause.source();
    }
    false
}

/// What is in the way of describing a layer.
#[derive(Debug, thiserror::Error)]
pub(super) enum DescribeError {
    #[error("the spool cannot be used")]
    Spool(#[from] io::Error),
    #[error("the layer cannot be described")]
    Delta(#[from] delta::Error),
    #[error("the layer cannot be described")]
    Recipe(#[from] crate::dense::recipe::Error),
}
