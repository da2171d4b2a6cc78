//! A daemon that is killed and started again, while volumes arrive, until it was killed often enough.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::far::{Far, Kind};
use super::supply::Supply;
use crate::kill::moment::Changes;
use crate::support::artifacts::Dice;
use crate::support::command::Running;
use crate::support::registry::{Fault, When};
use crate::support::wait;
use crate::watch::Station;
use crate::watch::process::{terminate, watch};

/// Volumes that are there before the work that the kills are spread over: there is always something to do.
const LEAD: usize = 8;
/// How long no change means to look whether there is still work.
const QUIET: Duration = Duration::from_millis(20);

pub(super) struct Lives<'a> {
    station: &'a Station,
    supply: &'a Supply,
    far: &'a Far,
    dice: Dice,
    /// Volumes that are still to come, the next one last.
    coming: Vec<String>,
    arrived: BTreeSet<String>,
    /// How much of each kind a life has, about: it follows the lives.
    bounds: BTreeMap<Kind, u64>,
    struck: BTreeMap<Kind, usize>,
}

impl<'a> Lives<'a> {
    pub(super) fn new(station: &'a Station, supply: &'a Supply, far: &'a Far, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut coming = supply.arrivals(&mut dice);
        coming.reverse();
        Self {
            station,
            supply,
            far,
            dice,
            coming,
            arrived: BTreeSet::new(),
            bounds: far.kinds(),
            struck: BTreeMap::new(),
        }
    }

    fn kills(&self) -> usize {
        self.struck.values().sum()
    }

    /// Kills so often while it was at work; what found it idle does not count.
    pub(super) fn kill(&mut self, kills: usize) {
        let volumes = self.coming.len();
        for tries in 0.. {
            if self.kills() >= kills {
                break;
            }
            assert!(tries < 6 * kills, "only {:?} of {tries}", self.struck);
            let due = volumes * (self.kills() + 1) / kills + LEAD;
            self.live(due.saturating_sub(self.arrived.len()));
            self.far.assert_sound(self.station);
        }
        eprintln!("killed: {:?}", self.struck);
    }

    /// One life, in which so many volumes arrive.
    fn live(&mut self, arriving: usize) {
        let kinds: Vec<Kind> = self.bounds.keys().copied().collect();
        let kind = *self.dice.pick(&kinds);
        let moment = self.dice.below(self.bounds[&kind]);
        let changes = kind.changes(self.station);
        if let (Kind::Request, Far::Registry(registry)) = (kind, self.far) {
            let skipped = usize::try_from(moment).unwrap();
            registry.log().clear();
            registry.fault(When::any("/v2/").after(skipped).always(), Fault::Hang);
        }
        let before = self.dice.index(arriving + 1);
        self.bring(before);
        if arriving == 0 {
            self.bring_again();
        }
        let running = self.start();
        self.bring(arriving - before);
        let is_struck = self.await_moment(kind, moment, changes.as_ref(), &running);
        let output = running.kill();
        assert!(output.was_killed(), "it ended by itself: {output:?}");
        if let Far::Registry(registry) = self.far {
            registry.heal();
        }
        let bound = self.bounds.get_mut(&kind).expect("one of its keys");
        match is_struck {
            true => *bound += *bound / 20 + 1,
            false => *bound = (*bound * 9 / 10).max(1),
        }
        *self.struck.entry(kind).or_default() += usize::from(is_struck);
    }

    fn bring(&mut self, count: usize) {
        for _ in 0..count {
            let Some(name) = self.coming.pop() else {
                return;
            };
            self.station.bring(&name);
            self.arrived.insert(name);
        }
    }

    /// Brings a bundle once more that was delivered and removed: there is something to do again.
    fn bring_again(&mut self) {
        let drop = self.station.path("drop");
        let is_gone = |volumes: &&Vec<String>| volumes.iter().all(|name| !drop.join(name).exists());
        let gone: Vec<&Vec<String>> = self.complete().filter(is_gone).collect();
        if !gone.is_empty() {
            for name in *self.dice.pick(&gone) {
                self.station.bring(name);
            }
        }
    }

    /// Bundles of which every volume has arrived.
    fn complete(&self) -> impl Iterator<Item = &'a Vec<String>> {
        let bundles = self.supply.bundles.iter();
        bundles.filter(|volumes| volumes.iter().all(|name| self.arrived.contains(name)))
    }

    fn start(&self) -> Running {
        let target = self.far.target(self.station);
        watch(self.station, &target, self.far.options()).spawn()
    }

    /// Waits for the moment to kill it. Says whether that found it at work.
    fn await_moment(
        &self,
        kind: Kind,
        moment: u64,
        changes: Option<&Changes>,
        running: &Running,
    ) -> bool {
        let is_idle = || self.is_idle(running);
        if let Some(changes) = changes {
            return (0..=moment).all(|_| await_change(changes, is_idle));
        }
        let Far::Registry(registry) = self.far else {
            return self.await_time(moment, running);
        };
        if kind == Kind::Time {
            return self.await_time(moment, running);
        }
        let is_asked = || registry.log().count("*", "/v2/") as u64 > moment;
        wait::until("its request", || is_asked() || is_idle());
        is_asked()
    }

    fn await_time(&self, micros: u64, running: &Running) -> bool {
        let is_idle = wait::within(Duration::from_micros(micros), || self.is_idle(running));
        !is_idle && !self.is_idle(running)
    }

    /// Whether everything that is complete was delivered.
    fn is_idle(&self, running: &Running) -> bool {
        let complete = self.complete();
        match self.far {
            Far::Registry(_) => {
                let told = running.stdout();
                let is_end =
                    |line: &&str| line.contains(": imported:") || line.contains("nothing to do");
                told.lines().filter(is_end).count() >= complete.count()
            }
            Far::Layout => {
                let drop = self.station.path("drop");
                let mut volumes = complete.flatten();
                volumes.all(|name| !drop.join(name).exists())
            }
        }
    }

    /// Lets the rest arrive, and the last daemon do all that is left.
    pub(super) fn finish(mut self) {
        self.bring(self.coming.len());
        let running = self.start();
        // Before it is ready a signal ends it as it ends anything.
        let is_ready = || running.stdout().contains(" watching ");
        let is_done = wait::within(4 * wait::PATIENCE, || is_ready() && self.is_idle(&running));
        assert!(is_done, "it is not done: {}", running.stdout());
        terminate(&running);
        running.output().assert_success().assert_stdout("stopped\n");
        self.far.assert_sound(self.station);
    }
}

/// Waits for the next change. False: there is nothing left to do.
fn await_change(changes: &Changes, is_idle: impl Fn() -> bool) -> bool {
    let end = Instant::now() + wait::PATIENCE;
    loop {
        if changes.next(QUIET) {
            return true;
        }
        if is_idle() {
            return false;
        }
        assert!(
            Instant::now() < end,
            "neither a change nor an end of the work"
        );
    }
}
