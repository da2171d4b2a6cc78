//! Import of export of G is G: dense by itself, and against a target that has the version before.

use std::path::Path;

use airlift::bundle::{Inventory, Profile};
use airlift::content::ErrorKind;
use airlift::oci::Digest;
use airlift::pipeline::{ExportOptions, open_volumes};

use super::world::{Thin, World};
use crate::bundle::road::{files_in, verify};
use crate::road::{Journey, references, trust, without_tables};
use crate::support::artifacts::{Graph, Mix, arbitrary_graph_of};
use crate::support::containers::places;
use crate::support::snapshot::{assert_contains, assert_same};

const GRAPHS: u64 = 12;
const VERSIONS: u64 = 6;
/// Several volumes for most graphs.
const VOLUME_BYTES: u64 = 120_000;

/// What the bundles of many graphs were made of, so that a test that tests nothing is noticed.
#[derive(Debug, Default)]
struct Made {
    rebuilt: usize,
    with_references: usize,
    across_bundles: usize,
    assumed: usize,
    carried: usize,
}

impl Made {
    fn add(&mut self, inventory: &Inventory) {
        let is_assumed =
            |digest: &Digest| inventory.assumed.iter().any(|row| row.digest == *digest);
        self.rebuilt += inventory.rebuilt.len();
        self.assumed += inventory.assumed.len();
        self.carried += inventory.contents.len();
        for row in &inventory.rebuilt {
            self.with_references += usize::from(!row.references.is_empty());
            self.across_bundles += usize::from(row.references.iter().any(is_assumed));
        }
    }
}

/// Inventories of the volumes, the last of each bundle last.
async fn inventories(path: &Path) -> Vec<Inventory> {
    let (volumes, refused) = open_volumes(&places(path).await.unwrap(), &trust())
        .await
        .unwrap();
    assert!(refused.is_empty(), "{}", refused[0].name);
    let inventories = volumes.iter().map(|volume| volume.inventory().clone());
    inventories.collect()
}

/// A dense bundle that belongs to no pipeline.
pub(super) fn one_off(world: &World, references: &[String]) -> ExportOptions {
    ExportOptions {
        profile: Profile::Dense,
        thinning: world.thinning(Thin::Dense),
        ..Journey::export_options(references)
    }
}

async fn assert_sound(path: &Path) {
    for verification in verify(path, &trust()).await.unwrap() {
        assert_eq!(verification.faults, []);
        assert_eq!(verification.frames_not_made_again, 0);
    }
}

fn assert_arrived(world: &World, graph: &Graph) {
    let expected = graph.memory.snapshot();
    world.target.assert_no_violation();
    assert_eq!(world.target.missing_content(), [""; 0], "{graph:?}");
    assert_same(
        &without_tables(&world.target.snapshot(), &expected),
        &expected,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_exported_densely_comes_back() {
    let mut made = Made::default();
    for seed in 0..GRAPHS {
        eprintln!("seed {seed}");
        let graph = arbitrary_graph_of(seed, Mix::ALL.of_layers(0));
        let world = World::new();
        world.source.seed(&graph.memory);
        let mut options = one_off(&world, &references(&world.source, &graph));
        options.volume_size = (seed % 2 == 1).then_some(VOLUME_BYTES);
        match world.export_with(&options).await {
            // Manifests alone are larger than such a volume.
            Err(error) if error.kind() == ErrorKind::Refused => continue,
            exported => drop(exported.unwrap()),
        }
        world.assert_spool_is_empty();
        assert_sound(&world.usb()).await;
        for inventory in inventories(&world.usb()).await {
            made.add(&inventory);
        }
        world.import().await.unwrap();
        world.assert_spool_is_empty();
        assert_arrived(&world, &graph);
    }
    eprintln!("{made:?}");
    assert!(made.rebuilt > 4 && made.with_references > 0, "{made:?}");
}

/// The first version travels whole, and the second one as `thin` says.
async fn two_versions(seed: u64, first: Thin, second: Thin, made: &mut Made) {
    eprintln!("seed {seed}, {first:?}, {second:?}");
    let versions = [0, 1].map(|version| arbitrary_graph_of(seed, Mix::ALL.of_layers(version)));
    let world = World::new();
    for (graph, thin) in versions.iter().zip([first, second]) {
        world.source.seed(&graph.memory);
        let mut options = world.options(&references(&world.source, graph), thin);
        options.volume_size = (seed % 3 == 2).then_some(VOLUME_BYTES);
        if seed % 2 == 1 && options.thinning.dense.is_none() {
            options.profile = Profile::Guard;
        }
        world.export_with(&options).await.unwrap();
        world.import().await.unwrap();
        world.bring_receipts(&world.receipts()).await.unwrap();
        assert_sound(&world.usb()).await;
        world.target.assert_no_violation();
        assert_eq!(world.target.missing_content(), [""; 0], "{graph:?}");
        let expected = graph.memory.snapshot();
        let found = without_tables(&world.target.snapshot(), &expected);
        assert_contains(&found, &expected);
    }
    let all = inventories(&world.usb()).await;
    let last = all.iter().max_by_key(|it| (it.sequence, it.volume));
    made.add(last.unwrap());
    world.assert_spool_is_empty();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_version_comes_as_a_delta() {
    let mut made = Made::default();
    for seed in 0..VERSIONS {
        let first = match seed % 2 {
            0 => Thin::Dense,
            _ => Thin::Delta,
        };
        two_versions(seed, first, Thin::Delta, &mut made).await;
    }
    eprintln!("{made:?}");
    assert!(made.across_bundles > 3 && made.assumed > 5, "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_version_comes_without_what_is_there() {
    let mut made = Made::default();
    for seed in 0..VERSIONS {
        two_versions(seed, Thin::Incremental, Thin::Incremental, &mut made).await;
    }
    eprintln!("{made:?}");
    assert!(made.assumed > 5 && made.rebuilt == 0, "{made:?}");
}

/// A bundle that has something to assume is of version 2, and every other one is what it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_nothing_of_version_2_is_of_version_1() {
    let graph = arbitrary_graph_of(3, Mix::ALL.of_layers(0));
    let world = World::new();
    world.source.seed(&graph.memory);
    let references = references(&world.source, &graph);
    world.export(&references, Thin::Incremental).await.unwrap();
    let first = inventories(&world.newest()).await.remove(0);
    assert_eq!(first.media_type, airlift::bundle::MEDIA_TYPE);
    assert!(first.assumed.is_empty());
}

/// What is known and what is planned decide the bytes; neither time nor order does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bytes_of_a_dense_bundle_are_the_same_again() {
    for seed in 0..2 {
        let graph = arbitrary_graph_of(seed, Mix::ALL.of_layers(0));
        let world = World::new();
        world.source.seed(&graph.memory);
        let options = one_off(&world, &references(&world.source, &graph));
        world.export_with(&options).await.unwrap();
        let first = files_in(&world.usb());
        for (name, _) in &first {
            std::fs::remove_file(world.usb().join(name)).unwrap();
        }
        world.export_with(&options).await.unwrap();
        assert!(files_in(&world.usb()) == first, "{graph:?}: other bytes");
    }
}
