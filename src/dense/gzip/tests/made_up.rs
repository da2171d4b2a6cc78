//! Corrections that somebody made up: each ends within the bounds of the child, by a named limit or as damaged.

use super::super::recompression::Members;
use super::super::{Error, Recompression, put_together};
use super::child::corrector;
use super::{ONE, apart, fixture};

/// Bytes of the parameters before the corrections of a first chunk.
const PARAMETERS_BYTES: usize = 21;

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[1]
    }
}

/// What came of corrections: bytes that are likely wrong, which a digest tells, or a refusal.
#[derive(Debug, Default)]
struct Outcomes {
    written: usize,
    damaged: usize,
    limits: usize,
}

impl Outcomes {
    /// Puts a real stream together, its corrections changed.
    fn add(&mut self, real: &(Recompression, Vec<u8>), change: impl FnOnce(&mut Vec<u8>)) {
        let (mut recompression, plain) = real.clone();
        let Members::Corrected { chunks } = &mut recompression.runs[0].members else {
            panic!("it is corrected")
        };
        change(&mut chunks[0].corrections);
        let read = match Recompression::from_bytes(&recompression.to_bytes()) {
            Ok(read) => read,
            Err(_) => return self.damaged += 1,
        };
        let mut written = Vec::new();
        match put_together(&read, &mut &*plain, &mut written, ONE, &corrector()) {
            Ok(_) => self.written += 1,
            Err(Error::Limit { .. }) => self.limits += 1,
            Err(Error::Damaged { .. }) => self.damaged += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A stream of GNU gzip with corrections.
fn real() -> (Recompression, Vec<u8>) {
    apart(&fixture("gzip/large.6.gz")).expect("it can be made again")
}

#[test]
fn corrections_of_random_bytes_end() {
    let (real, mut outcomes) = (real(), Outcomes::default());
    for seed in 0..120 {
        outcomes.add(&real, |corrections| {
            let mut random = Random(seed);
            for byte in &mut corrections[PARAMETERS_BYTES..] {
                *byte = random.byte();
            }
        });
    }
    assert!(
        outcomes.limits > 0,
        "none would go on without end: {outcomes:?}"
    );
    assert!(outcomes.damaged > 0, "{outcomes:?}");
}

#[test]
fn corrections_with_flipped_bits_end() {
    let (real, mut outcomes) = (real(), Outcomes::default());
    for seed in 0..120 {
        outcomes.add(&real, |corrections| {
            let mut random = Random(seed);
            for _ in 0..=seed % 4 {
                let at = random.next() % corrections.len();
                corrections[at] ^= 1 << (random.next() % 8);
            }
        });
    }
    assert!(outcomes.damaged + outcomes.limits > 0, "{outcomes:?}");
}

#[test]
fn corrections_that_are_cut_or_go_on_end() {
    let (real, mut outcomes) = (real(), Outcomes::default());
    for step in 0..40 {
        outcomes.add(&real, |corrections| {
            corrections.truncate(corrections.len() * step / 40);
        });
        outcomes.add(&real, |corrections| {
            let from = PARAMETERS_BYTES + (corrections.len() - PARAMETERS_BYTES) * step / 40;
            corrections[from..].fill([0xff, 0x55][step % 2]);
        });
    }
    assert!(outcomes.damaged + outcomes.limits > 0, "{outcomes:?}");
}
