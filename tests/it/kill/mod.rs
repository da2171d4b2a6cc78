//! SIGKILL at any moment: two hundred for each command, at random times and at every request. The real
//! binary is killed, run again, and must end where an undisturbed run ends.
//!
//! Times are drawn from a seed that is printed; `AIRLIFT_TEST_SEED` brings another one. What a moment meets
//! depends on the machine, so at every request a registry that never answers makes it exact.

mod dense;
mod exports;
pub(crate) mod layouts;
pub(crate) mod moment;
mod pipelines;
mod registries;
mod transfers;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::command::{Airlift, Output, Running};

/// Kills that must have struck a running process, for each command.
const KILLS: usize = 200;
/// Runs that end before they are killed do not count; there must not be many of them.
const TRIES_MAX: u64 = 400;
const KEY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/keys/snakeoil-ed25519"
);
const PUBLIC_KEY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/fixtures/keys/snakeoil-ed25519.pub"
);

/// A command and the world that it changes.
trait World {
    /// Everything as it was before the first run.
    fn make(&self) -> Self::Fresh;
    type Fresh;

    fn start(&self, fresh: &Self::Fresh) -> Running;

    /// What must hold whenever nobody is at work, finished or not.
    fn check_interrupted(&self, fresh: &Self::Fresh);

    /// What must hold after a run that was not killed.
    fn check_finished(&self, fresh: &Self::Fresh);
}

pub(crate) fn first_seed() -> u64 {
    let seed = std::env::var("AIRLIFT_TEST_SEED").ok();
    let seed = seed.map_or(1, |text| text.parse().expect("a number"));
    eprintln!("AIRLIFT_TEST_SEED={seed}");
    seed
}

/// How long an undisturbed run takes.
fn measure<W: World>(world: &W) -> Duration {
    let fresh = world.make();
    let begun = Instant::now();
    world.start(&fresh).output().assert_success();
    let duration = begun.elapsed();
    world.check_finished(&fresh);
    duration
}

/// Kills at random times, one to three times in a row in the same place, until enough have struck.
fn kill_at_random_times<W: World>(world: &W, kills: usize) {
    let seed = first_seed();
    // The machine's mood changes: the bound follows the runs that were too fast for it.
    let mut bound = measure(world);
    let mut struck = 0;
    for world_number in 0.. {
        let fresh = world.make();
        for attempt in 0..=world_number % 3 {
            let moment = seed ^ (world_number << 8 | attempt) << 20;
            let output = world.start(&fresh).kill_by_seed(moment, bound);
            let is_struck = was_killed(&output);
            struck += usize::from(is_struck);
            bound = bound.mul_f64(if is_struck { 1.05 } else { 0.9 });
            world.check_interrupted(&fresh);
        }
        finish(world, &fresh);
        if struck >= kills {
            return;
        }
        assert!(
            world_number < TRIES_MAX,
            "only {struck} were killed, within {bound:?}"
        );
    }
}

/// Runs to the end, and looks.
fn finish<W: World>(world: &W, fresh: &W::Fresh) {
    world.start(fresh).output().assert_success();
    world.check_finished(fresh);
}

/// A run that ended by itself must have ended well.
fn was_killed(output: &Output) -> bool {
    if !output.was_killed() {
        output.assert_success();
    }
    output.was_killed()
}

fn export(references: &[String], container: &Path) -> Airlift {
    let mut arguments = vec!["export"];
    arguments.extend(references.iter().map(String::as_str));
    let container = container.to_str().expect("a path in UTF-8");
    arguments.extend(["--container", container, "--sign-key", KEY]);
    arguments.extend(["--volume-size", "68KiB"]);
    Airlift::new(&arguments).env("SOURCE_DATE_EPOCH", "1700000000")
}

fn import(container: &Path, target: &str) -> Airlift {
    let container = container.to_str().expect("a path in UTF-8");
    let arguments = [
        "import", container, "--target", target, "--trust", PUBLIC_KEY,
    ];
    Airlift::new(&arguments)
}

/// All files below a directory by their path in it.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap();
                let name = name.to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}
