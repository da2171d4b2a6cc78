//! Registries that have something in them.

use airlift::content::Memory;

use super::Registry;
use crate::support::artifacts::image;

/// A registry with `apps/web:1.4`: one image whose three layers do not fit a volume of 200 kB.
pub(crate) fn registry_with_layers() -> Registry {
    let memory = Memory::new();
    let repository = "apps/web".parse().unwrap();
    let layers = [b'a', b'b', b'c'].map(|byte| vec![byte; 90_000]);
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let document = image(&memory, &repository, "amd64", &layers);
    memory.put_manifest(&repository, document, Some(&"1.4".parse().unwrap()));
    let registry = Registry::start();
    registry.seed(&memory);
    registry
}
