//! Seek tables that lie, and frames that are not what they should be.

use super::{Attack, Files, KEY, attack};
use crate::hostile::anatomy::{Frame, join, join_with, sizes};
use crate::hostile::forge::Forge;

pub(super) const ATTACKS: &[Attack] = &[
    attack("seek-table-shifted", || {
        with_table(|pairs| {
            // Between two manifests, which are read one after the other.
            pairs[3].0 += 10;
            pairs[4].0 -= 10;
        })
    }),
    attack("seek-table-swapped", || {
        with_table(|pairs| pairs.swap(0, 3))
    }),
    attack("seek-table-with-other-sizes", || {
        with_table(|pairs| {
            pairs[0].1 += 512;
            pairs[1].1 -= 512;
        })
    }),
    attack("seek-table-too-short", || {
        with_table(|pairs| pairs.truncate(4))
    }),
    attack("seek-table-of-nothing", || with_table(Vec::clear)),
    attack("seek-table-with-empty-frames", || {
        with_table(|pairs| pairs.splice(2..2, vec![(0, 0); 1000]).for_each(drop))
    }),
    attack("seek-table-beyond-the-object", || {
        with_table(|pairs| pairs[0].0 += 1000)
    }),
    attack("seek-table-with-large-frames", || {
        with_table(|pairs| pairs[0].1 = 5 << 20)
    }),
    attack("seek-table-of-endless-frames", || {
        with_table(|pairs| pairs[0] = (u32::MAX, u32::MAX))
    }),
    attack("seek-table-with-a-huge-count", || with_count(u32::MAX)),
    attack("seek-table-with-too-many-frames", || {
        with_count((8 << 20) + 1)
    }),
    attack("seek-table-with-reserved-flags", || {
        let mut bytes = Forge::image().write(&[KEY]);
        let descriptor = bytes.len() - 5;
        bytes[descriptor] = 0x04;
        Files::Plain(bytes)
    }),
    attack("hidden-frame", || {
        // A frame that the table says to hold nothing is never decoded.
        with_frames(|frames| {
            let mut hidden = Frame::raw(b"hidden");
            hidden.size = 0;
            frames.insert(1, hidden);
        })
    }),
    attack("frame-that-expands", || {
        with_frames(|frames| frames[0].stored = bomb(4 << 20))
    }),
    attack("frame-that-expands-without-end", || {
        with_frames(|frames| frames[0].stored = bomb(256 << 20))
    }),
    attack("frame-in-a-frame", || {
        with_frames(|frames| {
            let inner = Frame::compressed(&frames[0].stored).stored;
            frames[0].stored = Frame::compressed(&inner).stored;
        })
    }),
    attack("frame-that-holds-less", || {
        with_frames(|frames| frames[0].stored = Frame::raw(&[0; 512]).stored)
    }),
    attack("two-frames-for-one", || {
        with_frames(|frames| {
            let empty = Frame::raw(b"").stored;
            frames[1].stored.splice(0..0, empty).for_each(drop);
        })
    }),
    attack("skippable-frame-for-a-smuggler", || {
        with_frames(|frames| {
            let mut skippable = 0x184d_2a50_u32.to_le_bytes().to_vec();
            skippable.extend(6_u32.to_le_bytes());
            skippable.extend(b"hidden");
            frames[1].stored.extend(skippable);
        })
    }),
    attack("inventory-that-expands", || {
        with_frames(|frames| {
            let inventory = frames.len() - 3;
            frames[inventory].stored = bomb(64 << 20);
        })
    }),
    attack("end-that-expands", || {
        with_frames(|frames| {
            let end = frames.len() - 1;
            frames[end].stored = bomb(64 << 20);
        })
    }),
];

/// A small frame that decodes to many zeros.
fn bomb(size: usize) -> Vec<u8> {
    zstd::bulk::compress(&vec![0; size], 19).expect("zeros compress")
}

fn frames() -> Vec<Frame> {
    Forge::image().lay().signed_by(&[KEY]).frames()
}

fn with_frames(change: impl FnOnce(&mut Vec<Frame>)) -> Files {
    let mut frames = frames();
    change(&mut frames);
    Files::Plain(join(&frames))
}

fn with_table(change: impl FnOnce(&mut Vec<(u32, u32)>)) -> Files {
    let frames = frames();
    let mut pairs = frames.iter().map(sizes).collect();
    change(&mut pairs);
    Files::Plain(join_with(&frames, &pairs))
}

/// The footer says another number of frames.
fn with_count(count: u32) -> Files {
    let mut bytes = Forge::image().write(&[KEY]);
    let footer = bytes.len() - 9;
    bytes[footer..footer + 4].copy_from_slice(&count.to_le_bytes());
    Files::Plain(bytes)
}
