//! Signatures that do not count.

use super::{Attack, ED25519_KEY, Files, KEY, OTHER_KEY, REVOKING, attack, attack_on};
use crate::bundle::road::{public_key, signing_key};
use crate::hostile::anatomy::{Anatomy, Entry, signature_entry};
use crate::hostile::forge::Forge;

const TRUST_BOTH: &[&str] = &[
    "--trust",
    "../keys/snakeoil-p256.pub",
    "--trust",
    "../keys/snakeoil-p256-other.pub",
    "--threshold",
    "2",
];
const TRUST_ED25519: &[&str] = &["--trust", "../keys/snakeoil-ed25519.pub"];
const TRUST_FOR_SHIP: &[&str] = &["--trust", "ship=../keys/snakeoil-p256.pub"];

pub(super) const ATTACKS: &[Attack] = &[
    attack("unsigned", || Files::Plain(Forge::image().write(&[]))),
    attack_on("nobody-is-trusted", &[], || {
        Files::Plain(Forge::image().write(&[KEY]))
    }),
    attack("wrong-key", || {
        Files::Plain(Forge::image().write(&[OTHER_KEY]))
    }),
    attack("wrong-key-under-the-right-name", || {
        Files::Plain(signed_as(&[(KEY, OTHER_KEY)]))
    }),
    attack("ed25519-signature-under-the-p256-key", || {
        Files::Plain(signed_as(&[(KEY, ED25519_KEY)]))
    }),
    attack_on(
        "p256-signature-under-the-ed25519-key",
        TRUST_ED25519,
        || Files::Plain(signed_as(&[(ED25519_KEY, KEY)])),
    ),
    attack_on("revoked-key", &["--trust", REVOKING], || {
        Files::Plain(Forge::image().write(&[KEY]))
    }),
    attack_on("key-of-another-pipeline", TRUST_FOR_SHIP, || {
        Files::Plain(super::admission::of_pipeline("plant", 1).write(&[KEY]))
    }),
    attack_on("pipeline-key-without-a-pipeline", TRUST_FOR_SHIP, || {
        Files::Plain(Forge::image().write(&[KEY]))
    }),
    attack_on("below-the-threshold", TRUST_BOTH, || {
        Files::Plain(Forge::image().write(&[KEY]))
    }),
    attack_on("one-signature-under-two-trusted-names", TRUST_BOTH, || {
        Files::Plain(signed_as(&[(KEY, KEY), (OTHER_KEY, KEY)]))
    }),
    attack_on("one-signature-under-a-strange-name", TRUST_BOTH, || {
        Files::Plain(signed_as(&[(KEY, KEY), (ED25519_KEY, KEY)]))
    }),
    attack_on("countersignature-over-another-bundle", TRUST_BOTH, || {
        let id = public_key(OTHER_KEY).id().to_string();
        assert_eq!(id, "6b205bb72b5c5f38", "it stands in the name below");
        let elsewhere = signing_key(OTHER_KEY).sign(b"another inventory");
        Files::Many(vec![
            ("bundle.tar.zst", Forge::image().write(&[KEY])),
            (
                "bundle.tar.zst.6b205bb72b5c5f38.sig",
                elsewhere.expect("it signs"),
            ),
        ])
    }),
    attack("a-signature-of-other-bytes", || {
        let mut anatomy = Forge::image().lay().signed_by(&[KEY]);
        anatomy.signatures = Some(anatomy.signature_entries());
        let anatomy = anatomy.with_inventory(|text| text.replace("apps/web", "apps/wex"));
        Files::Plain(anatomy.write())
    }),
    attack("17-signatures", || Files::Plain(with_signatures(17, 72))),
    attack("a-signature-of-1025-bytes", || {
        Files::Plain(with_signatures(1, 1025))
    }),
    attack("signature-name-with-dots", || {
        Files::Plain(with_renamed_signature(
            "airlift/signatures/../../../../key.sig",
        ))
    }),
    attack("signature-name-in-upper-case", || {
        Files::Plain(with_renamed_signature(
            "airlift/signatures/71BD8D367073257E.sig",
        ))
    }),
    attack("signature-is-a-link", || {
        let mut anatomy = Forge::image().lay().signed_by(&[KEY]);
        let mut entries = anatomy.signature_entries();
        let name = entries[0].name.clone();
        entries[0].disguise(&name, tar::EntryType::Symlink);
        anatomy.signatures = Some(entries);
        Files::Plain(anatomy.write())
    }),
];

/// Signature entries named for the first key of each pair and made by the second.
fn signed_as(pairs: &[(&str, &str)]) -> Vec<u8> {
    let anatomy = Forge::image().lay();
    let inventory = anatomy.entry("airlift/inventory.json").data.clone();
    let entry = |(name, key): &(&str, &str)| {
        let signature = signing_key(key).sign(&inventory).expect("it signs");
        signature_entry(&public_key(name).id().to_string(), &signature)
    };
    write_with(anatomy, pairs.iter().map(entry).collect())
}

fn write_with(mut anatomy: Anatomy, mut entries: Vec<Entry>) -> Vec<u8> {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    anatomy.signatures = Some(entries);
    anatomy.write()
}

/// One good signature, and enough of others to make `count`.
fn with_signatures(count: u64, size: usize) -> Vec<u8> {
    let anatomy = Forge::image().lay().signed_by(&[KEY]);
    let mut entries = anatomy.signature_entries();
    let others = (1..count.max(2)).map(|number| format!("{number:016x}"));
    entries.extend(others.map(|id| signature_entry(&id, &vec![7; size])));
    write_with(anatomy, entries)
}

fn with_renamed_signature(name: &str) -> Vec<u8> {
    let anatomy = Forge::image().lay().signed_by(&[KEY]);
    let mut entries = anatomy.signature_entries();
    entries[0].disguise(name, tar::EntryType::Regular);
    write_with(anatomy, entries)
}
