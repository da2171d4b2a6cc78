//! Imports into a registry that are killed: no tag is ever seen before its content, and after the next run
//! the registry holds what was exported.

use tempfile::TempDir;

use super::{KILLS, World, export, finish, import, kill_at_random_times, was_killed};
use crate::road::{credulous, references, source_of, without_tables};
use crate::support::artifacts::{Graph, Mix, arbitrary_graph_of};
use crate::support::command::Running;
use crate::support::registry::{Fault, Referrers, Registry, When};
use crate::support::snapshot::assert_same;

/// Two repositories, mounts, referrers and a cosign tag.
const GRAPH_SEED: u64 = 8;

struct Import {
    graph: Graph,
    container: TempDir,
    referrers: Referrers,
}

impl Import {
    fn new(referrers: Referrers) -> Self {
        let graph = arbitrary_graph_of(GRAPH_SEED, Mix::ALL.small());
        let source = source_of(&graph, Referrers::Served);
        let container = tempfile::tempdir().unwrap();
        export(&references(&source, &graph), container.path())
            .run()
            .assert_success();
        Self {
            graph,
            container,
            referrers,
        }
    }
}

impl World for Import {
    type Fresh = Registry;

    fn make(&self) -> Registry {
        credulous(self.referrers)
    }

    fn start(&self, target: &Registry) -> Running {
        import(self.container.path(), &target.address()).spawn()
    }

    fn check_interrupted(&self, target: &Registry) {
        target.assert_no_violation();
        assert_eq!(target.missing_content(), [""; 0]);
    }

    fn check_finished(&self, target: &Registry) {
        self.check_interrupted(target);
        let expected = self.graph.memory.snapshot();
        assert_same(&without_tables(&target.snapshot(), &expected), &expected);
    }
}

#[test]
fn an_import_into_a_registry_that_is_killed_at_any_time_is_repeated_safely() {
    kill_at_random_times(&Import::new(Referrers::Served), KILLS);
}

/// The target stops answering at each request in turn, and the import is killed there.
#[test]
fn an_import_into_a_registry_that_is_killed_at_any_request_is_repeated_safely() {
    let world = Import::new(Referrers::Unsupported);
    let rehearsal = world.make();
    finish(&world, &rehearsal);
    for before in 0..rehearsal.log().all().len() {
        let target = world.make();
        target.fault(When::any("/v2/").after(before).always(), Fault::Hang);
        let log = target.log();
        let output = world
            .start(&target)
            .kill_when(|| log.count("*", "/v2/") > before);
        assert!(was_killed(&output));
        world.check_interrupted(&target);
        target.heal();
        finish(&world, &target);
    }
}
