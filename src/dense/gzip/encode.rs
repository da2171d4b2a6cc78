//! One deflate stream written by a named encoder: the same function proves a stream on export and makes it on import.

use std::io::{self, ErrorKind, Read, Write};
use std::num::NonZeroUsize;

use crate::dense::deflate::pgzip::{BLOCK_BYTES, encode_pgzip};

use super::method::Encoder;

/// How much plain text is handed to an encoder at once, in bytes.
pub(super) const PIECE_BYTES: usize = 64 * 1024;

/// Encodes `plain` to its end as one deflate stream. `threads` is for encoders whose blocks are independent.
pub(super) fn encode_stream(
    encoder: Encoder,
    plain: &mut (dyn Read + Send),
    output: &mut dyn Write,
    threads: NonZeroUsize,
) -> io::Result<()> {
    if let Encoder::Pgzip(release) = encoder {
        encode_pgzip(plain, output, release.family(), BLOCK_BYTES, threads)?;
        return Ok(());
    }
    let mut stream = encoder.stream();
    let mut piece = vec![0; PIECE_BYTES];
    let mut made = Vec::new();
    loop {
        match plain.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => stream.encode(&piece[..count], &mut made),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        output.write_all(&made)?;
        made.clear();
    }
    stream.finish(&mut made);
    output.write_all(&made)
}
