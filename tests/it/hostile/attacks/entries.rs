//! Entries of the tar stream that are not what the inventory says, or that it does not know.

use tar::EntryType;

use super::{Attack, Files, KEY, attack};
use crate::hostile::anatomy::{Anatomy, Entry, header};
use crate::hostile::forge::{Forge, LAYER_BYTES};

pub(super) const ATTACKS: &[Attack] = &[
    attack("name-with-dots", || {
        disguised("../../../etc/passwd", EntryType::Regular)
    }),
    attack("absolute-name", || {
        disguised("/etc/passwd", EntryType::Regular)
    }),
    attack("symbolic-link", || disguised("blobs", EntryType::Symlink)),
    attack("hard-link", || disguised("blobs", EntryType::Link)),
    attack("character-device", || disguised("dev", EntryType::Char)),
    attack("block-device", || disguised("dev", EntryType::Block)),
    attack("fifo", || disguised("pipe", EntryType::Fifo)),
    attack("directory", || disguised("blobs/", EntryType::Directory)),
    attack("contiguous-file", || disguised_as(EntryType::Continuous)),
    attack("right-name-of-a-link", || disguised_as(EntryType::Symlink)),
    attack("set-user-id", || {
        let mut anatomy = image();
        let entry = &mut anatomy.entries[0];
        let mut header = tar::Header::from_byte_slice(&entry.header).clone();
        header.set_mode(0o4755);
        header.set_cksum();
        entry.header = header.as_bytes().to_vec();
        Files::Plain(anatomy.write())
    }),
    attack("pax-record", || {
        extended(EntryType::XHeader, b"19 path=../evil.sh\n")
    }),
    attack("global-pax-record", || {
        extended(EntryType::XGlobalHeader, b"19 path=../evil.sh\n")
    }),
    attack("long-link-record", || {
        extended(EntryType::GNULongLink, b"/etc/passwd\0")
    }),
    attack("long-name-record", || {
        extended(EntryType::GNULongName, b"../../evil\0")
    }),
    attack("sparse-entry", || disguised_as(EntryType::GNUSparse)),
    attack("entry-before-all", || inserted(0)),
    attack("entry-between", || inserted(1)),
    attack("entry-before-oci-layout", || {
        inserted(image().position("oci-layout"))
    }),
    attack("entry-before-index-json", || {
        inserted(image().position("index.json"))
    }),
    attack("entry-before-the-inventory", || {
        inserted(image().position("airlift/inventory.json"))
    }),
    attack("entry-behind-the-inventory", || {
        inserted(image().entries.len())
    }),
    attack("entry-before-the-end", || {
        let mut anatomy = image();
        let mut signatures = anatomy.signature_entries();
        signatures.push(evil());
        anatomy.signatures = Some(signatures);
        Files::Plain(anatomy.write())
    }),
    attack("entry-behind-the-end", || {
        let mut anatomy = image();
        anatomy.behind.push(evil());
        Files::Plain(anatomy.write())
    }),
    attack("entry-between-of-a-guard-volume", || {
        let mut anatomy = Forge::image().guard().lay().signed_by(&[KEY]);
        anatomy
            .entries
            .insert(anatomy.position("index.json"), evil());
        Files::Guard(anatomy.write())
    }),
    attack("entry-behind-the-end-of-a-guard-volume", || {
        let mut anatomy = Forge::image().guard().lay().signed_by(&[KEY]);
        anatomy.behind.push(evil());
        Files::Guard(anatomy.write())
    }),
    attack("no-entry-for-a-row", || {
        let mut anatomy = image();
        anatomy.entries.remove(0);
        Files::Plain(anatomy.write())
    }),
    attack("entry-twice", || {
        let mut anatomy = image();
        anatomy.entries.insert(1, anatomy.entries[0].clone());
        Files::Plain(anatomy.write())
    }),
    attack("entry-and-row-twice", || {
        let mut forge = Forge::image();
        let again = forge.piece_of(LAYER_BYTES).clone();
        forge.pieces.insert(1, again);
        Files::Plain(forge.write(&[KEY]))
    }),
    attack("entries-swapped", || {
        let mut anatomy = image();
        let last = anatomy.position("oci-layout") - 1;
        anatomy.entries.swap(last, last - 1);
        Files::Plain(anatomy.write())
    }),
    attack("two-inventories", || {
        let mut anatomy = image();
        let position = anatomy.position("airlift/inventory.json");
        anatomy.entries.push(anatomy.entries[position].clone());
        Files::Plain(anatomy.write())
    }),
    attack("no-index-json", || {
        let mut anatomy = image();
        anatomy.entries.remove(anatomy.position("index.json"));
        Files::Plain(anatomy.write())
    }),
];

fn image() -> Anatomy {
    Forge::image().lay().signed_by(&[KEY])
}

fn evil() -> Entry {
    Entry::new("evil.sh", b"#!/bin/sh\n")
}

/// The layer's entry under another name, and as another kind of file.
fn disguised(name: &str, kind: EntryType) -> Files {
    let mut anatomy = image();
    anatomy.entries[0].disguise(name, kind);
    Files::Plain(anatomy.write())
}

fn disguised_as(kind: EntryType) -> Files {
    let name = image().entries[0].name.clone();
    disguised(&name, kind)
}

/// The layer's entry behind a record that says something else of it.
fn extended(kind: EntryType, record: &[u8]) -> Files {
    let mut anatomy = image();
    let mut extended = header("record", record.len() as u64, kind);
    extended.extend(record);
    extended.resize(1024, 0);
    extended.extend(&anatomy.entries[0].header);
    anatomy.entries[0].header = extended;
    Files::Plain(anatomy.write())
}

fn inserted(position: usize) -> Files {
    let mut anatomy = image();
    anatomy.entries.insert(position, evil());
    Files::Plain(anatomy.write())
}
