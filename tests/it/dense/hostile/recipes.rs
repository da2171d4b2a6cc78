//! Recipes and deltas that are none, or that expand.

use super::{Attack, in_parts, lying_bomb, skippable};
use crate::dense::parts::{compress, put};

pub(super) const ATTACKS: &[Attack] = &[
    in_parts("recipe-of-another-version", |parts| {
        let recipe = parts.first.recipe();
        parts.first.recipe = Some([b"airlift recipe 2", &recipe[16..]].concat());
    }),
    in_parts("recipe-that-is-empty", |parts| {
        parts.first.recipe = Some(Vec::new());
    }),
    in_parts("recipe-with-bytes-behind-it", |parts| {
        let recipe = parts.first.recipe();
        parts.first.recipe = Some([&recipe[..], b"\0"].concat());
    }),
    in_parts("recipe-that-is-cut-off", |parts| {
        let recipe = parts.first.recipe();
        parts.first.recipe = Some(recipe[..recipe.len() - 1].to_vec());
    }),
    in_parts("recipe-with-a-part-of-u64-max", |parts| {
        let mut recipe = b"airlift recipe 1\n".to_vec();
        put(&mut recipe, u64::MAX);
        parts.first.recipe = Some(recipe);
    }),
    in_parts("recipe-with-a-length-in-long-form", |parts| {
        parts.first.recipe = Some(b"airlift recipe 1\n\x80\x00\x00".to_vec());
    }),
    in_parts("recipe-without-a-delta", |parts| {
        parts.first.delta_frame = Some(Vec::new());
    }),
    in_parts("delta-that-expands-beyond-the-limit", |parts| {
        parts.first.delta_frame = Some(compress(&vec![0; (16 << 20) + 1]));
    }),
    in_parts("delta-that-lies-about-its-length", |parts| {
        parts.first.delta_frame = Some(lying_bomb(10_000));
    }),
    in_parts("delta-that-states-u64-max", |parts| {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        frame.extend([0xff; 8]);
        parts.first.delta_frame = Some(frame);
    }),
    in_parts("delta-that-is-noise", |parts| {
        parts.first.delta_frame = Some(vec![0xa5; 300]);
    }),
    in_parts("delta-with-an-empty-frame-behind-it", |parts| {
        let mut bytes = Vec::new();
        for number in &parts.first.delta {
            put(&mut bytes, *number);
        }
        parts.first.delta_frame = Some([compress(&bytes), compress(b"")].concat());
    }),
    in_parts("delta-with-a-skippable-frame-behind-it", |parts| {
        let mut bytes = Vec::new();
        for number in &parts.first.delta {
            put(&mut bytes, *number);
        }
        parts.first.delta_frame = Some([compress(&bytes), skippable()].concat());
    }),
    in_parts("recipe-above-the-limit", |parts| {
        parts.first.recipe = Some(vec![0; (64 << 20) + 1]);
    }),
    in_parts("segment-above-the-stored-limit", |parts| {
        parts.first.segment = vec![0; (16 << 20) + (64 << 10) + 1];
    }),
];
