use proptest::prelude::*;

use super::super::inputs;
use super::super::testing::{any_input, compare_with, encode, inflate};
use super::*;

/// What klauspost/compress 1.15.12 wrote.
const STREAMS: &str = include_str!("../../../../fixtures/encoders/klauspost/streams.txt");

const FAMILIES: [Family; 4] = [
    Family::From1_15_0,
    Family::From1_15_10,
    Family::Only1_18_1,
    Family::From1_18_2,
];

fn encode_whole(family: Family, input: &[u8]) -> Vec<u8> {
    encode(&mut KlauspostEncoder::new(family), input, [])
}

fn compare(names: &[&str]) {
    compare_with(STREAMS, names, |input| {
        encode_whole(Family::From1_15_10, input)
    });
}

#[test]
fn short_streams_are_those_of_the_package() {
    compare(&[
        "text-0", "text-1", "text-32", "text-33", "text-127", "text-128", "text-300",
    ]);
}

#[test]
fn streams_of_about_one_segment_are_those_of_the_package() {
    compare(&[
        "text-65545",
        "text-65635",
        "text-65735",
        "zeros-65535",
        "zeros-65536",
    ]);
}

#[test]
fn what_cannot_be_compressed_is_stored_as_by_the_package() {
    compare(&["noise", "few-values"]);
}

#[test]
fn what_compresses_well_is_written_as_by_the_package() {
    compare(&["one-byte-value", "tar-small", "tar"]);
}

#[test]
fn a_mix_of_everything_is_written_as_by_the_package() {
    compare(&["mixed", "mixed-1500000"]);
}

#[test]
fn how_the_input_is_cut_changes_no_byte() {
    let input = &inputs::named("tar")[..200_000];
    let expected = encode_whole(Family::From1_15_10, input);
    for piece_bytes in [1, 511, 32_768, 65_535, 65_536, 131_070] {
        let cuts = std::iter::repeat_n(piece_bytes, input.len() / piece_bytes);
        let stream = encode(&mut KlauspostEncoder::new(Family::From1_15_10), input, cuts);
        assert!(stream == expected, "pieces of {piece_bytes} bytes");
    }
}

#[test]
fn families_differ_in_matches_and_in_what_headers_name() {
    let input = inputs::named("mixed");
    let [oldest, old, retracted, new] = FAMILIES.map(|family| encode_whole(family, &input));
    assert!(oldest != old && retracted.len() < old.len() && new.len() < old.len());
    for stream in [oldest, retracted, new] {
        assert!(inflate(&stream) == input);
    }
}

#[test]
fn counting_positions_anew_changes_no_byte() {
    let input = inputs::named("mixed-700000");
    let expected = encode_whole(Family::From1_15_10, &input);
    for ahead_bytes in [1, 100_000, 400_000] {
        let mut encoder = KlauspostEncoder::new(Family::From1_15_10);
        encoder.matcher =
            Matcher::starting_at(matcher::BASE_LIMIT - ahead_bytes, Family::From1_15_10);
        assert!(
            encode(&mut encoder, &input, []) == expected,
            "{ahead_bytes} bytes ahead"
        );
    }
}

#[test]
fn a_restarted_stream_is_like_a_new_one() {
    let (first, second) = (inputs::named("tar"), inputs::named("mixed"));
    let mut encoder = KlauspostEncoder::new(Family::From1_15_10);
    encode(&mut encoder, &first, []);
    encoder.restart(&[]);
    assert!(encode(&mut encoder, &second, []) == encode_whole(Family::From1_15_10, &second));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_stream_inflates_to_its_input_however_that_was_cut(
        input in any_input(),
        family in prop::sample::select(FAMILIES.as_slice()),
        cuts in prop::collection::vec(0..70_000_usize, 0..8),
    ) {
        let stream = encode_whole(family, &input);
        prop_assert!(inflate(&stream) == input);
        let cut_stream = encode(&mut KlauspostEncoder::new(family), &input, cuts);
        prop_assert!(cut_stream == stream);
    }
}
