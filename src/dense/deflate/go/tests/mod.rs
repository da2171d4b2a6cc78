use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::super::inputs;
use super::super::testing::{any_input, encode, inflate};
use super::chains::Chains;
use super::*;

/// A line for each stream that Go wrote: the input, the level, the length of the stream and its SHA-256.
const STREAMS: &str = include_str!("../../../../../fixtures/encoders/go/streams.txt");

fn level(number: u8) -> Level {
    Level::new(number).expect("a level that compresses")
}

fn encode_whole(number: u8, input: &[u8]) -> Vec<u8> {
    encode(&mut GoEncoder::new(level(number)), input, [])
}

/// Compares every stream that Go wrote at these levels.
fn compare_with_go(levels: std::ops::RangeInclusive<u8>) {
    let mut compared = 0;
    for line in STREAMS.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, number, length, digest] = fields[..] else {
            panic!("a line of four fields: {line}")
        };
        let number: u8 = number.parse().expect("a level");
        if levels.contains(&number) {
            let stream = encode_whole(number, &inputs::named(name));
            assert_eq!(stream.len().to_string(), length, "{name} at level {number}");
            let hex: String = Sha256::digest(&stream)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(hex, digest, "{name} at level {number}");
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#[test]
fn level_1_writes_what_go_writes() {
    compare_with_go(1..=1);
}

#[test]
fn levels_2_to_5_write_what_go_writes() {
    compare_with_go(2..=5);
}

#[test]
fn level_6_writes_what_go_writes() {
    compare_with_go(6..=6);
}

#[test]
fn levels_7_and_8_write_what_go_writes() {
    compare_with_go(7..=8);
}

#[test]
fn level_9_writes_what_go_writes() {
    compare_with_go(9..=9);
}

#[test]
fn small_streams_of_go_are_written_anew() {
    let kept: [(&str, u8, &[u8]); 6] = [
        (
            "text-300",
            1,
            include_bytes!("../../../../../fixtures/encoders/go/text-300.1.gz"),
        ),
        (
            "text-300",
            6,
            include_bytes!("../../../../../fixtures/encoders/go/text-300.6.gz"),
        ),
        (
            "text-300",
            9,
            include_bytes!("../../../../../fixtures/encoders/go/text-300.9.gz"),
        ),
        (
            "tar-small",
            1,
            include_bytes!("../../../../../fixtures/encoders/go/tar-small.1.gz"),
        ),
        (
            "tar-small",
            6,
            include_bytes!("../../../../../fixtures/encoders/go/tar-small.6.gz"),
        ),
        (
            "tar-small",
            9,
            include_bytes!("../../../../../fixtures/encoders/go/tar-small.9.gz"),
        ),
    ];
    for (name, number, member) in kept {
        let (ours, theirs) = (
            encode_whole(number, &inputs::named(name)),
            &member[10..member.len() - 8],
        );
        let same_bytes = ours
            .iter()
            .zip(theirs)
            .take_while(|(ours, theirs)| ours == theirs)
            .count();
        assert!(
            ours == theirs,
            "{name} at level {number} differs after {same_bytes} bytes"
        );
    }
}

#[test]
fn only_levels_that_compress_exist() {
    let numbers: Vec<u8> = (0..=255).filter_map(Level::new).map(Level::get).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

/// Encodes with places that are counted anew on the way: their last one is `ahead_bytes` ahead of the first byte.
fn encode_past_the_last_place(number: u8, input: &[u8], ahead_bytes: u32) -> Vec<u8> {
    let tokens = match Effort::of(level(number)) {
        None => Tokens::Fast(FastEncoder::starting_at(fast::LAST_PLACE - ahead_bytes)),
        Some(effort) => {
            let chains = Chains::starting_at(chains::LAST_PLACE - ahead_bytes);
            Tokens::Chained(ChainedEncoder::with_chains(effort, chains))
        }
    };
    let mut encoder = GoEncoder {
        blocks: BlockWriter::new(BitWriter::default()),
        tokens,
    };
    encode(&mut encoder, input, [])
}

#[test]
fn counting_places_anew_changes_no_byte() {
    let input = &inputs::named("tar")[..250_000];
    for number in [1, 3, 6] {
        let expected = encode_whole(number, input);
        for ahead_bytes in [0, 70_000, 130_000] {
            let stream = encode_past_the_last_place(number, input, ahead_bytes);
            assert!(
                stream == expected,
                "level {number}, {ahead_bytes} bytes ahead"
            );
        }
    }
}

#[test]
fn how_the_input_is_cut_changes_no_byte() {
    let input = &inputs::named("tar")[..140_000];
    for number in [1, 2, 6] {
        let expected = encode_whole(number, input);
        for piece_bytes in [1, 511, 32_767, 65_535] {
            let cuts = std::iter::repeat_n(piece_bytes, input.len() / piece_bytes);
            let stream = encode(&mut GoEncoder::new(level(number)), input, cuts);
            assert!(
                stream == expected,
                "level {number}, pieces of {piece_bytes} bytes"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_stream_inflates_to_its_input_however_that_was_cut(
        input in any_input(),
        number in 1..=9_u8,
        cuts in prop::collection::vec(0..50_000_usize, 0..8),
    ) {
        let stream = encode_whole(number, &input);
        prop_assert!(inflate(&stream) == input);
        let cut_stream = encode(&mut GoEncoder::new(level(number)), &input, cuts);
        prop_assert!(cut_stream == stream);
    }
}
