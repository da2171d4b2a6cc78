//! Rows of the signed inventory that lead in circles, or nowhere.

use airlift::bundle::{AssumedRow, RECIPE_MEDIA_TYPE};
use airlift::oci::Digest;

use super::{Attack, assumed, first, in_inventory, second};
use crate::dense::parts::Parts;
use crate::hostile::forge::{CONFIG, LAYER};

pub(super) const ATTACKS: &[Attack] = &[
    in_inventory("two-layers-that-are-made-from-each-other", |forge| {
        let digest = second(forge).digest.clone();
        first(forge).references = vec![digest];
    }),
    in_inventory("layer-that-is-made-from-itself", |forge| {
        let digest = second(forge).digest.clone();
        second(forge).references[1] = digest;
    }),
    in_inventory("layer-that-is-made-from-a-later-one", |forge| {
        forge.inventory.rebuilt.swap(0, 1);
    }),
    in_inventory("layer-that-is-made-from-what-is-nowhere", |forge| {
        second(forge).references[0] = Digest::sha256(b"nowhere");
    }),
    in_inventory("layer-that-is-made-from-what-is-carried", |forge| {
        let config = forge.pieces[0].descriptor.digest.clone();
        second(forge).references[0] = config;
    }),
    in_inventory("base-without-a-plain-size", |forge| {
        assumed(forge).plain_size = None;
    }),
    in_inventory("layer-of-257-references", |forge| {
        let base = assumed(forge).digest.clone();
        second(forge).references = vec![base; 257];
    }),
    in_inventory("references-in-another-order", |forge| {
        second(forge).references.swap(0, 1);
    }),
    in_inventory("one-reference-too-few", |forge| {
        second(forge).references.pop();
    }),
    in_inventory("recipe-that-is-not-carried", |forge| {
        first(forge).recipe = Digest::sha256(b"nowhere");
    }),
    in_inventory("segment-that-is-not-carried", |forge| {
        first(forge).segments[0] = Digest::sha256(b"nowhere");
    }),
    in_inventory("recipe-that-nothing-needs", |forge| {
        forge.add(RECIPE_MEDIA_TYPE, b"airlift recipe 1\n");
        let last = forge.pieces.pop().unwrap();
        forge.pieces.insert(1, last);
    }),
    in_inventory("no-segments", |forge| {
        let recipe = first(forge).recipe.clone();
        forge.pieces.remove(1);
        first(forge).segments.clear();
        first(forge).recipe = recipe;
    }),
    in_inventory("one-segment-too-many", |forge| {
        let segment = first(forge).segments[0].clone();
        first(forge).segments.push(segment);
    }),
    in_inventory("segments-of-each-other", |forge| {
        let segment = first(forge).segments[0].clone();
        let other = std::mem::replace(&mut second(forge).segments[0], segment);
        first(forge).segments[0] = other;
    }),
    in_inventory("recipes-of-each-other", |forge| {
        let recipe = first(forge).recipe.clone();
        let other = std::mem::replace(&mut second(forge).recipe, recipe);
        first(forge).recipe = other;
    }),
    in_inventory("segment-as-a-recipe", |forge| {
        let segment = first(forge).segments[0].clone();
        let recipe = std::mem::replace(&mut first(forge).recipe, segment);
        first(forge).segments[0] = recipe;
    }),
    in_inventory("config-as-a-recipe", |forge| {
        let config = forge.pieces[0].descriptor.digest.clone();
        first(forge).recipe = config;
    }),
    in_inventory("content-without-a-repository", |forge| {
        let kind = RECIPE_MEDIA_TYPE.into();
        forge.pieces[0].descriptor.media_type = kind;
    }),
    in_inventory("assumed-content-that-is-carried", |forge| {
        let config = forge.pieces[0].descriptor.clone();
        let row = AssumedRow {
            media_type: CONFIG.into(),
            digest: config.digest,
            size: config.size,
            plain_size: None,
            ..assumed(forge).clone()
        };
        forge.inventory.assumed.push(row);
    }),
    in_inventory("assumed-content-that-is-rebuilt", |forge| {
        let row = first(forge).clone();
        let row = AssumedRow {
            digest: row.digest,
            size: row.size,
            plain_size: Some(row.plain_size),
            ..assumed(forge).clone()
        };
        forge.inventory.assumed.push(row);
    }),
    in_inventory("assumed-content-that-is-listed-twice", |forge| {
        let row = assumed(forge).clone();
        forge.inventory.assumed.push(row);
    }),
    in_inventory("rebuilt-content-that-is-listed-twice", |forge| {
        let row = first(forge).clone();
        forge.inventory.rebuilt.push(row);
    }),
    in_inventory("rebuilt-content-that-is-carried", |forge| {
        let layer = Parts::new().first.layer;
        forge.add(LAYER, &layer);
        let piece = forge.pieces.pop().unwrap();
        forge.pieces.insert(1, piece);
    }),
    in_inventory("manifest-that-is-assumed", |forge| {
        let manifest = forge.pieces.pop().unwrap().descriptor;
        let row = AssumedRow {
            media_type: manifest.media_type,
            digest: manifest.digest,
            size: manifest.size,
            plain_size: None,
            ..assumed(forge).clone()
        };
        forge.inventory.assumed.push(row);
    }),
];
