//! Segments that expand without end, that lie about their length, or that are not what the inventory says.

use super::{Attack, in_inventory, in_parts, lying_bomb, skippable};
use crate::dense::parts::{OWN, compress, flip};

pub(super) const ATTACKS: &[Attack] = &[
    in_parts("segment-that-goes-on-expanding", |parts| {
        parts.second.segment = lying_bomb(100_000);
    }),
    in_parts("segment-that-states-256-mib", |parts| {
        parts.second.segment = compress(&vec![0; 256 << 20]);
    }),
    in_parts("segment-that-states-u64-max", |parts| {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        frame.extend([0xff; 8]);
        frame.extend([0x01, 0, 0]);
        parts.second.segment = frame;
    }),
    in_parts("segment-that-states-nothing", |parts| {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        std::io::Write::write_all(&mut encoder, &[7; OWN]).unwrap();
        parts.second.segment = encoder.finish().unwrap();
    }),
    in_parts("segment-with-a-window-of-two-gib", |parts| {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x40, 21 << 3];
        frame.extend((u16::try_from(OWN).unwrap() - 256).to_le_bytes());
        frame.extend([0x01, 0, 0]);
        parts.second.segment = frame;
    }),
    in_parts("segment-that-is-too-short", |parts| {
        parts.second.segment = compress(&[7; OWN - 1]);
    }),
    in_parts("segment-that-is-damaged", |parts| {
        let middle = parts.first.segment.len() / 2;
        for byte in &mut parts.first.segment[middle..middle + 40] {
            *byte ^= 0x55;
        }
    }),
    in_parts("segment-that-is-cut-off", |parts| {
        let half = parts.first.segment.len() / 2;
        parts.first.segment.truncate(half);
    }),
    in_parts("segment-that-is-empty", |parts| {
        parts.second.segment.clear();
    }),
    in_parts("segment-that-is-no-frame", |parts| {
        parts.second.segment = b"literals as they are".to_vec();
    }),
    in_parts("segment-with-bytes-behind-it", |parts| {
        parts.second.segment.extend(b"more");
    }),
    in_parts("segment-with-a-frame-behind-it", |parts| {
        parts.second.segment.extend(compress(b"more"));
    }),
    in_parts("segment-with-an-empty-frame-behind-it", |parts| {
        parts.second.segment.extend(compress(b""));
    }),
    in_parts("segment-with-a-skippable-frame-behind-it", |parts| {
        parts.second.segment.extend(skippable());
    }),
    in_parts("segment-of-other-literals", |parts| {
        parts.second.segment = compress(&[7; OWN]);
    }),
    in_inventory("segment-of-another-digest", |forge| {
        flip(&mut forge.pieces[3]);
    }),
    in_inventory("recipe-of-another-digest", |forge| {
        flip(&mut forge.pieces[4]);
    }),
];
