//! The places beside memory: registries, layouts and bundles, each empty or filled for the suite.

use std::sync::Arc;

use airlift::bundle::Bundle;
use airlift::layout::Layout;
use airlift::pipeline::open_bundles;
use airlift::registry::Registry as Client;

use super::place::{Capabilities, Place, Reading, Samples};
use crate::road::{Journey, trust};
use crate::support::containers::places;
use crate::support::real::DockerRegistry;
use crate::support::registry::{Referrers, Registry};

fn client_of(address: &str) -> Arc<Client> {
    let connections = Journey::new().connections();
    Arc::new(connections.registry(address).unwrap())
}

fn fake(referrers: Referrers) -> Place {
    let registry = Registry::with(|behaviour| behaviour.referrers = referrers);
    let client = client_of(&registry.address());
    Place {
        source: client.clone(),
        target: client,
        capabilities: Capabilities::ALL,
        keep: Box::new(registry),
    }
}

pub(super) async fn fake_registry() -> Option<Place> {
    Some(fake(Referrers::Served))
}

pub(super) async fn fake_registry_without_referrers() -> Option<Place> {
    Some(fake(Referrers::Unsupported))
}

/// Debian's, which has no referrers API and refuses manifests addressed by SHA-512.
pub(super) async fn docker_registry() -> Option<Place> {
    let registry = DockerRegistry::start_or_skip()?;
    let client = client_of(&registry.address());
    Some(Place {
        source: client.clone(),
        target: client,
        capabilities: Capabilities {
            sha512_manifests: false,
            ..Capabilities::ALL
        },
        keep: Box::new(registry),
    })
}

/// One directory for all repositories, so content that one has is content that all have.
pub(super) async fn layout() -> Option<Place> {
    let directory = tempfile::tempdir().unwrap();
    let layout = Arc::new(Layout::create(directory.path()).unwrap());
    Some(Place {
        source: layout.clone(),
        target: layout,
        capabilities: Capabilities {
            mounts: false,
            separate_repositories: false,
            ..Capabilities::ALL
        },
        keep: Box::new(directory),
    })
}

/// Exported from a registry that holds the samples.
pub(super) async fn bundle(samples: Samples) -> Option<Reading> {
    let (bundle, journey) = bundle_of(&samples, None).await;
    Some(reading(samples, bundle, journey))
}

/// The same in small volumes, so that a blob has parts.
pub(super) async fn bundle_of_volumes(samples: Samples) -> Option<Reading> {
    let (bundle, journey) = bundle_of(&samples, Some(68 << 10)).await;
    assert!(bundle.volumes().len() > 1);
    Some(reading(samples, bundle, journey))
}

fn reading(samples: Samples, bundle: Bundle, journey: Journey) -> Reading {
    Reading {
        source: Arc::new(bundle),
        samples,
        capabilities: Capabilities::ALL,
        keep: Box::new(journey),
    }
}

async fn bundle_of(samples: &Samples, volume_size: Option<u64>) -> (Bundle, Journey) {
    let registry = Registry::start();
    registry.seed(&samples.memory);
    let address = registry.address();
    let tags = samples.tags.iter();
    let tags = tags.map(|(repository, tag, _)| format!("{address}/{repository}:{tag}"));
    let digests = samples.manifests.iter();
    let digests = digests.map(|(repository, document)| {
        format!("{address}/{repository}@{}", document.descriptor.digest)
    });
    let references: Vec<String> = tags.chain(digests).collect();
    let journey = Journey::new();
    let mut options = Journey::export_options(&references);
    options.volume_size = volume_size;
    journey.export_with(&options).await.unwrap();
    let container = places(journey.container.path()).await.unwrap();
    let mut opened = open_bundles(&container, &trust()).await.unwrap();
    assert_eq!(opened.len(), 1);
    (opened.remove(0).bundle, journey)
}
