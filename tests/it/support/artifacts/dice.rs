//! Chance from a seed: `SplitMix64`, so that a seed in a failure message brings the same case back.

/// A stream of numbers that its seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` - 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// `length` bytes: of one value, of text that compresses well, or of noise.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        match self.below(4) {
            0 => vec![0; length],
            1 => b"usr/share/doc/"
                .iter()
                .copied()
                .cycle()
                .take(length)
                .collect(),
            _ => self.noise(length),
        }
    }

    /// `length` bytes that no compressor makes shorter.
    pub(crate) fn noise(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.roll().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}
