//! The attacks, one for each fixture: how it is made, and what the importer is told.

mod admission;
mod content;
mod entries;
mod frames;
mod inventory;
mod sets;
mod trust;

/// The files of one attack.
pub(crate) enum Files {
    /// `NAME.tar.zst`
    Plain(Vec<u8>),
    /// `NAME.tar`
    Guard(Vec<u8>),
    /// A directory `NAME`.
    Many(Vec<(&'static str, Vec<u8>)>),
}

/// One way to harm an importer.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Flags of the import, instead of `--trust` with the key that signs.
    pub(crate) flags: &'static [&'static str],
    pub(crate) make: fn() -> Files,
}

/// The key that signs where the attack is in what is signed.
pub(crate) const KEY: &str = "snakeoil-p256";
pub(crate) const OTHER_KEY: &str = "snakeoil-p256-other";
pub(crate) const ED25519_KEY: &str = "snakeoil-ed25519";
/// Stands for a trust directory in which `KEY` is revoked.
pub(crate) const REVOKING: &str = "{a directory that revokes the key}";
const TRUST: &[&str] = &["--trust", "../keys/snakeoil-p256.pub"];

/// An attack that a trusting importer meets.
const fn attack(name: &'static str, make: fn() -> Files) -> Attack {
    Attack {
        name,
        flags: TRUST,
        make,
    }
}

/// An attack on what the flags ask for.
const fn attack_on(
    name: &'static str,
    flags: &'static [&'static str],
    make: fn() -> Files,
) -> Attack {
    Attack { name, flags, make }
}

/// All attacks in groups, each with one snapshot.
pub(crate) const GROUPS: &[(&str, &[Attack])] = &[
    ("trust", trust::ATTACKS),
    ("admission", admission::ATTACKS),
    ("entries", entries::ATTACKS),
    ("frames", frames::ATTACKS),
    ("inventory", inventory::ATTACKS),
    ("content", content::ATTACKS),
    ("sets", sets::ATTACKS),
];
