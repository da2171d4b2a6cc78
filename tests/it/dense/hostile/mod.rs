//! Signed bundles of version 2 that somebody has made to harm: each is refused by a named limit or rule, in little time
//! and memory, and nothing of it is published.

mod copies;
mod numbers;
mod recipes;
mod recompressions;
mod rows;
mod segments;

use std::fs;
use std::path::Path;
use std::time::Duration;

use airlift::bundle::{AssumedRow, RebuiltRow};
use airlift::content::{ErrorKind, Result, describe};
use airlift::oci::Digest;
use airlift::pipeline::{
    AssumedWithin, Connections, ImportOptions, Tailoring, TargetReference, open_bundles,
    plan_import, run_import,
};
use tempfile::{TempDir, tempdir};
use tokio::time::timeout;

use super::parts::{OWN, Parts, old_image};
use crate::bundle::road::{created, trust};
use crate::hostile::forge::Forge;
use crate::road::Journey;
use crate::support::containers::places;

const KEY: &str = "snakeoil-p256";
/// None of them has a reason to take longer, on any machine.
const TIME_MAX: Duration = Duration::from_secs(20);
/// What a whole group may need, the making of the bundles included.
const MEMORY_MAX_BYTES: u64 = 200 << 20;

/// One way to harm an importer.
struct Attack {
    name: &'static str,
    /// Changes what layers are made from.
    parts: fn(&mut Parts),
    /// Changes what the signed inventory says, and the contents.
    forge: fn(&mut Forge),
}

const fn in_parts(name: &'static str, parts: fn(&mut Parts)) -> Attack {
    let forge = |_: &mut Forge| {};
    Attack { name, parts, forge }
}

const fn in_inventory(name: &'static str, forge: fn(&mut Forge)) -> Attack {
    let parts = |_: &mut Parts| {};
    Attack { name, parts, forge }
}

impl Attack {
    fn bundle(&self) -> Vec<u8> {
        let mut parts = Parts::new();
        (self.parts)(&mut parts);
        let mut forge = parts.forge();
        (self.forge)(&mut forge);
        forge.write(&[KEY])
    }
}

/// A layout that has the base, and room for bundles beside it.
struct Far {
    home: TempDir,
}

impl Far {
    async fn new() -> Self {
        let far = Self {
            home: tempdir().unwrap(),
        };
        far.import(old_image().write(&[KEY])).await.unwrap();
        far
    }

    fn layout(&self) -> std::path::PathBuf {
        self.home.path().join("layout")
    }

    fn index(&self) -> String {
        fs::read_to_string(self.layout().join("index.json")).unwrap()
    }

    async fn import(&self, bundle: Vec<u8>) -> Result<()> {
        let file = self.home.path().join("bundle.tar.zst");
        fs::write(&file, bundle).unwrap();
        self.import_file(&file).await
    }

    async fn import_file(&self, file: &Path) -> Result<()> {
        let opened = open_bundles(&places(file).await?, &trust(&[KEY])).await?;
        let target = TargetReference::Layout {
            path: self.layout(),
        };
        let journey = Journey::new();
        let mut options = ImportOptions {
            spool: self.home.path().join("spool"),
            assumed_within: AssumedWithin {
                listed: vec!["**".parse().unwrap()],
                ..AssumedWithin::default()
            },
            ..journey.import_options()
        };
        options.rules.now = created();
        // One after the other, so that the first thing that is wrong is the one that is told.
        options.copy.concurrency = 1;
        let plans = plan_import(opened, &target, &options.rules, &Tailoring::default()).await?;
        let place = Connections::new(journey.registry_options.clone())
            .target(&target)
            .await?;
        for plan in &plans {
            run_import(plan, &place, &options).await?;
        }
        Ok(())
    }

    /// Imports what has to be refused.
    async fn refuse(&self, attack: &Attack) -> (ErrorKind, String) {
        let before = self.index();
        let imported = timeout(TIME_MAX, self.import(attack.bundle())).await;
        let imported = imported.unwrap_or_else(|_| panic!("{}: it does not end", attack.name));
        let error = match imported {
            Ok(()) => panic!("{}: it was imported", attack.name),
            Err(error) => error,
        };
        assert_eq!(self.index(), before, "{} has published", attack.name);
        let spool = self.home.path().join("spool");
        if spool.is_dir() {
            assert_eq!(crate::bundle::road::names_in(&spool), [""; 0]);
        }
        let home = self.home.path().display().to_string();
        (error.kind(), describe(&error).replace(&home, "HOME"))
    }
}

/// What is said of each of them is in the snapshot; all of it is the bundle's fault.
fn check_group(group: &str, attacks: &[Attack]) {
    let runtime = crate::bundle::round_trip::runtime();
    let mut said = String::new();
    let mut blamed = Vec::new();
    for attack in attacks {
        let (kind, told) = runtime.block_on(async { Far::new().await.refuse(attack).await });
        if kind != ErrorKind::Unverified {
            blamed.push(format!("{}: {kind:?}: {told}", attack.name));
        }
        said.push_str(&format!("== {}\n{told}\n\n", attack.name));
    }
    assert!(
        blamed.is_empty(),
        "somebody else is blamed:\n{}",
        blamed.join("\n")
    );
    insta::assert_snapshot!(group, said);
}

/// The most memory that this process has had.
fn memory_peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u64>().unwrap() * 1024
}

/// What all attacks are made from is a good bundle; otherwise their refusal would say nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_attack_it_is_delivered() {
    let far = Far::new().await;
    far.import(Parts::new().forge().write(&[KEY]))
        .await
        .unwrap();
    assert!(far.index().contains("apps/web:1.4"), "{}", far.index());
    let parts = Parts::new();
    for layer in [&parts.first.layer, &parts.second.layer] {
        let digest = Digest::sha256(layer);
        let path = far.layout().join("blobs/sha256").join(digest.hex());
        assert_eq!(fs::read(path).unwrap(), *layer);
    }
}

/// A frame with a window of 1 MiB that states 1000 bytes, and decodes to as many blocks of 128 KiB.
fn lying_bomb(blocks: usize) -> Vec<u8> {
    // No single segment, two bytes of content size, which begin at 256.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x40, 0x50];
    frame.extend((u16::try_from(OWN).unwrap() - 256).to_le_bytes());
    for number in 1..=blocks {
        let header = (128_u32 << 10) << 3 | 1 << 1 | u32::from(number == blocks);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(b'a');
    }
    frame
}

/// A skippable frame, which says nothing.
fn skippable() -> Vec<u8> {
    [
        &0x184d_2a50_u32.to_le_bytes()[..],
        &4_u32.to_le_bytes(),
        b"more",
    ]
    .concat()
}

fn first(forge: &mut Forge) -> &mut RebuiltRow {
    &mut forge.inventory.rebuilt[0]
}

fn second(forge: &mut Forge) -> &mut RebuiltRow {
    &mut forge.inventory.rebuilt[1]
}

fn assumed(forge: &mut Forge) -> &mut AssumedRow {
    &mut forge.inventory.assumed[0]
}

#[test]
fn recipes_that_lead_out_of_what_is_there() {
    check_group("copies", copies::ATTACKS);
    assert!(memory_peak_bytes() < MEMORY_MAX_BYTES);
}

#[test]
fn segments_that_expand_or_lie() {
    check_group("segments", segments::ATTACKS);
}

#[test]
fn recompressions_that_cannot_be_followed() {
    check_group("recompressions", recompressions::ATTACKS);
    assert!(memory_peak_bytes() < MEMORY_MAX_BYTES);
}

#[test]
fn recipes_that_are_none() {
    check_group("recipes", recipes::ATTACKS);
}

#[test]
fn rows_that_lead_in_circles_or_nowhere() {
    check_group("rows", rows::ATTACKS);
    assert!(memory_peak_bytes() < MEMORY_MAX_BYTES);
}

#[test]
fn numbers_and_versions_that_lie() {
    check_group("numbers", numbers::ATTACKS);
    assert!(memory_peak_bytes() < MEMORY_MAX_BYTES);
}
