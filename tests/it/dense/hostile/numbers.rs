//! Rows of the signed inventory with sizes, places and versions that are not so.

use airlift::bundle::{MEDIA_TYPE, Profile, Repairs};
use airlift::oci::Digest;

use super::{Attack, assumed, first, in_inventory, second};
use crate::dense::parts::plain;

pub(super) const ATTACKS: &[Attack] = &[
    in_inventory("plain-size-of-u64-max", |forge| {
        first(forge).plain_size = u64::MAX;
    }),
    in_inventory("plain-size-beyond-what-deflate-can", |forge| {
        first(forge).plain_size = (first(forge).size * 1100) + (1 << 20) + 1;
    }),
    in_inventory("plain-size-that-is-too-small", |forge| {
        first(forge).plain_size -= 1;
    }),
    in_inventory("plain-size-that-is-too-large", |forge| {
        first(forge).plain_size += 1;
    }),
    in_inventory("plain-size-of-a-base-of-u64-max", |forge| {
        assumed(forge).plain_size = Some(u64::MAX);
    }),
    in_inventory("plain-size-of-a-base-that-is-too-small", |forge| {
        assumed(forge).plain_size = Some(plain(1).len() as u64 - 1);
    }),
    in_inventory("plain-size-of-a-base-that-is-too-large", |forge| {
        assumed(forge).plain_size = Some(plain(1).len() as u64 + 1);
    }),
    in_inventory("size-of-u64-max", |forge| first(forge).size = u64::MAX),
    in_inventory("size-that-is-too-small", |forge| first(forge).size -= 1),
    in_inventory("size-that-is-too-large", |forge| second(forge).size += 1),
    in_inventory("repositories-that-are-not-there", |forge| {
        first(forge).repositories = vec![u32::MAX];
    }),
    in_inventory("repositories-of-a-base-that-are-not-there", |forge| {
        assumed(forge).repositories = vec![7];
    }),
    in_inventory("no-repositories", |forge| {
        first(forge).repositories.clear();
    }),
    in_inventory("no-repositories-of-a-base", |forge| {
        assumed(forge).repositories.clear();
    }),
    in_inventory("version-1-with-rebuilt-content", |forge| {
        MEDIA_TYPE.clone_into(&mut forge.inventory.media_type);
    }),
    in_inventory("version-1-of-the-profile-dense", |forge| {
        MEDIA_TYPE.clone_into(&mut forge.inventory.media_type);
        forge.inventory.assumed.clear();
        forge.inventory.rebuilt.clear();
    }),
    in_inventory("version-3", |forge| {
        forge.inventory.media_type = MEDIA_TYPE.replace("v1", "v3");
    }),
    in_inventory("rebuilt-content-in-the-profile-plain", |forge| {
        forge.inventory.profile = Profile::Plain;
    }),
    in_inventory("repair-with-artifacts", |forge| {
        forge.inventory.repairs = Some(Repairs {
            lane: "north".to_owned(),
            sequence: u64::MAX,
            inventory: Digest::sha256(b"another bundle"),
        });
    }),
    in_inventory("layer-that-is-left-out-altogether", |forge| {
        // The second one needs it too.
        forge.pieces.drain(1..5).for_each(drop);
        forge.inventory.rebuilt.clear();
        forge.inventory.assumed.clear();
    }),
];
