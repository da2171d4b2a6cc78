//! A run that is stopped anywhere is repeated safely: at every request in turn, in several ways.
//!
//! Every interruption is followed by a second run, which has to end as an undisturbed one: the same
//! content, the same bytes of the bundle, and no tag that was ever seen without its content.

use std::time::Duration;

use airlift::content::Result;

use super::Journey;
use super::journey::references;
use super::round_trip::{assert_arrived, source_of};
use crate::support::artifacts::{Graph, Mix, arbitrary_graph_of};
use crate::support::registry::{Fault, Referrers, Registry, RetryAfter, When};
use crate::support::wait;

/// Small, and still with two repositories, mounts, referrers and cosign tags between them.
const SEEDS: [u64; 2] = [8, 17];

#[derive(Clone, Copy, Debug)]
enum Interruption {
    /// One connection breaks before the request is carried out.
    Once,
    /// One request is carried out, and its reply lost.
    ReplyLost,
    /// One request is answered with 503.
    Busy,
    /// From here on nothing works.
    Outage,
    /// The process ends while this request is under way.
    Death,
}

impl Interruption {
    /// Strikes the request after the first `before`.
    fn prepare(self, registry: &Registry, before: usize) {
        let when = When::any("/v2/").after(before);
        match self {
            Self::Once => registry.fault(when, Fault::Cut),
            Self::ReplyLost => registry.fault(when, Fault::CutReply),
            Self::Busy => registry.fault(when, Fault::Busy(503, RetryAfter::Nothing)),
            Self::Outage => registry.fault(when.always(), Fault::Cut),
            Self::Death => registry.fault(when.always(), Fault::Hang),
        }
    }

    /// Runs `work`, and drops it in the middle where this is a death.
    async fn over<T>(
        self,
        registry: &Registry,
        before: usize,
        work: impl Future<Output = Result<T>>,
    ) -> Option<Result<T>> {
        let Self::Death = self else {
            return Some(work.await);
        };
        let has_hung = wait::true_in_time(|| registry.log().count("*", "/v2/") > before);
        tokio::select! {
            done = work => Some(done),
            () = has_hung => None,
        }
    }

    /// Whether a client with three attempts gets over it.
    fn is_survived(self) -> bool {
        matches!(self, Self::Once | Self::ReplyLost | Self::Busy)
    }
}

fn graph_of(seed: u64) -> Graph {
    eprintln!("seed {seed}");
    arbitrary_graph_of(seed, Mix::ALL.small())
}

/// A registry that takes any manifest, so that only the order of the import keeps its tags complete.
pub(crate) fn credulous(referrers: Referrers) -> Registry {
    Registry::with(|behaviour| {
        behaviour.referrers = referrers;
        behaviour.checks_blobs = false;
        behaviour.checks_children = false;
    })
}

/// The import of one bundle into an empty registry, stopped after `before` requests and repeated.
async fn stop_import(
    journey: &Journey,
    graph: &Graph,
    at_target: Referrers,
    interruption: Interruption,
    before: usize,
) {
    let target = credulous(at_target);
    interruption.prepare(&target, before);
    let address = target.address();
    let import = journey.import(&address);
    let ended = interruption.over(&target, before, import).await;
    let context = format!(
        "{interruption:?} after {before} requests: {}",
        target.log().lines()
    );
    match ended {
        Some(Ok(_)) => assert!(interruption.is_survived(), "{context}"),
        Some(Err(error)) => assert!(!interruption.is_survived(), "{error:?} {context}"),
        None => {}
    }
    target.assert_no_violation();
    assert_eq!(target.missing_content(), [""; 0], "{context}");
    target.heal();
    journey.import(&address).await.unwrap();
    assert_arrived(journey, graph, &target).await;
}

async fn stop_imports(at_target: Referrers, interruption: Interruption) {
    for seed in SEEDS {
        let graph = graph_of(seed);
        let source = source_of(&graph, Referrers::Served);
        let mut journey = Journey::new();
        journey.registry_options.timeouts.idle = Duration::from_secs(5);
        journey.export(&references(&source, &graph)).await.unwrap();
        let rehearsal = credulous(at_target);
        journey.import(&rehearsal.address()).await.unwrap();
        let requests = rehearsal.log().all().len();
        for before in 0..requests {
            stop_import(&journey, &graph, at_target, interruption, before).await;
        }
    }
}

macro_rules! imports_are_repeated {
    ($($name:ident: $interruption:ident, $at_target:ident;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            stop_imports(Referrers::$at_target, Interruption::$interruption).await;
        })*
    };
}

imports_are_repeated! {
    an_import_whose_connection_breaks: Once, Unsupported;
    an_import_that_misses_an_answer: ReplyLost, Unsupported;
    an_import_into_a_busy_registry: Busy, Unsupported;
    an_import_into_a_registry_that_fails: Outage, Unsupported;
    an_import_into_a_registry_with_referrers_that_fails: Outage, Served;
    an_import_that_dies: Death, Unsupported;
    an_import_that_dies_at_a_registry_with_referrers: Death, Served;
}

/// An export into an empty container, stopped after `before` requests to the source and repeated.
async fn stop_export(
    graph: &Graph,
    at_source: Referrers,
    interruption: Interruption,
    before: usize,
) {
    let source = source_of(graph, at_source);
    let undisturbed = Journey::new();
    let references = references(&source, graph);
    undisturbed.export(&references).await.unwrap();
    source.log().clear();
    let journey = Journey::new();
    interruption.prepare(&source, before);
    let ended = interruption
        .over(&source, before, journey.export(&references))
        .await;
    let context = format!(
        "{interruption:?} after {before} requests: {}",
        source.log().lines()
    );
    match ended {
        Some(Ok(_)) => assert!(interruption.is_survived(), "{context}"),
        Some(Err(error)) => assert!(!interruption.is_survived(), "{error:?} {context}"),
        None => {}
    }
    if !interruption.is_survived() {
        assert_eq!(journey.objects().keys().next(), None, "{context}");
    }
    source.heal();
    journey.export(&references).await.unwrap();
    assert!(journey.objects() == undisturbed.objects(), "{context}");
}

async fn stop_exports(at_source: Referrers, interruption: Interruption) {
    for seed in SEEDS {
        let graph = graph_of(seed);
        let source = source_of(&graph, at_source);
        Journey::new()
            .export(&references(&source, &graph))
            .await
            .unwrap();
        for before in 0..source.log().all().len() {
            Box::pin(stop_export(&graph, at_source, interruption, before)).await;
        }
    }
}

macro_rules! exports_are_repeated {
    ($($name:ident: $interruption:ident, $at_source:ident;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            stop_exports(Referrers::$at_source, Interruption::$interruption).await;
        })*
    };
}

exports_are_repeated! {
    an_export_whose_connection_breaks: Once, Served;
    an_export_from_a_busy_registry: Busy, Unsupported;
    an_export_from_a_registry_that_fails: Outage, Unsupported;
    an_export_that_dies: Death, Served;
}
