//! A second writer of recipes, after DELTA.md and RECOMPRESSION.md and not after the code, that writes lies on request,
//! and the bundle around them.
//!
//! The bundle has an image of two layers: `first` is made of literals alone, `second` of copies from `first` and from
//! `base`, which the target has, and of literals beside the base.

use airlift::bundle::{
    AssumedRow, MEDIA_TYPE_2, Profile, RECIPE_MEDIA_TYPE, RebuiltRow, SEGMENT_MEDIA_TYPE,
};
use airlift::oci::{Descriptor, Digest, media_type};

use crate::hostile::forge::{CONFIG, Forge, LAYER, Piece};
use crate::support::artifacts::{Dice, ManifestText, gzip, tar_of};

/// Bytes of the base that the second layer begins with; then come its own, then those of the first layer.
pub(super) const OF_BASE: usize = 4000;
pub(super) const OWN: usize = 1000;
pub(super) const OF_FIRST: usize = 3000;

pub(super) const LITERAL: u64 = 0;
pub(super) const ALIGNED: u64 = 1;
pub(super) const COPY: u64 = 2;

/// The plain bytes of the base, and of the first layer.
pub(super) fn plain(seed: u64) -> Vec<u8> {
    let bytes = tar_of(&mut Dice::new(seed), 4, 12_000);
    assert!(bytes.len() > 9000, "{}", bytes.len());
    bytes
}

/// The layer that the target has.
pub(super) fn base() -> Vec<u8> {
    gzip(&plain(1), 6)
}

/// A number that may be negative.
pub(super) fn signed(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put(bytes, value.len() as u64);
    bytes.extend(value);
}

fn numbers(list: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in list {
        put(&mut bytes, *number);
    }
    bytes
}

pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).expect("memory")
}

/// One run of members with this header, by this method.
pub(super) fn recompression(
    header: &[u8],
    name: &str,
    members: &[u64],
    trailing: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![1, 1];
    put_bytes(&mut bytes, header);
    put_bytes(&mut bytes, name.as_bytes());
    put(&mut bytes, members.len() as u64);
    for length in members {
        put(&mut bytes, *length);
    }
    put_bytes(&mut bytes, trailing);
    bytes
}

/// A layer and what it is made from, each to be changed alone.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) layer: Vec<u8>,
    pub(super) plain: Vec<u8>,
    pub(super) header: Vec<u8>,
    pub(super) recompression: Vec<u8>,
    /// The numbers of the delta.
    pub(super) delta: Vec<u64>,
    /// Where it is not made of the numbers.
    pub(super) delta_frame: Option<Vec<u8>>,
    pub(super) segment: Vec<u8>,
    /// Where it is not made of the others.
    pub(super) recipe: Option<Vec<u8>>,
}

impl Made {
    fn new(plain: Vec<u8>, delta: Vec<u64>, literals: &[u8]) -> Self {
        let layer = gzip(&plain, 6);
        let header = layer[..10].to_vec();
        Self {
            recompression: recompression(&header, "zlib 6", &[plain.len() as u64], b""),
            header,
            layer,
            plain,
            delta,
            delta_frame: None,
            segment: compress(literals),
            recipe: None,
        }
    }

    pub(super) fn recipe(&self) -> Vec<u8> {
        let whole = || {
            let delta = self.delta_frame.clone();
            let delta = delta.unwrap_or_else(|| compress(&numbers(&self.delta)));
            let mut bytes = b"airlift recipe 1\n".to_vec();
            put_bytes(&mut bytes, &self.recompression);
            put_bytes(&mut bytes, &delta);
            bytes
        };
        self.recipe.clone().unwrap_or_else(whole)
    }

    fn row(&self, references: Vec<Digest>) -> RebuiltRow {
        let layer = Descriptor::of(LAYER, &self.layer);
        RebuiltRow {
            media_type: layer.media_type,
            digest: layer.digest,
            size: layer.size,
            repositories: vec![0],
            plain_size: self.plain.len() as u64,
            recipe: Digest::sha256(&self.recipe()),
            segments: vec![Digest::sha256(&self.segment)],
            references,
        }
    }
}

/// What the bundle is made of.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) first: Made,
    pub(super) second: Made,
}

impl Parts {
    pub(super) fn new() -> Self {
        let (base, first) = (plain(1), plain(2));
        let own = Dice::new(3).noise(OWN);
        let second = [&base[..OF_BASE], &own, &first[..OF_FIRST]].concat();
        let length = first.len() as u64;
        Self {
            first: Made::new(
                first.clone(),
                vec![length, 0, 1, length, 0, length << 2 | LITERAL],
                &first,
            ),
            second: Made::new(second, second_delta(), &own),
        }
    }

    /// The bundle, before it is changed and signed.
    pub(super) fn forge(&self) -> Forge {
        let mut forge = Forge::empty();
        let layers = [&self.first, &self.second].map(|made| Descriptor::of(LAYER, &made.layer));
        let config = forge.add(
            CONFIG,
            b"{\"os\":\"linux\",\"architecture\":\"amd64\",\"dense\":1}",
        );
        for made in [&self.first, &self.second] {
            forge.add(SEGMENT_MEDIA_TYPE, &made.segment);
            forge.add(RECIPE_MEDIA_TYPE, &made.recipe());
        }
        let text = ManifestText::new(media_type::OCI_MANIFEST)
            .config(&config)
            .layers(&layers);
        let manifest = forge.add_manifest(&text);
        forge.add_artifact(&manifest, "1.4");
        let base = Descriptor::of("application/octet-stream", &base());
        let inventory = &mut forge.inventory;
        MEDIA_TYPE_2.clone_into(&mut inventory.media_type);
        inventory.profile = Profile::Dense;
        inventory.assumed = vec![AssumedRow {
            media_type: base.media_type,
            digest: base.digest.clone(),
            size: base.size,
            repositories: vec![0],
            sequence: None,
            plain_size: Some(plain(1).len() as u64),
        }];
        inventory.rebuilt = vec![
            self.first.row(Vec::new()),
            self.second.row(vec![base.digest, layers[0].digest.clone()]),
        ];
        forge
    }
}

/// The numbers of the second layer's delta.
pub(super) fn second_delta() -> Vec<u64> {
    let (of_base, own, of_first) = (OF_BASE as u64, OWN as u64, OF_FIRST as u64);
    let back = -i64::try_from(OF_BASE + OWN).expect("small");
    let segment = [own, 1 << 1, 0, signed(4000), own];
    let copies = [
        of_base << 2 | ALIGNED,
        own << 2 | LITERAL,
        of_first << 2 | COPY,
        1,
        signed(back),
    ];
    [&[of_base + own + of_first, 2, 1][..], &segment, &copies].concat()
}

/// What the target has before: an image whose layer is the base.
pub(super) fn old_image() -> Forge {
    let mut forge = Forge::empty();
    let layer = forge.add(LAYER, &base());
    let config = forge.add(CONFIG, b"{\"os\":\"linux\",\"architecture\":\"amd64\"}");
    let text = ManifestText::new(media_type::OCI_MANIFEST)
        .config(&config)
        .layers(&[layer]);
    let manifest = forge.add_manifest(&text);
    forge.add_artifact(&manifest, "0.9");
    forge
}

/// The piece of the bundle with these bytes, behind which a digest stands that is not theirs.
pub(super) fn flip(piece: &mut Piece) {
    let last = piece.bytes.len() - 1;
    piece.bytes[last] ^= 1;
}
