//! What the tests of several encoders share.

use std::io::Read;

use flate2::read::DeflateDecoder;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{DeflateEncoder, inputs};

/// Feeds `input` in pieces of these sizes and what is left in one more, and returns the whole stream.
pub(super) fn encode(
    encoder: &mut dyn DeflateEncoder,
    input: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> Vec<u8> {
    let (mut output, mut rest) = (Vec::new(), input);
    for piece_bytes in cuts {
        let (piece, after) = rest.split_at(piece_bytes.min(rest.len()));
        encoder.encode(piece, &mut output);
        rest = after;
    }
    encoder.encode(rest, &mut output);
    encoder.finish(&mut output);
    output
}

/// What a deflate stream has.
pub(super) fn inflate(stream: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    DeflateDecoder::new(stream)
        .read_to_end(&mut output)
        .expect("a deflate stream");
    output
}

/// Compares our streams with those of a real program, of which `list` has a line each: the name of the input, and the
/// length and the SHA-256 of the stream.
pub(super) fn compare_with(list: &str, names: &[&str], encode: impl Fn(&[u8]) -> Vec<u8>) {
    for name in names {
        let line = list
            .lines()
            .find(|line| line.split(' ').next() == Some(name));
        let stream = encode(&inputs::named(name));
        let digest: String = Sha256::digest(&stream)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let ours = format!("{name} {} {digest}", stream.len());
        assert_eq!(Some(ours.as_str()), line);
    }
}

/// Bytes with matches near and far: pieces of noise, runs, and copies of what came before.
pub(super) fn any_input() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600).prop_map(|noise| (noise, 1)),
        prop::collection::vec(0..4_u8, 1..20).prop_map(|few| (few, 40)),
        prop::collection::vec(any::<u8>(), 2..2000).prop_map(|noise| (noise, 20)),
        (any::<u8>(), 1..40_000_usize).prop_map(|(byte, times)| (vec![byte], times)),
    ];
    prop::collection::vec((piece, any::<bool>()), 0..12).prop_map(|pieces| {
        let mut input = Vec::new();
        for ((bytes, times), doubles) in pieces {
            input.extend(bytes.repeat(times));
            if doubles {
                input.extend_from_within(input.len() / 2..);
            }
        }
        input.truncate(200_000);
        input
    })
}
