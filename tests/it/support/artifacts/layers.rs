//! Layers as builders write them: tars, compressed by zlib, and what only looks like that.
//!
//! A layer follows from its seed; another version of it is the same tar with some edits, written in the same way.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::dice::Dice;

const FILES_MAX: u64 = 5;
const FILE_BYTES_MAX: u64 = 12_000;
const EDITS_MAX: u64 = 4;
const EDIT_BYTES_MAX: u64 = 200;
const WORDS: [&str; 16] = [
    "usr", "share", "python3", "import", "return", "def", "self", "0x7f", "lib", "debian",
    "\n    ", "version", "config", "\n", "==", "locale",
];

/// The layer of `seed` in one of its versions. Some versions of some layers are the same.
pub(crate) fn arbitrary_layer(seed: u64, version: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let files = dice.below(FILES_MAX + 1);
    let mut plain = tar_of(&mut dice, files, FILE_BYTES_MAX);
    for number in 1..=version {
        let mut edits = Dice::new(seed ^ number << 32);
        if !edits.once_in(3) {
            edit(&mut edits, &mut plain);
        }
    }
    write_out(&mut dice, plain)
}

/// A tar of so many files of text, with noise here and there.
pub(crate) fn tar_of(dice: &mut Dice, files: u64, bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..files {
        let length = usize::try_from(dice.below(bytes_max)).expect("small");
        let content = match dice.once_in(4) {
            true => dice.noise(length),
            false => text(dice, length),
        };
        let mut header = tar::Header::new_ustar();
        let path = format!("usr/share/{}/{number}", dice.below(1000));
        header.set_path(path).expect("a short path");
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(&content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Text that compresses, and that does not repeat itself.
fn text(dice: &mut Dice, length: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(length + 32);
    while text.len() < length {
        text.extend(dice.pick(&WORDS).bytes());
        text.extend(format!(" {:x} ", dice.below(5000)).bytes());
    }
    text.truncate(length);
    text
}

/// Changes, inserts and removes a few bytes.
pub(crate) fn edit(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..=dice.below(EDITS_MAX) {
        let at = dice.index(bytes.len() + 1);
        let length = usize::try_from(dice.below(EDIT_BYTES_MAX)).expect("small");
        let end = (at + length).min(bytes.len());
        let new = match dice.below(3) {
            0 => dice.noise(end - at),
            1 => dice.noise(length),
            _ => Vec::new(),
        };
        let replaced = if new.len() == length { at..at } else { at..end };
        bytes.splice(replaced, new).for_each(drop);
    }
}

/// As flate2 writes it with zlib, which is an encoder that is known.
pub(crate) fn gzip(plain: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

/// Mostly gzip; now and then something else, or nothing that it says it is.
fn write_out(dice: &mut Dice, plain: Vec<u8>) -> Vec<u8> {
    let level = *dice.pick(&[1, 6, 9]);
    let mut layer = gzip(&plain, level);
    let at = dice.index(layer.len());
    match dice.below(12) {
        0 => return plain,
        // The magic number, and then nothing of the kind.
        1 => {
            let noise = dice.noise(layer.len());
            layer.splice(4.., noise).for_each(drop);
        }
        2 => layer.truncate(at),
        3 => layer[at] ^= 0x10,
        4 => {
            layer.extend(gzip(b"another member", level));
            layer.resize(layer.len() + 700, 0);
        }
        5 => layer.extend(b"what a tool has left behind the end"),
        _ => {}
    }
    layer
}
