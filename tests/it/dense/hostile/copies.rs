//! Deltas whose copies, prefixes and numbers lead out of what is there.

use super::{Attack, in_parts};
use crate::dense::parts::{
    ALIGNED, COPY, LITERAL, OF_BASE, OF_FIRST, OWN, compress, plain, put, second_delta, signed,
};

pub(super) const ATTACKS: &[Attack] = &[
    in_parts("copy-beyond-the-end-of-a-reference", |parts| {
        parts.second.delta = with(8, (plain(1).len() as u64 + 1) << 2 | ALIGNED);
    }),
    in_parts("copy-of-the-longest-length", |parts| {
        parts.second.delta = with(8, (u64::MAX >> 2) << 2 | ALIGNED);
    }),
    in_parts("copy-from-before-the-beginning", |parts| {
        parts.second.delta = with(12, signed(-9_000_000));
    }),
    in_parts("copy-from-i64-min", |parts| {
        parts.second.delta = with(12, signed(i64::MIN));
    }),
    in_parts("copy-from-i64-max", |parts| {
        parts.second.delta = with(12, signed(i64::MAX));
    }),
    in_parts("copy-out-of-a-reference-that-is-not-there", |parts| {
        parts.second.delta = with(11, 9);
    }),
    in_parts("copy-out-of-reference-u64-max", |parts| {
        parts.second.delta = with(11, u64::MAX);
    }),
    in_parts("copy-out-of-what-is-not-written-yet", |parts| {
        // The number behind the last reference is the layer itself.
        let (of_base, own) = (OF_BASE as u64, OWN as u64);
        let size = of_base + own + OF_FIRST as u64;
        let segment = [own, 1 << 1, 0, signed(4000), own];
        let copies = [
            of_base << 2 | ALIGNED,
            own << 2 | LITERAL,
            (OF_FIRST as u64) << 2 | COPY,
            2,
            signed(-1),
        ];
        parts.second.delta = [&[size, 2, 1][..], &segment, &copies].concat();
    }),
    in_parts("operation-of-no-length", |parts| {
        parts.second.delta = with(9, LITERAL);
    }),
    in_parts("operation-of-no-kind", |parts| {
        parts.second.delta = with(9, (OWN as u64) << 2 | 3);
    }),
    in_parts("operations-that-make-too-little", |parts| {
        parts.second.delta = second_delta()[..10].to_vec();
    }),
    in_parts("operations-that-make-too-much", |parts| {
        let mut numbers = second_delta();
        numbers.extend([100 << 2 | COPY, 0, 0]);
        parts.second.delta = numbers;
    }),
    in_parts("literals-that-no-segment-has", |parts| {
        let mut numbers = second_delta();
        numbers[3] -= 1;
        parts.second.delta = numbers;
    }),
    in_parts("delta-that-ends-in-a-number", |parts| {
        let mut bytes = Vec::new();
        for number in second_delta() {
            put(&mut bytes, number);
        }
        bytes.push(0x80);
        parts.second.delta_frame = Some(compress(&bytes));
    }),
    in_parts("prefix-beyond-the-end-of-a-reference", |parts| {
        parts.second.delta = with(6, signed(8_000_000));
    }),
    in_parts("prefix-from-before-the-beginning", |parts| {
        parts.second.delta = with(6, signed(-1));
    }),
    in_parts("prefix-of-u64-max", |parts| {
        parts.second.delta = with(7, u64::MAX);
    }),
    in_parts("prefix-out-of-a-reference-that-is-not-there", |parts| {
        parts.second.delta = with(5, 2);
    }),
    in_parts("prefix-of-more-places-than-the-limit", |parts| {
        parts.second.delta = with(4, 1 << 40);
    }),
    in_parts("prefix-of-a-segment-with-targets", |parts| {
        parts.second.delta = with(4, 1 << 1 | 1);
    }),
    in_parts("layer-of-u64-max-bytes", |parts| {
        parts.second.delta = with(0, u64::MAX);
    }),
    in_parts("layer-of-another-size", |parts| {
        parts.second.delta = with(0, 12);
    }),
    in_parts("other-number-of-references", |parts| {
        parts.second.delta = with(1, 1);
    }),
    in_parts("references-u64-max", |parts| {
        parts.second.delta = with(1, u64::MAX);
    }),
    in_parts("segments-u64-max", |parts| {
        parts.second.delta = with(2, u64::MAX);
    }),
    in_parts("segment-of-u64-max-bytes", |parts| {
        parts.second.delta = with(3, u64::MAX);
    }),
    in_parts("segment-above-the-limit", |parts| {
        parts.second.delta = with(3, (8 << 20) + 1);
    }),
    in_parts("segment-of-no-length", |parts| {
        parts.second.delta = with(3, 0);
    }),
];

/// The second layer's delta with one number changed.
fn with(position: usize, number: u64) -> Vec<u64> {
    let mut numbers = second_delta();
    numbers[position] = number;
    numbers
}
