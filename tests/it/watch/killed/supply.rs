//! Fifty bundles of one pipeline, of several volumes each. Every one moves tags that others have set, so that a
//! wrong order shows.

use std::collections::{BTreeMap, BTreeSet};

use airlift::content::Memory;

use crate::support::artifacts::{Dice, image};
use crate::support::command::airlift;
use crate::support::registry::Registry;
use crate::watch::{Station, key, names};

pub(super) const BUNDLES: u64 = 50;
pub(super) const PIPELINE: &str = "plant";
const LAYER_BYTES: usize = 30_000;
const CHANNELS: u64 = 7;
/// How far, in volumes, one may be overtaken by others on its way.
const DISORDER: u64 = 10;

/// The bundles in `usb` of a station, and what is to become of them.
pub(super) struct Supply {
    /// The volumes of each bundle, in the order of their sequence.
    pub(super) bundles: Vec<Vec<String>>,
    /// The newest sequence that has each tag.
    pub(super) tags: BTreeMap<String, u64>,
}

impl Supply {
    pub(super) fn export(station: &Station) -> Self {
        let source = Registry::start();
        let mut supply = Self {
            bundles: Vec::new(),
            tags: BTreeMap::new(),
        };
        let mut known = BTreeSet::new();
        for sequence in 1..=BUNDLES {
            let tags = move_tags(&source, sequence);
            export_tags(station, &source, &tags);
            let volumes: BTreeSet<String> = names(&station.path("usb")).into_iter().collect();
            let new: Vec<String> = volumes.difference(&known).cloned().collect();
            assert!(new.len() > 1, "several volumes: {new:?}");
            supply.bundles.push(new);
            let tags = tags.into_iter();
            supply
                .tags
                .extend(tags.map(|tag| (format!("apps/web:{tag}"), sequence)));
            known = volumes;
        }
        supply
    }

    pub(super) fn volumes(&self) -> impl Iterator<Item = &String> {
        self.bundles.iter().flatten()
    }

    /// All volumes, in the order in which they arrive: some bundles late, and many in pieces.
    pub(super) fn arrivals(&self, dice: &mut Dice) -> Vec<String> {
        let mut arrivals: Vec<(u64, &String)> = (0..)
            .zip(self.volumes())
            .map(|(place, name)| (place + dice.below(DISORDER), name))
            .collect();
        arrivals.sort();
        arrivals.into_iter().map(|(_, name)| name.clone()).collect()
    }
}

/// Puts a new image under a tag of its own, one that all have, and one that some have.
fn move_tags(source: &Registry, sequence: u64) -> [String; 3] {
    let memory = Memory::new();
    let repository = "apps/web".parse().unwrap();
    let mut own = Dice::new(sequence);
    let layers = [
        Dice::new(0).noise(LAYER_BYTES),
        own.noise(LAYER_BYTES),
        own.noise(LAYER_BYTES),
    ];
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let document = image(&memory, &repository, "amd64", &layers);
    let tags = [
        format!("v{sequence}"),
        "latest".to_owned(),
        format!("channel-{}", sequence % CHANNELS),
    ];
    for tag in &tags {
        memory.put_manifest(&repository, document.clone(), Some(&tag.parse().unwrap()));
    }
    source.seed(&memory);
    tags
}

fn export_tags(station: &Station, source: &Registry, tags: &[String]) {
    let references: Vec<String> = tags
        .iter()
        .map(|tag| format!("{}/apps/web:{tag}", source.address()))
        .collect();
    let (usb, state, signer) = (
        station.text("usb"),
        station.text("near-state"),
        key("snakeoil-p256"),
    );
    let mut arguments = vec!["export"];
    arguments.extend(references.iter().map(String::as_str));
    arguments.extend(["--container", &usb, "--sign-key", &signer]);
    arguments.extend(["--pipeline", PIPELINE, "--state", &state]);
    arguments.extend(["--volume-size", "68KiB"]);
    airlift(&arguments).assert_success();
}
