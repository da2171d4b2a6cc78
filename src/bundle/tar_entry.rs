//! The bytes that stand before and after the data of an entry in the tar stream.
//!
//! A writer writes them and a reader compares them, so this program has no tar parser that could be fooled.
//! Pure. Specification: FORMAT.md, "Entries and their order"; GNU tar, "Basic Tar Format".

use crate::oci::Digest;

/// The size of a tar block: headers, and the unit that data is padded to.
pub(super) const BLOCK_BYTES: u64 = 512;
/// The longest name that fits a header without an `L` record.
const NAME_FIELD_BYTES: usize = 100;

/// The header of the regular file `name` with `size` bytes, with its `L` record where the name needs one.
pub(super) fn encode_header(name: &str, size: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 * 512);
    if name.len() > NAME_FIELD_BYTES {
        let mut long = name.as_bytes().to_vec();
        long.push(0);
        bytes.extend_from_slice(&block(
            b"././@LongLink",
            long.len() as u64,
            tar::EntryType::GNULongName,
        ));
        bytes.extend_from_slice(&long);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    let shown = &name.as_bytes()[..name.len().min(NAME_FIELD_BYTES)];
    bytes.extend_from_slice(&block(shown, size, tar::EntryType::Regular));
    bytes
}

fn block(name: &[u8], size: u64, kind: tar::EntryType) -> [u8; 512] {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_cksum();
    *header.as_bytes()
}

/// The length of the header of `name`, in bytes.
pub(super) fn header_size(name: &str) -> u64 {
    if name.len() > NAME_FIELD_BYTES {
        2 * BLOCK_BYTES + (name.len() as u64 + 1).next_multiple_of(BLOCK_BYTES)
    } else {
        BLOCK_BYTES
    }
}

/// The zeros after `size` bytes of data.
pub(super) fn padding_size(size: u64) -> u64 {
    size.next_multiple_of(BLOCK_BYTES) - size
}

/// Header, data and padding of an entry, in bytes.
pub(super) fn entry_size(name: &str, size: u64) -> u64 {
    header_size(name) + size + padding_size(size)
}

/// The name of the entry that holds a whole blob or manifest.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The name of the entry that holds one part of a blob; `number` counts from 1.
pub(super) fn part_name(digest: &Digest, number: u32) -> String {
    format!("airlift/parts/{}/{number:04}", digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn header_size_agrees_with_the_header() {
        for digest in [Digest::sha256(b""), Digest::of(Algorithm::Sha512, b"")] {
            for name in [blob_name(&digest), part_name(&digest, 7)] {
                assert_eq!(encode_header(&name, 1).len() as u64, header_size(&name));
            }
        }
    }

    #[test]
    fn sizes_above_8_gib_are_base_256() {
        let header = encode_header("a", 9 << 30);
        assert_eq!(header[124], 0x80);
        let parsed = tar::Header::from_byte_slice(&header);
        assert_eq!(parsed.size().unwrap(), 9 << 30);
    }
}
