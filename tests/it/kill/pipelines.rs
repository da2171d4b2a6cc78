//! Exports of a pipeline that are killed, while the tag goes on moving: a number never stands for two inventories,
//! what is lost is a gap, and whatever is left unfinished is named by `container clean`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use airlift::bundle::SignaturePolicy;
use airlift::content::Memory;
use airlift::history::Ledger;
use airlift::oci::Digest;
use airlift::pipeline::open_volumes;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::moment::Changes;
use super::{KEY, KILLS, PUBLIC_KEY, first_seed, layouts};
use crate::support::artifacts::{Dice, image};
use crate::support::command::{Airlift, Output, Running, airlift};
use crate::support::containers::places;
use crate::support::registry::{Fault, Registry, When};
use crate::support::wait;

/// Kills in one container with one ledger; then both begin anew.
const KILLS_EACH: usize = 25;
const LAYER_BYTES: usize = 30_000;
/// How long no change means to look whether it has ended.
const QUIET: Duration = Duration::from_millis(5);
const KINDS: [Kind; 4] = [Kind::Time, Kind::Request, Kind::Ledger, Kind::Container];

/// What a moment is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Time,
    /// The last request is never answered.
    Request,
    /// Changes in the state directory: the reservation is the last but few of them.
    Ledger,
    /// Changes in the container: the renames are the last of them.
    Container,
}

/// A container that one pipeline is exported to, and what was ever visible in it.
struct Plant {
    directory: TempDir,
    source: Registry,
    /// The image that the tag stands for, and the second at which it is exported, by number.
    image: u64,
    second: u64,
    /// By sequence and volume.
    seen: BTreeMap<(u64, u32), Digest>,
}

impl Plant {
    fn new(image: u64) -> Self {
        let plant = Self {
            directory: tempfile::tempdir().unwrap(),
            source: Registry::start(),
            image,
            second: 1_700_000_000,
            seen: BTreeMap::new(),
        };
        std::fs::create_dir(plant.path("usb")).unwrap();
        std::fs::create_dir(plant.path("state")).unwrap();
        plant
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn move_tag(&mut self) {
        self.image += 1;
        let memory = Memory::new();
        let repository = "apps/web".parse().unwrap();
        let mut own = Dice::new(self.image);
        let layers = [(); 3].map(|()| own.noise(LAYER_BYTES));
        let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
        let document = image(&memory, &repository, "amd64", &layers);
        memory.put_manifest(&repository, document, Some(&"1.4".parse().unwrap()));
        self.source.seed(&memory);
    }

    /// No two exports are of the same second, so two inventories of the same content differ.
    fn export(&mut self) -> Airlift {
        self.second += 1;
        let reference = format!("{}/apps/web:1.4", self.source.address());
        let (usb, state) = (self.text("usb"), self.text("state"));
        let arguments = [
            "export",
            &reference,
            "--container",
            &usb,
            "--sign-key",
            KEY,
            "--pipeline",
            "plant",
            "--state",
            &state,
            "--volume-size",
            "68KiB",
        ];
        Airlift::new(&arguments).env("SOURCE_DATE_EPOCH", &self.second.to_string())
    }

    /// Exports, and kills at the moment, unless it ends before.
    fn export_and_kill(&mut self, kind: Kind, moment: u64) -> Output {
        let changes = match kind {
            Kind::Ledger => Some(Changes::below(&self.path("state"))),
            Kind::Container => Some(Changes::below(&self.path("usb"))),
            Kind::Time | Kind::Request => None,
        };
        self.source.log().clear();
        if kind == Kind::Request {
            let skipped = usize::try_from(moment).unwrap();
            let when = When::any("/v2/").after(skipped).always();
            self.source.fault(when, Fault::Hang);
        }
        let mut running = self.export().spawn();
        match (kind, changes) {
            (_, Some(changes)) => await_changes(&changes, moment, &mut running),
            (Kind::Request, None) => {
                let log = self.source.log();
                let is_asked = || log.count("*", "/v2/") as u64 > moment;
                wait::until("its request", || is_asked() || running.has_ended());
            }
            (_, None) => {
                wait::within(Duration::from_micros(moment), || running.has_ended());
            }
        }
        let output = running.kill();
        self.source.heal();
        output
    }

    /// Whatever has become visible is remembered, and stays what it was.
    fn look(&mut self, runtime: &Runtime) {
        let opened = runtime.block_on(async {
            let places = places(&self.path("usb")).await.unwrap();
            open_volumes(&places, &SignaturePolicy::AcceptUnsigned).await
        });
        let Ok((volumes, refused)) = opened else {
            // There is none yet.
            return;
        };
        assert!(refused.is_empty(), "{}", refused[0].name);
        for volume in volumes {
            let inventory = volume.inventory();
            let place = (inventory.sequence.unwrap(), inventory.volume);
            let digest = volume.inventory_digest();
            let known = self.seen.entry(place).or_insert_with(|| digest.clone());
            assert_eq!(known, digest, "two inventories for {place:?}");
        }
    }

    /// What was visible is what the ledger has reserved. Says how many numbers are gaps, and how many of those
    /// have some of their volumes.
    async fn count_gaps(&self) -> [usize; 2] {
        let ledger = Ledger::open(&self.path("state")).await.unwrap();
        let pipeline = ledger.find_pipeline("plant").await.unwrap().unwrap();
        let exported = ledger.list_exported(&pipeline.id, 1000).await.unwrap();
        let newest = exported[0].sequence;
        for (sequence, _) in self.seen.keys() {
            assert!(exported.iter().any(|it| it.sequence == *sequence));
        }
        let is_whole = |sequence: u64, inventory: &Digest| {
            let mut volumes = self.seen.range((sequence, 0)..(sequence + 1, 0));
            volumes
                .next_back()
                .is_some_and(|(_, last)| last == inventory)
        };
        let is_gap = |sequence: &u64| {
            let row = exported.iter().find(|it| it.sequence == *sequence);
            row.is_none_or(|row| !is_whole(row.sequence, &row.inventory))
        };
        assert!(!is_gap(&newest), "the last export was not killed");
        let gaps: Vec<u64> = (1..=newest).filter(is_gap).collect();
        let is_begun = |gap: &&u64| self.seen.range((**gap, 0)..(**gap + 1, 0)).count() > 0;
        [gaps.len(), gaps.iter().filter(is_begun).count()]
    }

    /// A last export that nobody disturbs, and a watch that takes everything.
    fn finish(&mut self, runtime: &Runtime) -> [usize; 2] {
        self.export().run().assert_success();
        self.look(runtime);
        let usb = self.text("usb");
        airlift(&["container", "clean", &usb, "--older-than", "0s"]).assert_success();
        let left = super::files(&self.path("usb")).into_keys();
        let left: Vec<String> = left.filter(|name| !name.ends_with(".tar.zst")).collect();
        assert!(left.is_empty(), "{left:?}");
        let (target, state) = (format!("oci:{}", self.text("far")), self.text("far-state"));
        let arguments = [
            "watch", &usb, "--target", &target, "--trust", PUBLIC_KEY, "--state", &state, "--once",
        ];
        airlift(&arguments).assert_success();
        layouts::assert_sound(&self.path("far"));
        self.assert_newest_is_tagged();
        runtime.block_on(self.count_gaps())
    }

    fn assert_newest_is_tagged(&self) {
        let repository = "apps/web".parse().unwrap();
        let tag = "1.4".parse().unwrap();
        let newest = self.source.tag(&repository, &tag).unwrap().to_string();
        let index = std::fs::read(self.path("far/index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        let mut entries = index["manifests"].as_array().unwrap().iter();
        let tagged = entries.find(|entry| {
            entry["annotations"]["org.opencontainers.image.ref.name"] == "apps/web:1.4"
        });
        assert_eq!(tagged.unwrap()["digest"], newest);
    }
}

/// Waits for the change after so many others, or for its end.
fn await_changes(changes: &Changes, skipped: u64, running: &mut Running) {
    for _ in 0..=skipped {
        let mut has_changed = false;
        wait::until("a change, or its end", || {
            has_changed = changes.next(QUIET);
            has_changed || running.has_ended()
        });
        if !has_changed {
            return;
        }
    }
}

#[test]
fn a_pipeline_whose_exports_are_killed_at_any_time_never_forks() {
    let mut dice = Dice::new(first_seed());
    let runtime = Runtime::new().unwrap();
    // How much of each kind an export has, about: it follows the exports.
    let mut bounds: BTreeMap<Kind, u64> = KINDS.into_iter().zip([100_000, 20, 60, 40]).collect();
    let mut struck: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut gaps = [0; 2];
    while struck.values().sum::<usize>() < KILLS {
        let mut plant = Plant::new(dice.below(1 << 32));
        plant.move_tag();
        for _ in 0..KILLS_EACH {
            let kind = *dice.pick(&KINDS);
            let bound = bounds.get_mut(&kind).unwrap();
            let output = plant.export_and_kill(kind, dice.below(*bound));
            let is_struck = super::was_killed(&output);
            match is_struck {
                true => *bound += *bound / 20 + 1,
                false => *bound = (*bound * 9 / 10).max(1),
            }
            *struck.entry(kind).or_default() += usize::from(is_struck);
            plant.look(&runtime);
            // Often another image, sometimes the same again.
            if !dice.once_in(3) {
                plant.move_tag();
            }
        }
        let [all, begun] = plant.finish(&runtime);
        gaps = [gaps[0] + all, gaps[1] + begun];
    }
    eprintln!(
        "killed: {struck:?}; {} gaps, {} with volumes",
        gaps[0], gaps[1]
    );
}
