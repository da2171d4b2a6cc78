//! A dense export, and the import of a delta, that are stopped at any request and repeated.

use airlift::content::{Memory, Result};
use airlift::pipeline::{AssumedWithin, Replays};

use super::round_trip::one_off;
use super::world::{Thin, World};
use crate::bundle::road::files_in;
use crate::road::{credulous, references};
use crate::support::artifacts::{Graph, Mix, arbitrary_graph_of};
use crate::support::registry::{Fault, Referrers, Registry, When};
use crate::support::snapshot::assert_contains;
use crate::support::wait;

/// Small, and still with layers that are taken apart.
const SEED: u64 = 8;
/// Moments at which an export is stopped; most of its requests are like others.
const EXPORTS_STOPPED: usize = 6;

#[derive(Clone, Copy, Debug)]
enum Interruption {
    /// From here on nothing works.
    Outage,
    /// The process ends while this request is under way.
    Death,
}

impl Interruption {
    fn prepare(self, registry: &Registry, before: usize) {
        let when = When::any("/v2/").after(before).always();
        let fault = match self {
            Self::Outage => Fault::Cut,
            Self::Death => Fault::Hang,
        };
        registry.log().clear();
        registry.fault(when, fault);
    }

    /// Runs `work`, which has to fail, or drops it where this is a death.
    async fn over<T>(
        self,
        registry: &Registry,
        before: usize,
        work: impl Future<Output = Result<T>>,
    ) {
        self.prepare(registry, before);
        let is_asked = || registry.log().count("*", "/v2/") > before;
        let has_hung = async {
            match self {
                Self::Outage => std::future::pending().await,
                Self::Death => wait::true_in_time(is_asked).await,
            }
        };
        tokio::select! {
            // Who arrives first asks for more, so that the last requests may not come.
            done = work => assert!(done.is_err() || !is_asked(), "{self:?} after {before} requests"),
            () = has_hung => {},
        }
        registry.heal();
    }
}

fn graph(version: u64) -> Graph {
    arbitrary_graph_of(SEED, Mix::ALL.of_layers(version))
}

async fn stop_exports(interruption: Interruption) {
    let graph = graph(0);
    let world = World::new();
    world.source.seed(&graph.memory);
    let options = one_off(&world, &references(&world.source, &graph));
    world.export_with(&options).await.unwrap();
    let undisturbed = files_in(&world.usb());
    let requests = world.source.log().all().len();
    for before in (0..requests).step_by(requests / EXPORTS_STOPPED) {
        for name in world.objects() {
            std::fs::remove_file(world.usb().join(name)).unwrap();
        }
        let export = Box::pin(world.export_with(&options));
        interruption.over(&world.source, before, export).await;
        let visible = world.objects().into_iter();
        let visible: Vec<String> = visible.filter(|it| it.ends_with(".tar.zst")).collect();
        assert_eq!(visible, [""; 0], "{interruption:?} {before}");
        world.assert_spool_is_empty();
        world.export_with(&options).await.unwrap();
        assert!(
            files_in(&world.usb()) == undisturbed,
            "{interruption:?} {before}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dense_export_from_a_registry_that_fails() {
    Box::pin(stop_exports(Interruption::Outage)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dense_export_that_dies() {
    Box::pin(stop_exports(Interruption::Death)).await;
}

/// A registry that takes any manifest, with what the lane has brought before.
fn target_with(memory: &Memory) -> Registry {
    let target = credulous(Referrers::Served);
    target.seed(memory);
    target
}

async fn import_newest(world: &World) -> Result<()> {
    let mut options = world.import_options();
    options.assumed_within = AssumedWithin {
        listed: vec!["**".parse().unwrap()],
        ..AssumedWithin::default()
    };
    // The ledger knows targets by their address, and a new one may have the port of an old one.
    options.replays = Replays::Deliver;
    world.import_with(&world.newest(), &options).await.map(drop)
}

async fn stop_imports(interruption: Interruption) {
    let versions = [graph(0), graph(1)];
    let mut world = World::new();
    world.source.seed(&versions[0].memory);
    let old = references(&world.source, &versions[0]);
    world.travel(&old, Thin::Delta).await;
    world.source.seed(&versions[1].memory);
    let new = references(&world.source, &versions[1]);
    world.export(&new, Thin::Delta).await.unwrap();
    world.target = target_with(&versions[0].memory);
    import_newest(&world).await.unwrap();
    let requests = world.target.log().all().len();
    let expected = versions[1].memory.snapshot();
    for before in (0..requests).step_by(3) {
        world.target = target_with(&versions[0].memory);
        let import = Box::pin(import_newest(&world));
        interruption.over(&world.target, before, import).await;
        world.target.assert_no_violation();
        world.assert_spool_is_empty();
        import_newest(&world).await.unwrap();
        assert_contains(&world.target.snapshot(), &expected);
    }
    assert!(requests > 10, "{requests}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_import_of_a_delta_into_a_registry_that_fails() {
    Box::pin(stop_imports(Interruption::Outage)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_import_of_a_delta_that_dies() {
    Box::pin(stop_imports(Interruption::Death)).await;
}
