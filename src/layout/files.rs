//! The files of a layout as bytes: small ones whole, large ones as a stream.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;

use bytes::Bytes;
use futures_util::stream;

use crate::content::{Error, ErrorKind, RawStream, Result, RootedDirectory};

const READ_PIECE_BYTES: usize = 256 << 10;

pub(super) fn read_small(
    directory: &RootedDirectory,
    name: &str,
    size_max: u64,
) -> Result<Vec<u8>> {
    let shown = || directory.path().join(name).display().to_string();
    let file = directory.open_file(name)?;
    let mut bytes = Vec::new();
    file.take(size_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| Error::io(format!("cannot read `{}`", shown()), cause))?;
    if bytes.len() as u64 > size_max {
        let message = format!("`{}` is larger than {size_max} bytes", shown());
        return Err(Error::new(ErrorKind::Refused, message));
    }
    Ok(bytes)
}

pub(super) fn write_small(
    directory: &RootedDirectory,
    partial: &str,
    name: &str,
    bytes: &[u8],
) -> Result<()> {
    directory.remove(partial)?;
    let mut file = directory.create_file(partial)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_data())
        .map_err(|cause| {
            Error::io(
                format!(
                    "cannot write `{}`",
                    directory.path().join(partial).display()
                ),
                cause,
            )
        })?;
    directory.replace(partial, name)
}

/// Reads the range in pieces, each on a thread that may block.
pub(super) fn stream_file(file: File, range: Range<u64>, name: String) -> RawStream {
    let start = (Some(file), range.start);
    let end = range.end;
    RawStream::new(stream::try_unfold(start, move |(file, at)| {
        let name = name.clone();
        async move {
            let Some(mut file) = file.filter(|_| at < end) else {
                return Ok(None);
            };
            let read = tokio::task::spawn_blocking(move || {
                let length =
                    usize::try_from(end - at).map_or(READ_PIECE_BYTES, |n| n.min(READ_PIECE_BYTES));
                let mut piece = vec![0; length];
                file.seek(SeekFrom::Start(at))?;
                let count = file.read(&mut piece)?;
                piece.truncate(count);
                Ok((file, piece))
            })
            .await;
            let failed = |cause| Error::io(format!("cannot read `{name}`"), cause);
            let (file, piece) = read
                .map_err(|cause| failed(std::io::Error::other(cause)))?
                .map_err(failed)?;
            if piece.is_empty() {
                return Ok(None);
            }
            let next = at + piece.len() as u64;
            Ok(Some((Bytes::from(piece), (Some(file), next))))
        }
    }))
}
