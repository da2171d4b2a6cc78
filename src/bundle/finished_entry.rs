//! An entry of a volume whose content was verified to its end, as a later run needs it to go on behind it.
//!
//! No frame holds bytes of two entries, so a volume can be cut after any of them, and whoever goes on from there
//! writes the same bytes. Pure. Specification: FORMAT.md, "Frames".

use super::inventory::Row;

/// Stored and uncompressed size of a frame, little endian, when packed.
const PACKED_FRAME_BYTES: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedEntry {
    pub row: Row,
    /// Where its last frame ends in the object.
    pub end_offset: u64,
    /// Where the tar stream stands behind it.
    pub tar_position: u64,
    /// Stored and uncompressed sizes of its frames.
    pub frames: Vec<(u32, u32)>,
}

impl FinishedEntry {
    pub fn pack_frames(&self) -> Vec<u8> {
        let pack = |(stored, size): &(u32, u32)| [stored.to_le_bytes(), size.to_le_bytes()];
        self.frames.iter().flat_map(pack).flatten().collect()
    }

    /// Frames as [`FinishedEntry::pack_frames`] has packed them; `None` where they are not.
    pub fn unpack_frames(packed: &[u8]) -> Option<Vec<(u32, u32)>> {
        let (frames, []) = packed.as_chunks::<PACKED_FRAME_BYTES>() else {
            return None;
        };
        let unpack = |[a, b, c, d, e, f, g, h]: &[u8; PACKED_FRAME_BYTES]| {
            let stored = u32::from_le_bytes([*a, *b, *c, *d]);
            (stored, u32::from_le_bytes([*e, *f, *g, *h]))
        };
        Some(frames.iter().map(unpack).collect())
    }
}
