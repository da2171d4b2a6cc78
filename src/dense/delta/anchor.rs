//! Anchors: the places of a byte stream that its content chooses, where two layers are compared.
//!
//! A gear hash rolls over the bytes; where its highest bits are zero, the 64 bytes before form an anchor, about one in
//! 256 bytes. The same 64 bytes are an anchor in every stream, at whatever offset, so that an insertion moves anchors and
//! makes no new ones. The sampling is that of content-defined chunking (Manber 1994; Xia et al. 2016); unlike
//! there, nothing is hashed between two of them, since a match is compared byte for byte and grows from its anchor in
//! both directions.
//!
//! The table is part of no format: a layer is indexed anew on each export.

/// How many bytes an anchor stands for: as many as the bits of the hash.
const WINDOW_BYTES: usize = 64;

/// In how many places of a block the hash rolls at once: one step waits for the one before it, those beside it do not.
const LANES: usize = 4;

/// The highest bits of the hash that are zero at an anchor, so that one in `2^BASE_BITS` bytes is one.
pub(super) const BASE_BITS: u32 = 8;

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

/// An anchor in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Where in the block it ends.
    pub(super) end: usize,
    pub(super) hash: u64,
}

/// The rolling hash over one stream.
#[derive(Default)]
pub(super) struct Roll {
    hash: u64,
}

impl Roll {
    /// Goes on over `block` and puts its anchors into `found`, in place of what was there. Anchors at the very start of a
    /// stream stand for fewer bytes.
    pub(super) fn find(&mut self, block: &[u8], found: &mut Vec<Anchor>) {
        found.clear();
        let lane_bytes = block.len() / LANES;
        let (even, rest) = match lane_bytes < WINDOW_BYTES {
            true => block.split_at(0),
            false => block.split_at(lane_bytes * LANES),
        };
        if !even.is_empty() {
            self.roll_in_lanes(even, lane_bytes, found);
        }
        for (i, &byte) in rest.iter().enumerate() {
            self.hash = rolled(self.hash, byte);
            note(found, even.len() + i + 1, self.hash);
        }
    }

    fn roll_in_lanes(&mut self, even: &[u8], lane_bytes: usize, found: &mut Vec<Anchor>) {
        let (first, second) = even.split_at(lane_bytes * 2);
        let (a, b) = first.split_at(lane_bytes);
        let (c, d) = second.split_at(lane_bytes);
        let mut lanes: [Vec<Anchor>; LANES] = Default::default();
        let mut hashes = [self.hash, warm(a), warm(b), warm(c)];
        for (i, (((a, b), c), d)) in a.iter().zip(b).zip(c).zip(d).enumerate() {
            for (lane, byte) in [a, b, c, d].into_iter().enumerate() {
                hashes[lane] = rolled(hashes[lane], *byte);
                note(&mut lanes[lane], lane * lane_bytes + i + 1, hashes[lane]);
            }
        }
        for lane in lanes {
            found.extend(lane);
        }
        self.hash = hashes[LANES - 1];
    }
}

fn rolled(hash: u64, byte: u8) -> u64 {
    (hash << 1).wrapping_add(GEAR[usize::from(byte)])
}

/// The hash at the end of `bytes`, which does not depend on more than a window of them.
fn warm(bytes: &[u8]) -> u64 {
    let window = &bytes[bytes.len() - WINDOW_BYTES..];
    window.iter().fold(0, |hash, byte| rolled(hash, *byte))
}

/// Takes the place in if it is an anchor, and not the one before it over again, as in a run of one byte.
fn note(found: &mut Vec<Anchor>, end: usize, hash: u64) {
    let is_anchor = hash >> (u64::BITS - BASE_BITS) == 0;
    if is_anchor && found.last().is_none_or(|last| last.hash != hash) {
        found.push(Anchor { end, hash });
    }
}

#[cfg(test)]
mod tests {
    use super::{Anchor, Roll};

    fn found(blocks: &[&[u8]]) -> Vec<Anchor> {
        let (mut roll, mut found, mut all, mut start) =
            (Roll::default(), Vec::new(), Vec::new(), 0);
        for block in blocks {
            roll.find(block, &mut found);
            all.extend(found.iter().map(|it| Anchor {
                end: start + it.end,
                ..*it
            }));
            start += block.len();
        }
        all
    }

    #[test]
    fn anchors_do_not_depend_on_how_a_stream_is_cut() {
        let stream = super::super::tests::noise(7, 100_003);
        let whole = found(&[&stream]);
        assert!((300..500).contains(&whole.len()), "{} anchors", whole.len());
        for at in [1, 63, 255, 256, 257, 4_096, 99_990] {
            let (head, tail) = stream.split_at(at);
            assert_eq!(found(&[head, tail]), whole, "cut at {at}");
        }
        assert_eq!(found(&stream.chunks(100).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn runs_of_one_byte_have_few_anchors() {
        for byte in 0..=255 {
            assert!(found(&[&[byte; 8_192]]).len() < 70, "of byte {byte}");
        }
    }
}
