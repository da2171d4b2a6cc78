//! Every byte of a bundle flipped, every length cut, and bytes added: it is noticed, and the place is named.

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use airlift::bundle::{Part, SignaturePolicy, Volume, VolumeWriter, verify_volume};
use airlift::content::{MemoryObject, describe};
use airlift::oci::Digest;
use tempfile::tempdir;
use tokio::runtime::{Builder, Runtime};

use super::anatomy::Anatomy;
use super::forge::{Forge, LAYER_BYTES};
use crate::bundle::road::trust;
use crate::support::artifacts::Dice;
use crate::support::command::airlift;

pub(crate) const KEYS: [&str; 2] = ["snakeoil-ed25519", "snakeoil-p256"];
/// Places of which every bit is flipped.
const ALL_BITS_SAMPLE: usize = 100;
/// Places that the program itself is asked about.
const PROGRAM_SAMPLE: usize = 25;

/// What is wrong with the volume; empty: nothing.
async fn faults(bytes: &[u8], policy: &SignaturePolicy) -> Vec<String> {
    let object = MemoryObject::new(bytes.to_vec());
    let volume = match Volume::open(Arc::new(object), Vec::new(), policy).await {
        Ok(volume) => volume,
        Err(error) => return vec![describe(&error)],
    };
    match verify_volume(&volume, &|_| {}).await {
        Ok(verification) => {
            let faults = verification.faults.into_iter();
            faults.map(|f| format!("{}: {}", f.place, f.what)).collect()
        }
        Err(error) => vec![describe(&error)],
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn plain() -> Anatomy {
    Forge::image().lay().signed_by(&KEYS)
}

fn guard() -> Anatomy {
    Forge::image().guard().lay().signed_by(&KEYS)
}

/// An image whose raw layer is cut in two: one part in each volume.
pub(crate) fn two_volumes() -> [Forge; 2] {
    let mut last = Forge::image();
    let (left, right) = LAYER_BYTES.split_at(20);
    let mut first = Forge::empty();
    let piece = last.piece_of(LAYER_BYTES);
    let mut other = piece.clone();
    for (piece, number, bytes) in [(&mut other, 1, left), (piece, 2, right)] {
        piece.bytes = bytes.to_vec();
        piece.part = Some(Part {
            number,
            of: 2,
            digest: Digest::sha256(bytes),
            size: bytes.len() as u64,
        });
    }
    first.pieces.push(other);
    first.inventory.volumes = 2;
    last.inventory.volumes = 2;
    last.inventory.volume = 2;
    last.inventory.volume_inventories = vec![first.inventory_digest()];
    [first, last]
}

/// Where in the object each entry is stored, and any of the words that must be in the fault.
fn places(anatomy: &Anatomy, object: &[u8]) -> Vec<(Range<usize>, Vec<String>)> {
    let is_plain = object.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let signatures = anatomy.signature_entries();
    let frames = anatomy.frames();
    let mut places = Vec::new();
    let mut position = 0;
    for (entry, frame) in anatomy.entries.iter().chain(&signatures).zip(&frames) {
        let size = match is_plain {
            true => frame.stored.len(),
            false => entry.bytes().len(),
        };
        let mut words = vec![entry.name.clone()];
        if entry.name.starts_with("airlift/") {
            // They are read by their place, before anything is known of them.
            words.extend(["frame".to_owned(), "signature".to_owned()]);
        }
        if position == 0 {
            words.push("not an airlift bundle".to_owned());
        }
        places.push((position..position + size, words));
        position += size;
    }
    // The end entry says where inventory and signatures are, so they are missed when it is wrong.
    let words = [
        "end entry",
        "airlift/",
        "signatures",
        "seek table",
        "frame",
        "incomplete",
    ];
    places.push((position..object.len(), words.map(str::to_owned).into()));
    places
}

fn flipped(object: &[u8], at: usize, bit: usize) -> Vec<u8> {
    let mut bytes = object.to_vec();
    bytes[at] ^= 1 << bit;
    bytes
}

/// Flips every byte once, and every bit of some.
fn check_every_byte(anatomy: &Anatomy) {
    let object = anatomy.write();
    // Signatures are random; the object that is checked is the one that is flipped.
    let policy = trust(&KEYS);
    let runtime = runtime();
    assert_eq!(runtime.block_on(faults(&object, &policy)), [""; 0]);
    let mut dice = Dice::new(5);
    let sample: Vec<usize> = (0..ALL_BITS_SAMPLE)
        .map(|_| dice.index(object.len()))
        .collect();
    for (range, words) in places(anatomy, &object) {
        for at in range {
            let one = at % 8..at % 8 + 1;
            let bits = if sample.contains(&at) { 0..8 } else { one };
            for bit in bits {
                let found = runtime.block_on(faults(&flipped(&object, at, bit), &policy));
                let is_named = |fault: &String| words.iter().any(|word| fault.contains(word));
                assert!(
                    found.iter().any(is_named),
                    "bit {bit} of byte {at}, in {words:?}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn every_byte_of_a_plain_volume_counts() {
    check_every_byte(&plain());
}

#[test]
fn every_byte_of_a_guard_volume_counts() {
    check_every_byte(&guard());
}

#[test]
fn every_byte_of_two_volumes_counts() {
    for forge in two_volumes() {
        check_every_byte(&forge.lay().signed_by(&KEYS));
    }
}

/// A part is told from a whole: *incomplete* where the end may still come.
#[test]
fn every_length_is_refused_but_the_whole() {
    let runtime = runtime();
    for anatomy in [plain(), guard()] {
        let object = anatomy.write();
        let policy = trust(&KEYS);
        for length in 0..object.len() {
            let found = runtime.block_on(faults(&object[..length], &policy));
            let [fault] = found.as_slice() else {
                panic!("{length} of {} bytes: {found:?}", object.len());
            };
            assert!(
                fault.contains("incomplete"),
                "{length} of {} bytes: {fault}",
                object.len()
            );
        }
    }
}

#[test]
fn bytes_before_and_behind_are_refused() {
    let runtime = runtime();
    for anatomy in [plain(), guard()] {
        let object = anatomy.write();
        let policy = trust(&KEYS);
        for extra in [vec![0], vec![0; 512], vec![0; 4096], object.clone()] {
            for bytes in [
                [&object[..], &extra].concat(),
                [&extra, &object[..]].concat(),
            ] {
                let found = runtime.block_on(faults(&bytes, &policy));
                assert!(!found.is_empty(), "{} bytes", extra.len());
            }
        }
    }
}

#[test]
fn the_program_exits_with_4_for_a_flipped_byte() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("bundle.tar.zst");
    let shown = path.display().to_string();
    let key = format!(
        "{}/fixtures/keys/{}.pub",
        env!("CARGO_MANIFEST_DIR"),
        KEYS[1]
    );
    let object = Forge::image().write(&KEYS[1..]);
    let verify = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("the directory is ours");
        airlift(&["verify", &shown, "--trust", &key])
    };
    verify(&object).assert_success();
    let mut dice = Dice::new(8);
    for _ in 0..PROGRAM_SAMPLE {
        let (at, bit) = (dice.index(object.len()), dice.index(8));
        let output = verify(&flipped(&object, at, bit));
        assert_eq!(output.code, Some(4), "bit {bit} of byte {at}: {output:?}");
    }
}

/// The forge follows FORMAT.md, and so does the writer: they agree on every byte.
#[test]
fn a_second_writer_makes_the_same_bytes() {
    for forge in [Forge::image(), Forge::image().guard()] {
        let object = MemoryObject::default();
        runtime().block_on(async {
            let profile = forge.inventory.profile;
            let mut writer = VolumeWriter::new(object.writer(), profile);
            for piece in &forge.pieces {
                let bytes = piece.bytes.clone().into();
                let written = writer.write_manifest(&piece.descriptor, bytes, vec![0]);
                written.await.expect("memory takes it");
            }
            let written = writer.finish(forge.inventory.clone(), &[]).await;
            written.expect("it is complete");
            let finished = writer.into_object().finish().await;
            finished.expect("memory takes it");
        });
        assert!(object.bytes() == forge.write(&[]));
    }
}
