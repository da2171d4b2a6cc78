//! Anchors: the places of a byte stream that its content chooses, where two layers are compared.
//!
//! A gear hash rolls over the bytes; where its highest bits are zero, the 64 bytes before form an anchor, about one in
//! 4 KiB. The same 64 bytes are an anchor in every stream, at whatever offset, so that an insertion moves anchors and
//! makes no new ones. The sampling is that of content-defined chunking (Manber 1994; Xia et al. 2016); unlike
//! there, nothing is hashed between two of them, since a match is compared byte for byte and grows from its anchor in
//! both directions.
//!
//! The table is part of no format: a layer is indexed anew on each export.

/// How many bytes an anchor stands for: as many as the bits of the hash.
pub(super) const WINDOW_BYTES: usize = 64;

/// The highest bits of the hash that are zero at an anchor, so that one in `2^BASE_BITS` bytes is one.
pub(super) const BASE_BITS: u32 = 12;

/// The next output of the splitmix64 generator, which fills the table with well mixed constants.
const fn mixed(seed: u64) -> u64 {
    let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    let mut state = 0x6169_726c_6966_7431u64;
    while i < table.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        table[i] = mixed(state);
        i += 1;
    }
    table
};

/// The rolling hash over one stream.
#[derive(Default)]
pub(super) struct Roll {
    hash: u64,
    seen: usize,
}

impl Roll {
    /// Goes on over `bytes` until an anchor ends; gives the number of bytes up to that end and the hash there.
    pub(super) fn next_anchor(&mut self, bytes: &[u8]) -> Option<(usize, u64)> {
        let mut hash = self.hash;
        let warm_up = WINDOW_BYTES.saturating_sub(self.seen + 1).min(bytes.len());
        for &byte in &bytes[..warm_up] {
            hash = (hash << 1).wrapping_add(GEAR[usize::from(byte)]);
        }
        for (i, &byte) in bytes[warm_up..].iter().enumerate() {
            hash = (hash << 1).wrapping_add(GEAR[usize::from(byte)]);
            if hash >> (u64::BITS - BASE_BITS) == 0 {
                self.hash = hash;
                self.seen = WINDOW_BYTES;
                return Some((warm_up + i + 1, hash));
            }
        }
        self.hash = hash;
        self.seen = (self.seen + bytes.len()).min(WINDOW_BYTES);
        None
    }
}
