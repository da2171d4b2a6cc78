//! Contents that are read more than once, deeply, or without end.

use std::io::Write;

use airlift::content::Memory;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::world::{Thin, World};
use crate::support::artifacts::{Dice, image};
use crate::support::registry::{Fault, Registry, When};

/// Gzip by zlib that starts a new block at `cut`.
fn gzip(plain: &[u8], cut: Option<usize>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    let (head, tail) = plain.split_at(cut.unwrap_or(0));
    encoder.write_all(head).unwrap();
    if cut.is_some() {
        encoder.flush().unwrap();
    }
    encoder.write_all(tail).unwrap();
    encoder.finish().unwrap()
}

fn seed(registry: &Registry, layers: &[&[u8]]) {
    let memory = Memory::new();
    let repository = "apps/web".parse().unwrap();
    let document = image(&memory, &repository, "amd64", layers);
    memory.put_manifest(&repository, document, Some(&"1".parse().unwrap()));
    registry.seed(&memory);
}

/// The first reading begins as the layer does; its encoder is refuted late, and the layer is read again. What of it is
/// plain text of which reading must not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_that_changes_between_two_readings_is_not_taken_apart_from_both() {
    let world = World::new();
    let noise = Dice::new(30).noise(6 << 20);
    let hex: String = noise.iter().map(|byte| format!("{byte:02x}")).collect();
    let plain = hex.into_bytes();
    let layer = gzip(&plain, None);
    let mut other = plain.clone();
    other[plain.len() * 3 / 4] = b'Z';
    let mut changed = gzip(&other, Some(plain.len() * 9 / 10));
    changed.resize(layer.len(), 0);
    seed(&world.source, &[&layer]);
    let blob = format!("/blobs/{}", airlift::oci::Digest::sha256(&layer));
    let first = When::get(&blob);
    world.source.fault(first, Fault::Body(changed.into()));
    let references = [format!("{}/apps/web:1", world.source.address())];
    world.export(&references, Thin::Dense).await.unwrap();
    assert!(world.source.log().count("GET", &blob) > 1);
    world.import_newest().await.unwrap();
    assert_eq!(world.target.missing_content(), [""; 0]);
}

/// Each layer has half of its bytes from the one before. References may lead back any number of times.
#[test]
fn a_long_chain_of_references_needs_no_deep_stack() {
    let half = |number: u64| Dice::new(number).noise(6_000);
    let layers: Vec<Vec<u8>> = (0..250)
        .map(|number| gzip(&[half(number), half(number + 1)].concat(), None))
        .collect();
    let layers: Vec<&[u8]> = layers.iter().map(|it| &**it).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::new();
        seed(&world.source, &layers);
        let references = [format!("{}/apps/web:1", world.source.address())];
        world.export(&references, Thin::Dense).await.unwrap();
        world.import_newest().await.unwrap();
        assert_eq!(world.target.missing_content(), [""; 0]);
        assert_eq!(world.target.snapshot().0, world.source.snapshot().0);
    });
}
