//! Streams that real programs wrote, strange ones, and hostile recompressions.

mod child;
mod hostile;
mod made_up;
mod real_streams;
mod round_trips;

use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::Path;

use super::{Corrector, Recompression, put_together, take_apart};
use child::corrector;

const ONE: NonZeroUsize = NonZeroUsize::MIN;
const TWO: NonZeroUsize = ONE.saturating_add(1);

/// Takes a stream apart, with its plain text; `None` if it goes as it is.
fn apart(compressed: &[u8]) -> Option<(Recompression, Vec<u8>)> {
    let mut plain = Vec::new();
    let recompression = take_apart(&mut Cursor::new(compressed), &mut plain, TWO, &corrector())
        .expect("memory does not fail");
    recompression.map(|recompression| (recompression, plain))
}

fn together(recompression: &Recompression, plain: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let written = put_together(
        recompression,
        &mut &*plain,
        &mut compressed,
        TWO,
        &corrector(),
    )
    .expect("it fits the plain text");
    assert_eq!(written, compressed.len() as u64);
    compressed
}

/// Takes a stream apart and puts it together by way of the bytes of the format; the answer is what it was.
fn round_trip(compressed: &[u8]) -> Option<Recompression> {
    let (recompression, plain) = apart(compressed)?;
    let read =
        Recompression::from_bytes(&recompression.to_bytes()).expect("what was written can be read");
    assert_eq!(read, recompression);
    assert_eq!(read.plain_bytes(), plain.len() as u64);
    assert!(
        together(&read, &plain) == compressed,
        "other bytes than before"
    );
    Some(read)
}

/// The methods of a stream that is known to be taken apart.
fn methods(compressed: &[u8]) -> Vec<String> {
    let recompression = round_trip(compressed).expect("it can be made again");
    recompression
        .shares()
        .iter()
        .map(|share| share.method.to_string())
        .collect()
}

fn fixture(path: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/encoders");
    std::fs::read(root.join(path)).expect("the fixture is there")
}

/// Text that compresses as a layer does, the same for the same size.
fn text(size_bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut text = Vec::with_capacity(size_bytes + 800);
    while text.len() < size_bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let line = format!(
            "usr/lib/{:x}/{}.so {:o}\n",
            state >> 56,
            (state >> 40) % 4000,
            state >> 50
        );
        text.extend(line.as_bytes());
        if state >> 60 == 0 && text.len() > 4_000 {
            let from = text.len() - 4_000 + usize::from(state.to_le_bytes()[5]);
            text.extend_from_within(from..from + 700);
        }
    }
    text.truncate(size_bytes);
    text
}
