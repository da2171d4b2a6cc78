//! Volumes that do not belong together, and objects that are no volumes.

use airlift::oci::Digest;

use super::{Attack, Files, KEY, attack};
use crate::hostile::flips::two_volumes;
use crate::hostile::forge::{Forge, LAYER_BYTES};

const FIRST: &str = "bundle.v1of2.tar.zst";
const LAST: &str = "bundle.v2of2.tar.zst";

pub(super) const ATTACKS: &[Attack] = &[
    attack("volume-missing", || {
        let [_, last] = two_volumes();
        Files::Many(vec![(LAST, last.write(&[KEY]))])
    }),
    attack("last-volume-missing", || {
        let [first, _] = two_volumes();
        Files::Many(vec![(FIRST, first.write(&[KEY]))])
    }),
    attack("volume-twice-for-the-missing-one", || {
        let [first, _] = two_volumes();
        let bytes = first.write(&[KEY]);
        Files::Many(vec![(FIRST, bytes.clone()), (LAST, bytes)])
    }),
    attack("volumes-of-two-exports", || {
        let [mut first, last] = two_volumes();
        first.inventory.audience = vec!["other".to_owned()];
        written([first, last])
    }),
    attack("two-first-volumes", || {
        let [first, last] = two_volumes();
        let mut other = first.clone();
        other.inventory.audience = vec!["other".to_owned()];
        Files::Many(vec![
            (FIRST, first.write(&[KEY])),
            (LAST, last.write(&[KEY])),
            ("another.v1of2.tar.zst", other.write(&[KEY])),
        ])
    }),
    attack("volumes-by-two-keys", || {
        let [first, last] = two_volumes();
        Files::Many(vec![
            (FIRST, first.write(&[super::OTHER_KEY])),
            (LAST, last.write(&[KEY])),
        ])
    }),
    attack("artifacts-in-the-first-volume", || {
        let [mut first, last] = two_volumes();
        first
            .inventory
            .artifacts
            .clone_from(&last.inventory.artifacts);
        written(named([first, last]))
    }),
    attack("parts-out-of-order", || {
        with_parts(|parts| parts.swap(0, 1))
    }),
    attack("part-twice", || {
        with_parts(|parts| {
            parts[1] = parts[0].clone();
        })
    }),
    attack("parts-that-overlap", || {
        with_parts(|parts| parts[1].1 = LAYER_BYTES[10..].to_vec())
    }),
    attack("parts-with-a-gap", || {
        with_parts(|parts| parts[1].1 = LAYER_BYTES[25..].to_vec())
    }),
    attack("part-number-zero", || with_parts(|parts| parts[0].0 = 0)),
    attack("part-number-beyond", || with_parts(|parts| parts[1].0 = 3)),
    attack("part-with-another-digest", || {
        let [mut first, last] = two_volumes();
        first.pieces[0].bytes[0] ^= 1;
        written(named([first, last]))
    }),
    attack("parts-of-other-content", || {
        // Every part is what it says, and together they are not the layer.
        with_parts(|parts| parts[1].1 = b"elsewhere!!".to_vec())
    }),
    attack("part-larger-than-the-blob", || {
        with_parts(|parts| parts[0].1 = LAYER_BYTES.repeat(2))
    }),
    attack("whole-and-part-of-one-blob", || {
        let [first, mut last] = two_volumes();
        let mut whole = Forge::image().piece_of(LAYER_BYTES).clone();
        std::mem::swap(&mut last.pieces[0], &mut whole);
        written(named([first, last]))
    }),
    attack("10000-parts", || {
        let [mut first, last] = two_volumes();
        first.pieces[0].part.as_mut().expect("a part").of = 10_000;
        written(named([first, last]))
    }),
    attack("one-damaged-volume-of-two", || {
        let [first, last] = two_volumes();
        let mut damaged = first.write(&[KEY]);
        damaged[540] ^= 1;
        Files::Many(vec![(FIRST, damaged), (LAST, last.write(&[KEY]))])
    }),
    attack("object-of-no-bytes", || Files::Plain(Vec::new())),
    attack("object-of-one-byte", || Files::Plain(vec![0x28])),
    attack("text-file", || Files::Plain(b"hello, world\n".repeat(200))),
    attack("zip-file", || {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(4000, 0);
        Files::Plain(bytes)
    }),
    attack("tar-zst-of-somebody-else", || {
        Files::Plain(zstd::bulk::compress(&foreign_tar(), 3).expect("it compresses"))
    }),
    attack("tar-of-somebody-else", || Files::Guard(foreign_tar())),
    attack("bundle-that-is-still-arriving", || {
        let mut bytes = Forge::image().write(&[KEY]);
        bytes.truncate(bytes.len() / 2);
        Files::Plain(bytes)
    }),
    attack("guard-bundle-that-is-still-arriving", || {
        let mut bytes = Forge::image().guard().write(&[KEY]);
        bytes.truncate(bytes.len() / 2);
        Files::Guard(bytes)
    }),
    attack("bundle-in-a-bundle", || {
        let inner = Forge::image().write(&[KEY]);
        Files::Plain([inner.clone(), inner].concat())
    }),
];

fn written([first, last]: [Forge; 2]) -> Files {
    Files::Many(vec![
        (FIRST, first.write(&[KEY])),
        (LAST, last.write(&[KEY])),
    ])
}

/// The last volume names the first one as it is now.
fn named([first, mut last]: [Forge; 2]) -> [Forge; 2] {
    last.inventory.volume_inventories = vec![first.inventory_digest()];
    [first, last]
}

/// The layer in parts of other numbers and bytes; digests and names follow.
fn with_parts(change: impl FnOnce(&mut Vec<(u32, Vec<u8>)>)) -> Files {
    let [mut first, mut last] = two_volumes();
    let pieces = [&mut first.pieces[0], &mut last.pieces[0]];
    let part = |piece: &&mut crate::hostile::forge::Piece| {
        let number = piece.part.as_ref().expect("a part").number;
        (number, piece.bytes.clone())
    };
    let mut parts = pieces.iter().map(part).collect();
    change(&mut parts);
    for (piece, (number, bytes)) in pieces.into_iter().zip(parts) {
        let part = piece.part.as_mut().expect("a part");
        part.number = number;
        part.digest = Digest::sha256(&bytes);
        part.size = bytes.len() as u64;
        piece.bytes = bytes;
    }
    written(named([first, last]))
}

/// What `tar` makes of a folder.
fn foreign_tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    header.set_cksum();
    builder
        .append_data(&mut header, "hello.txt", &b"hello"[..])
        .expect("memory takes it");
    builder.into_inner().expect("memory takes it")
}
