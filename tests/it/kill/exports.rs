//! Exports that are killed: the container holds whole objects and `.partial` files, and after the next run
//! only the whole ones, byte for byte those of an undisturbed run.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::{KILLS, World, export, files, finish, kill_at_random_times, was_killed};
use crate::road::{references, source_of};
use crate::support::artifacts::{Graph, Mix, arbitrary_graph_of};
use crate::support::command::Running;
use crate::support::registry::{Fault, Referrers, Registry, When};

/// Several repositories, and enough bytes for several volumes.
const GRAPH_SEED: u64 = 8;

struct Export {
    source: Registry,
    references: Vec<String>,
    /// What an undisturbed run leaves.
    objects: BTreeMap<String, Vec<u8>>,
    requests: usize,
}

impl Export {
    fn new() -> Self {
        let graph: Graph = arbitrary_graph_of(GRAPH_SEED, Mix::ALL.small());
        let source = source_of(&graph, Referrers::Served);
        let references = references(&source, &graph);
        let container = tempfile::tempdir().unwrap();
        export(&references, container.path()).run().assert_success();
        let objects = files(container.path());
        assert!(objects.len() > 2, "several volumes: {:?}", objects.keys());
        Self {
            requests: source.log().all().len(),
            source,
            references,
            objects,
        }
    }
}

impl World for Export {
    type Fresh = TempDir;

    fn make(&self) -> TempDir {
        tempfile::tempdir().unwrap()
    }

    fn start(&self, container: &TempDir) -> Running {
        export(&self.references, container.path()).spawn()
    }

    fn check_interrupted(&self, container: &TempDir) {
        for (name, bytes) in files(container.path()) {
            let is_whole = self.objects.get(&name) == Some(&bytes);
            assert!(
                is_whole || name.ends_with(".partial"),
                "`{name}` is not whole"
            );
        }
    }

    fn check_finished(&self, container: &TempDir) {
        let found = files(container.path());
        let names: Vec<_> = found.keys().collect();
        assert!(found == self.objects, "{names:?}");
    }
}

#[test]
fn an_export_that_is_killed_at_any_time_is_repeated_safely() {
    kill_at_random_times(&Export::new(), KILLS);
}

/// The source stops answering at each request in turn, and the export is killed there.
#[test]
fn an_export_that_is_killed_at_any_request_is_repeated_safely() {
    let world = Export::new();
    for before in 0..world.requests {
        world.source.log().clear();
        let container = world.make();
        world
            .source
            .fault(When::any("/v2/").after(before).always(), Fault::Hang);
        let log = world.source.log();
        let output = world
            .start(&container)
            .kill_when(|| log.count("*", "/v2/") > before);
        assert!(was_killed(&output));
        world.check_interrupted(&container);
        world.source.heal();
        finish(&world, &container);
    }
}
