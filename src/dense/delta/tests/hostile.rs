//! One recipe for each way to be hostile, and the limit that refuses it.

use super::super::limits::{
    MAX_PLACES, MAX_PLAIN_BYTES, MAX_PREFIX_BYTES, MAX_RECIPE_BYTES, MAX_REFERENCES,
    MAX_SEGMENT_BYTES,
};
use super::super::{Delta, Error, Options, varint};
use super::{Made, apply, make, noise};

const LITERAL: u64 = 0;
const COPY_ALIGNED: u64 = 1;
const COPY: u64 = 2;

/// The size of the one reference of the recipes below, in bytes.
const REFERENCE_BYTES: u64 = 100;

/// A number as a signed one is written.
fn signed(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn encoded(numbers: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in numbers {
        varint::put(&mut bytes, *number);
    }
    bytes
}

/// Reads a recipe for one reference that starts with its own length, the references and then `numbers`.
fn read(plain_bytes: u64, numbers: &[u64]) -> super::super::Result<Delta> {
    let all = [&[plain_bytes, 1], numbers].concat();
    Delta::from_plain_bytes(&encoded(&all), &[REFERENCE_BYTES])
}

fn refusal(plain_bytes: u64, numbers: &[u64]) -> Error {
    read(plain_bytes, numbers).expect_err("a hostile recipe was accepted")
}

#[test]
fn an_honest_recipe_is_accepted() {
    let copies = [
        0,
        60 << 2 | COPY,
        0,
        signed(40),
        10 << 2 | COPY,
        1,
        signed(0),
    ];
    assert_eq!(
        read(70, &copies).map(|delta| delta.ops().count()).ok(),
        None,
        "the second copy is out of reach"
    );
    let copies = [
        0,
        60 << 2 | COPY,
        0,
        signed(40),
        10 << 2 | COPY,
        1,
        signed(-60),
    ];
    assert_eq!(
        read(70, &copies).map(|delta| delta.ops().count()).ok(),
        Some(2)
    );
}

#[test]
fn a_copy_beyond_the_end_of_its_reference() {
    for (length, offset) in [
        (61, 40),
        (1, 100),
        (1, -1),
        (1, i64::MAX),
        (1, i64::MIN),
        (u64::MAX >> 2, 0),
    ] {
        let error = refusal(MAX_PLAIN_BYTES, &[0, length << 2 | COPY, 0, signed(offset)]);
        let is_aligned = offset == 0;
        assert!(
            is_aligned || matches!(error, Error::BeyondReference { what: "a copy", .. }),
            "{error}"
        );
    }
    let error = refusal(101, &[0, 101 << 2 | COPY_ALIGNED]);
    assert!(matches!(error, Error::BeyondReference { .. }), "{error}");
}

#[test]
fn a_reference_that_is_not_there() {
    let error = refusal(10, &[0, 10 << 2 | COPY, 2, 0]);
    assert!(
        matches!(
            error,
            Error::UnknownReference {
                number: 2,
                count: 2
            }
        ),
        "{error}"
    );
    let error = refusal(10, &[0, 10 << 2 | COPY, u64::MAX, 0]);
    assert!(matches!(error, Error::UnknownReference { .. }), "{error}");
}

#[test]
fn a_copy_from_the_new_layer_at_or_beyond_its_own_position() {
    for (length, offset) in [
        (10, signed(0)),
        (11, signed(-10)),
        (1, signed(1)),
        (1, signed(-11)),
    ] {
        let error = refusal(
            100,
            &[0, 10 << 2 | COPY_ALIGNED, length << 2 | COPY, 1, offset],
        );
        assert!(
            matches!(error, Error::CopyFromAhead { position: 10, .. }),
            "{error}"
        );
    }
}

#[test]
fn operations_that_make_more_than_is_declared() {
    let error = refusal(99, &[0, 100 << 2 | COPY_ALIGNED]);
    assert!(
        matches!(error, Error::TooMuchOutput { plain_bytes: 99 }),
        "{error}"
    );
    let error = refusal(
        99,
        &[0, (u64::MAX >> 2) << 2 | LITERAL, 100 << 2 | COPY, 0, 0],
    );
    assert!(
        matches!(error, Error::TooMuchOutput { plain_bytes: 99 }),
        "{error}"
    );
}

#[test]
fn operations_that_make_less_than_is_declared() {
    let error = refusal(101, &[0, 100 << 2 | COPY_ALIGNED]);
    assert!(
        matches!(error, Error::TooLittleOutput { actual: 100, .. }),
        "{error}"
    );
}

#[test]
fn literals_that_do_not_sum_up_to_the_segments() {
    let error = refusal(20, &[1, 10, 0, 20 << 2 | LITERAL]);
    assert!(
        matches!(
            error,
            Error::LiteralSum {
                literal_bytes: 20,
                segment_bytes: 10
            }
        ),
        "{error}"
    );
}

#[test]
fn segments_that_hold_more_than_the_layer() {
    let error = refusal(20, &[1, 21, 0, 20 << 2 | LITERAL]);
    assert!(
        matches!(error, Error::TooMuchOutput { plain_bytes: 20 }),
        "{error}"
    );
}

#[test]
fn a_segment_that_is_too_long() {
    let error = refusal(MAX_PLAIN_BYTES, &[1, MAX_SEGMENT_BYTES as u64 + 1, 0]);
    assert!(matches!(error, Error::SegmentTooLong { .. }), "{error}");
}

#[test]
fn many_short_segments() {
    let error = refusal(20, &[2, 10, 0, 10, 0, 20 << 2 | LITERAL]);
    assert!(
        matches!(error, Error::SegmentTooShort { bytes: 10 }),
        "{error}"
    );
    let error = refusal(20, &[u64::MAX]);
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
}

#[test]
fn a_prefix_out_of_its_reference() {
    for (number, offset, length) in [(0, 0, 101), (0, 100, 1), (0, -1, 1), (0, 1, u64::MAX)] {
        let error = refusal(
            20,
            &[1, 20, 2, number, signed(offset), length, 20 << 2 | LITERAL],
        );
        assert!(
            matches!(
                error,
                Error::BeyondReference {
                    what: "a prefix",
                    ..
                }
            ),
            "{error}"
        );
    }
    let error = refusal(20, &[1, 20, 2, 1, 0, 1, 20 << 2 | LITERAL]);
    assert!(
        matches!(
            error,
            Error::UnknownReference {
                number: 1,
                count: 1
            }
        ),
        "{error}"
    );
}

#[test]
fn a_prefix_that_is_too_long() {
    let size_bytes = MAX_PREFIX_BYTES as u64 / 2;
    let back = signed(-size_bytes.cast_signed());
    let places = [0, 0, size_bytes, 0, back, size_bytes, 0, back, 1];
    let recipe = [&[20, 1, 1, 20, 3 << 1], &places[..], &[20 << 2 | LITERAL]].concat();
    let error = Delta::from_plain_bytes(&encoded(&recipe), &[size_bytes])
        .expect_err("a prefix of 32 MiB and a byte");
    assert!(matches!(error, Error::PrefixTooLong { .. }), "{error}");
}

#[test]
fn too_many_places() {
    for count in [MAX_PLACES as u64 + 1, u64::MAX >> 1] {
        let error = refusal(20, &[1, 20, count << 1]);
        assert!(matches!(error, Error::TooManyPlaces { .. }), "{error}");
    }
}

#[test]
fn a_segment_with_targets_and_a_prefix() {
    let error = refusal(20, &[1, 20, 1 << 1 | 1, 20 << 2 | LITERAL]);
    assert!(matches!(error, Error::NotCanonical { .. }), "{error}");
}

#[test]
fn a_layer_that_is_too_long() {
    let error = refusal(MAX_PLAIN_BYTES + 1, &[0]);
    assert!(matches!(error, Error::LayerTooLong { .. }), "{error}");
}

#[test]
fn a_wrong_number_of_references() {
    let read = |count: u64| Delta::from_plain_bytes(&encoded(&[0, count, 0]), &[REFERENCE_BYTES]);
    assert!(read(1).is_ok());
    assert!(matches!(
        read(2),
        Err(Error::ReferenceCount {
            expected: 2,
            actual: 1
        })
    ));
    assert!(matches!(
        read(MAX_REFERENCES as u64 + 1),
        Err(Error::TooManyReferences { .. })
    ));
}

#[test]
fn operations_in_another_than_the_canonical_form() {
    let not_canonical: [&[u64]; 7] = [
        &[0, COPY_ALIGNED],
        &[0, LITERAL],
        &[0, 5 << 2 | 3],
        &[0, 5 << 2 | COPY, 0, signed(0)],
        &[0, 5 << 2 | COPY_ALIGNED, 5 << 2 | COPY_ALIGNED],
        &[1, 10, 0, 5 << 2 | LITERAL, 5 << 2 | LITERAL],
        &[1, 0, 0],
    ];
    for numbers in not_canonical {
        let error = refusal(10, numbers);
        assert!(
            matches!(error, Error::NotCanonical { .. }),
            "{numbers:?}: {error}"
        );
    }
}

#[test]
fn numbers_in_another_than_the_canonical_form() {
    for bytes in [
        &[0x80, 0][..],
        &[0xff; 11],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
    ] {
        let error = Delta::from_plain_bytes(bytes, &[]).expect_err("a number with two spellings");
        assert!(matches!(error, Error::NotCanonical { .. }), "{error}");
    }
    assert!(matches!(
        Delta::from_plain_bytes(&[0x80], &[]),
        Err(Error::Truncated { .. })
    ));
}

#[test]
fn a_recipe_that_expands_without_end() {
    let zeros = vec![0; MAX_RECIPE_BYTES + 1];
    let frame = zstd::bulk::compress(&zeros, 1).expect("zeros can be compressed");
    let error = Delta::from_bytes(&frame, &[]).expect_err("a recipe of 16 MiB and a byte");
    assert!(
        matches!(error, Error::RecipeTooLong { bytes: Some(_) }),
        "{error}"
    );
    let mut unsized_frame = Vec::new();
    zstd::stream::copy_encode(&zeros[..], &mut unsized_frame, 1).expect("zeros can be compressed");
    let error = Delta::from_bytes(&unsized_frame, &[])
        .expect_err("a recipe that does not say how long it is");
    assert!(
        matches!(error, Error::RecipeTooLong { bytes: None }),
        "{error}"
    );
    assert!(matches!(
        Delta::from_bytes(b"no frame", &[]),
        Err(Error::RecipeTooLong { bytes: None })
    ));
}

fn made() -> Made {
    make(&noise(1, 5000), &[], Options::default())
}

#[test]
fn a_segment_that_expands_without_end() {
    let mut made = made();
    made.segments[0] = zstd::bulk::compress(&[0; 5001], 3).expect("zeros can be compressed");
    let error = apply(&made, &[]).expect_err("a segment of another length");
    assert!(
        matches!(
            error,
            Error::SegmentLength {
                declared: Some(5001),
                expected: 5000,
                ..
            }
        ),
        "{error}"
    );
    made.segments[0] = zstd::bulk::compress(&[1; 5000], 3)
        .expect("ones can be compressed")
        .repeat(2);
    let error = apply(&made, &[]).expect_err("a segment of two frames");
    assert!(
        matches!(error, Error::SegmentDamaged { number: 0, .. }),
        "{error}"
    );
}

#[test]
fn a_segment_that_is_damaged() {
    let mut made = made();
    let half = made.segments[0].len() / 2;
    made.segments[0].truncate(half);
    let error = apply(&made, &[]).expect_err("half a segment");
    assert!(
        matches!(error, Error::SegmentDamaged { number: 0, .. }),
        "{error}"
    );
}

#[test]
fn a_reference_that_became_shorter() {
    let references = [noise(1, 100_000)];
    let made = make(&references[0], &references, Options::default());
    let error = apply(&made, &[noise(1, 99_999)]).expect_err("a byte is missing");
    assert!(matches!(error, Error::Read { .. }), "{error}");
    let error = apply(&made, &[]).expect_err("the reference is missing");
    assert!(
        matches!(
            error,
            Error::ReferenceCount {
                expected: 1,
                actual: 0
            }
        ),
        "{error}"
    );
}
