//! Contents on their way into the spool: as they are, or without their compression, while they arrive.
//!
//! **Invariant.** What is answered is of the content of its digest: it was read to its end at once, or makes it again.

use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;

use super::content_reader::{ContentReader, read_content};
use super::layer::{PlainLayer, take_layer_apart};
use super::spool::{Spool, SpooledFile};
use crate::content::{Content, Error};
use crate::dense::gzip::Corrector;
use crate::dense::plain;

/// Why a content is not in the spool.
pub(super) enum Unread {
    /// The spool cannot be used.
    Spool(Error),
    /// Its source does not give it.
    Source(Error),
    /// It is not what its beginning says, or too long.
    Content(io::Error),
}

/// A content as it is.
pub(super) async fn spool_content(content: Content, spool: &Spool) -> Result<SpooledFile, Unread> {
    read(content, spool, |reader, spool| {
        let mut file = spool.file()?;
        io::copy(reader, &mut file)?;
        SpooledFile::of(file)
    })
    .await
}

/// A content without its compression, of at most `size_max_bytes`.
pub(super) async fn spool_plain(
    content: Content,
    spool: &Spool,
    size_max_bytes: u64,
) -> Result<SpooledFile, Unread> {
    read(content, spool, move |reader, spool| {
        let mut file = spool.file()?;
        let mut output = BufWriter::with_capacity(1 << 20, &mut file);
        plain::undo_compression(reader, &mut output, size_max_bytes)?;
        output.flush()?;
        drop(output);
        SpooledFile::of(file)
    })
    .await
}

/// A layer that is taken apart; `None` where that cannot be proven.
pub(super) async fn spool_apart(
    content: Content,
    spool: &Spool,
    (threads, corrector): (NonZeroUsize, Corrector),
) -> Result<Option<PlainLayer>, Unread> {
    let digest = content.descriptor().digest.clone();
    read(content, spool, move |reader, spool| {
        let taken = take_layer_apart(reader, spool, (threads, &corrector))?;
        let Some(layer) = taken else {
            return Ok(None);
        };
        // Parts of two readings are no content of anybody.
        let is_proven = !reader.was_opened_again() || layer.makes(&digest, (threads, &corrector));
        Ok(is_proven.then_some(layer))
    })
    .await
}

/// Does `work` on a thread, with a reader of `content`.
async fn read<T: Send + 'static>(
    content: Content,
    spool: &Spool,
    work: impl FnOnce(&mut ContentReader, &Spool) -> io::Result<T> + Send + 'static,
) -> Result<T, Unread> {
    let (mut reader, feeding) = read_content(content);
    let of_thread = spool.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let done = work(&mut reader, &of_thread);
        (done, reader.take_error())
    });
    let ((), read) = tokio::join!(feeding, reading);
    match read {
        Ok((_, Some(error))) => Err(Unread::Source(error)),
        Ok((Ok(done), None)) => Ok(done),
        Ok((Err(cause), None)) if plain::is_about_content(&cause) => Err(Unread::Content(cause)),
        Ok((Err(cause), None)) => Err(Unread::Spool(spool.failed(cause))),
        Err(_) => Err(Unread::Spool(
            spool.failed(io::ErrorKind::Interrupted.into()),
        )),
    }
}
