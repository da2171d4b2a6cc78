//! Random walks over a whole lane: real bundles, an importer with a ledger, receipts and repairs; anything in between is
//! lost, late, repeated or out of order, and layers vanish from the target. In the end it has what the source has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use airlift::content::ErrorKind;
use airlift::oci::Digest;
use airlift::pipeline::MissingContents;

use super::bases::{layer, move_tag, references, repository};
use super::world::{Thin, World, missing_of};
use crate::bundle::road::names_in;
use crate::support::artifacts::Dice;

const WALKS: u64 = 10;
const STEPS: u64 = 12;
const THIN: [Thin; 3] = [Thin::Incremental, Thin::Delta, Thin::AssumedDelta];
/// Repairs that one bundle may need: of what it misses now, and of what those who brought that missed.
const REPAIRS_MAX: usize = 3;

struct Walk {
    world: World,
    dice: Dice,
    version: u64,
    /// What the carrier has lost on the way.
    lost: BTreeSet<String>,
    wishes: Vec<MissingContents>,
    repairs: usize,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let walk = Self {
            world: World::new(),
            dice: Dice::new(seed),
            version: 0,
            lost: BTreeSet::new(),
            wishes: Vec::new(),
            repairs: 0,
        };
        move_tag(&walk.world, 0);
        walk
    }

    async fn export(&mut self) {
        if !self.dice.once_in(4) {
            self.version += 1;
            move_tag(&self.world, self.version);
        }
        let thin = *self.dice.pick(&THIN);
        let references = references(&self.world);
        self.world.export(&references, thin).await.unwrap();
    }

    /// Delivers the bundle; where something is missing that is wished for, and nothing else may be wrong.
    async fn deliver(&mut self, path: &Path) -> Option<MissingContents> {
        let Err(error) = self.world.import_from(path).await else {
            return None;
        };
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        let missing = missing_of(&error).expect("it says what is missing").clone();
        self.wishes.push(missing.clone());
        Some(missing)
    }

    async fn repair(&mut self, wish: &MissingContents) {
        self.repairs += 1;
        let references = references(&self.world);
        self.world.repair(&references, wish).await.unwrap();
    }

    /// Brings some of the receipts home, in no order.
    async fn bring_some(&mut self) {
        if !self.world.receipts().is_dir() {
            return;
        }
        for name in names_in(&self.world.receipts()) {
            if self.dice.once_in(2) {
                let path = self.world.receipts().join(name);
                self.world.bring_receipts(&path).await.unwrap();
            }
        }
    }

    async fn step(&mut self) {
        let mut objects = self.world.objects();
        objects.retain(|name| !self.lost.contains(name));
        match self.dice.below(12) {
            0..=2 => self.export().await,
            3..=5 if !objects.is_empty() => {
                let path = self.world.usb().join(self.dice.pick(&objects));
                self.deliver(&path).await;
            }
            6 if !objects.is_empty() => {
                let name = self.dice.pick(&objects).clone();
                // Whether the exporter sees that it is gone is not the same.
                if self.dice.once_in(2) {
                    fs::remove_file(self.world.usb().join(&name)).unwrap();
                }
                self.lost.insert(name);
            }
            7 => self.bring_some().await,
            8 if !self.wishes.is_empty() => {
                let wish = self.dice.pick(&self.wishes).clone();
                self.repair(&wish).await;
            }
            9..=11 => {
                let version = self.dice.below(self.version + 1);
                let digest = Digest::sha256(&layer(version));
                self.world.target.forget(&repository(), &digest);
            }
            _ => {}
        }
    }

    /// From now on nothing is lost any more.
    async fn finish(&mut self) {
        self.version += 1;
        move_tag(&self.world, self.version);
        let references = references(&self.world);
        let thin = *self.dice.pick(&THIN);
        self.world.export(&references, thin).await.unwrap();
        let last = self.world.newest();
        for version in 0..self.version {
            if self.dice.once_in(2) {
                let digest = Digest::sha256(&layer(version));
                self.world.target.forget(&repository(), &digest);
            }
        }
        let mut repairs = 0;
        while let Some(missing) = self.deliver(&last).await {
            repairs += 1;
            assert!(repairs <= REPAIRS_MAX, "the lane is wedged: {missing:?}");
            self.repair(&missing).await;
            let repair = self.world.newest();
            assert_ne!(repair, last);
            assert_eq!(self.deliver(&repair).await, None);
        }
        let (tags, contents) = self.world.source.snapshot();
        let found = self.world.target.snapshot();
        assert_eq!(found.0, tags);
        let wanted = (repository(), Digest::sha256(&layer(self.version)));
        assert_eq!(found.1.get(&wanted), contents.get(&wanted));
        self.world.assert_spool_is_empty();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_walk_ends_with_what_the_source_has() {
    let mut repairs = 0;
    for seed in 0..WALKS {
        eprintln!("seed {seed}");
        let mut walk = Walk::new(seed);
        for _ in 0..STEPS {
            Box::pin(walk.step()).await;
        }
        Box::pin(walk.finish()).await;
        repairs += walk.repairs;
    }
    assert!(repairs > 3, "{repairs}");
}
