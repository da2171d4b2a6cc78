//! Deltas of made-up layers: that they come back as they were, and that a hostile one is refused by name.

mod hostile;
mod making;
mod round_trip;

use super::make::make_in_segments;
use super::{AnchorIndex, Delta, Options, ReadAt, apply_delta, make_delta};

/// Bytes that nothing compresses, a pure function of `seed`.
pub(super) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut bytes: Vec<u8> = words.by_ref().take(length.div_ceil(8)).flatten().collect();
    bytes.truncate(length);
    bytes
}

/// A delta with its segments.
#[derive(Debug, PartialEq)]
struct Made {
    delta: Delta,
    segments: Vec<Vec<u8>>,
}

impl Made {
    fn segment_bytes(&self) -> usize {
        self.segments.iter().map(Vec::len).sum()
    }
}

fn as_layers(references: &[Vec<u8>]) -> Vec<&dyn ReadAt> {
    references
        .iter()
        .map(|reference| reference as &dyn ReadAt)
        .collect()
}

fn index_of(references: &[Vec<u8>]) -> AnchorIndex {
    let mut index = AnchorIndex::default();
    for (number, reference) in references.iter().enumerate() {
        index
            .add(number, reference)
            .expect("bytes in memory can be read");
    }
    index
}

fn make(new: &Vec<u8>, references: &[Vec<u8>], options: Options) -> Made {
    let mut segments = Vec::new();
    let mut keep = |segment| {
        segments.push(segment);
        Ok(())
    };
    let (delta, _) = make_delta(
        new,
        &index_of(references),
        &as_layers(references),
        options,
        &mut keep,
    )
    .expect("a delta of bytes in memory can be made");
    Made { delta, segments }
}

/// As [`make`], in segments of `segment_bytes` and on `threads` threads.
fn make_in(segment_bytes: usize, new: &Vec<u8>, references: &[Vec<u8>], threads: usize) -> Made {
    let options = Options {
        threads,
        ..Options::default()
    };
    let layers = as_layers(references);
    let mut segments = Vec::new();
    let mut keep = |segment| {
        segments.push(segment);
        Ok(())
    };
    let (delta, _) = make_in_segments(
        new,
        &index_of(references),
        &layers,
        options,
        segment_bytes,
        &mut keep,
    )
    .expect("a delta of bytes in memory can be made");
    Made { delta, segments }
}

fn apply(made: &Made, references: &[Vec<u8>]) -> super::Result<Vec<u8>> {
    let mut output = Vec::new();
    let length = apply_delta(
        &made.delta,
        &as_layers(references),
        &mut |number| Ok(made.segments[number].clone()),
        &mut output,
    )?;
    assert_eq!(length, output.len() as u64);
    Ok(output)
}

fn sizes(references: &[Vec<u8>]) -> Vec<u64> {
    references
        .iter()
        .map(|reference| reference.len() as u64)
        .collect()
}
