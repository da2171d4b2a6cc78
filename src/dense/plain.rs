//! The plain bytes of a layer: what remains when its gzip is undone, or the content itself where it has none.
//!
//! It proves nothing about who wrote the gzip; `gzip::take_apart` does.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;

const BUFFER_BYTES: usize = 256 << 10;
/// RFC 1952, section 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Writes the plain bytes of `content` to `output`, at most `size_max_bytes` of them, and reads `content` to its end.
/// Gives how many there were. More of them is an error of the kind `InvalidData`.
pub fn undo_compression(
    content: &mut dyn Read,
    output: &mut dyn Write,
    size_max_bytes: u64,
) -> io::Result<u64> {
    let mut content = BufReader::with_capacity(BUFFER_BYTES, content);
    let is_gzip = content.fill_buf()?.starts_with(&GZIP_MAGIC);
    let copied = match is_gzip {
        true => copy(
            &mut MultiGzDecoder::new(&mut content),
            output,
            size_max_bytes,
        ),
        false => copy(&mut content, output, size_max_bytes),
    };
    // Only at its end does a content turn out to be what its digest says, or not to be it.
    if copied.as_ref().err().is_none_or(is_about_content) {
        io::copy(&mut content, &mut io::sink())?;
    }
    copied
}

/// Whether undoing the compression failed for what stands in the content, and not for what is read or written.
pub fn is_about_content(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}

fn copy(from: &mut dyn Read, output: &mut dyn Write, size_max_bytes: u64) -> io::Result<u64> {
    let size_bytes = io::copy(&mut from.take(size_max_bytes.saturating_add(1)), output)?;
    match size_bytes > size_max_bytes {
        false => Ok(size_bytes),
        true => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("more than the {size_max_bytes} plain bytes that were declared"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn plain_of(content: &[u8], size_max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut output = Vec::new();
        let size = undo_compression(&mut &*content, &mut output, size_max_bytes)?;
        assert_eq!(size, output.len() as u64);
        Ok(output)
    }

    /// What is damaged is read all the same, so that its digest is known.
    fn assert_reads_to_the_end(layer: &[u8]) {
        let mut damaged = layer.to_vec();
        damaged[12] ^= 0xff;
        damaged.resize(BUFFER_BYTES * 2, 0);
        let mut content = &*damaged;
        let error = undo_compression(&mut content, &mut Vec::new(), 6).unwrap_err();
        assert!(is_about_content(&error), "{error:?}");
        assert_eq!(content.len(), 0);
    }

    #[test]
    fn gzip_is_undone_member_by_member_and_nothing_else_is() {
        let mut layer = GzEncoder::new(Vec::new(), Compression::default());
        layer.write_all(b"one").unwrap();
        let mut layer = layer.finish().unwrap();
        layer.extend_from_slice(&layer.clone());
        assert_eq!(plain_of(&layer, 6).unwrap(), b"oneone");
        assert_eq!(plain_of(b"a tar", 5).unwrap(), b"a tar");
        assert_eq!(plain_of(b"", 0).unwrap(), b"");
        assert_reads_to_the_end(&layer);
        for (content, limit) in [(&*layer, 5), (b"a tar", 4)] {
            let error = plain_of(content, limit).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
