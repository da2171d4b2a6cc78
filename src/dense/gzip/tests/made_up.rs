//! Corrections that somebody made up: each ends within the bounds of the child, by a named limit or as damaged.

use std::io::sink;

use super::super::recompression::{Chunk, Members};
use super::super::{Corrector, Error, Recompression, put_together};
use super::child::{corrector, endless};
use super::{ONE, apart, fixture, text};

/// Bytes of the parameters before the corrections of a first chunk.
const PARAMETERS_BYTES: usize = 29;

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
    /// Puts a real stream together, the corrections of its first chunk changed.
    fn add(&mut self, real: &(Recompression, Vec<u8>), change: impl FnOnce(&mut Vec<u8>)) {
        let (mut recompression, plain) = real.clone();
        change(&mut chunks(&mut recompression)[0].corrections);
        self.add_made_up(&recompression, &plain);
    }

    /// Puts a real stream together with one more chunk behind it: corrections that have no parameters before them.
    fn add_behind(&mut self, real: &(Recompression, Vec<u8>), more: &[u8], corrections: Vec<u8>) {
        let (mut recompression, mut plain) = real.clone();
        plain.extend(more);
        chunks(&mut recompression).push(Chunk {
            plain_bytes: more.len() as u64,
            corrections,
        });
        self.add_made_up(&recompression, &plain);
    }

    fn add_made_up(&mut self, recompression: &Recompression, mut plain: &[u8]) {
        let Ok(read) = Recompression::from_bytes(&recompression.to_bytes()) else {
            self.damaged += 1;
            return;
        };
        let mut written = Vec::new();
        match put_together(&read, &mut plain, &mut written, ONE, &corrector()) {
            Ok(_) => self.written += 1,
            Err(Error::Limit { .. }) => self.limits += 1,
            Err(Error::Damaged { .. }) => self.damaged += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

fn chunks(recompression: &mut Recompression) -> &mut Vec<Chunk> {
    match &mut recompression.runs[0].members {
        Members::Corrected { chunks } => chunks,
        Members::Exact { .. } => panic!("it is corrected"),
    }
}

/// A stream of pigz, which needs some corrections.
fn real() -> (Recompression, Vec<u8>) {
    apart(&fixture("pigz/layer.6.p2.gz")).expect("it can be made again")
}

#[test]
fn corrections_of_random_bytes_end() {
    let (real, mut outcomes) = (real(), Outcomes::default());
    for seed in 0..100 {
        outcomes.add(&real, |corrections| {
            let mut random = Random(seed);
            let length = random.next() % 200;
            corrections.truncate(PARAMETERS_BYTES);
            corrections.push(length.to_le_bytes()[0]);
            corrections.extend((0..length).map(|_| random.byte()));
        });
    }
    assert!(outcomes.damaged > 0, "{outcomes:?}");
}

#[test]
fn corrections_behind_the_first_chunk_end() {
    let (real, mut outcomes) = (real(), Outcomes::default());
    for seed in 0..100 {
        let mut random = Random(seed);
        let length = random.next() % 9;
        let corrections = (0..length).map(|_| random.byte()).collect();
        let more = text([0, 5_000][random.next() % 2]);
        outcomes.add_behind(&real, &more, corrections);
    }
    assert!(outcomes.damaged > 0, "{outcomes:?}");
}

/// They say that the chunk goes on whenever it could end: so it would, with blocks of no bytes.
#[test]
fn corrections_that_would_go_on_without_end_break_the_limit_of_memory() {
    let (mut recompression, mut plain) = real();
    plain.extend(b"and so on");
    chunks(&mut recompression).push(Chunk {
        plain_bytes: 9,
        corrections: vec![0x07, 0x80],
    });
    let error = put_together(&recompression, &mut &*plain, &mut sink(), ONE, &corrector());
    let error = error.expect_err("a limit is broken").to_string();
    assert!(
        error.contains("bytes of memory for its corrections"),
        "{error}"
    );
}

#[test]
fn a_child_that_works_without_end_breaks_the_limit_of_time() {
    let (recompression, plain) = real();
    let error = put_together(&recompression, &mut &*plain, &mut sink(), ONE, &endless());
    let error = error.expect_err("a limit is broken").to_string();
    assert!(
        error.contains("seconds of work on its corrections"),
        "{error}"
    );
}

#[test]
fn a_program_that_cannot_be_run_is_named() {
    let (recompression, plain) = real();
    let absent = Corrector::new("/nowhere/airlift", ["work"]);
    let error = put_together(&recompression, &mut &*plain, &mut sink(), ONE, &absent);
    let error = error.expect_err("there is no such program").to_string();
    assert!(error.contains("`/nowhere/airlift`"), "{error}");
}

#[test]
fn corrections_with_flipped_bits_end() {
    let (real, mut outcomes) = (real(), Outcomes::default());
    for seed in 0..30 {
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
            let length = 40 + step;
            corrections.truncate(PARAMETERS_BYTES + 1 + step / 2);
            corrections.resize(PARAMETERS_BYTES + 1 + length, [0xff, 0x55][step % 2]);
            corrections[PARAMETERS_BYTES] = length.to_le_bytes()[0];
        });
    }
    assert!(outcomes.damaged + outcomes.limits > 0, "{outcomes:?}");
}
