//! What random graphs may contain. A place that refuses something is tested with a mix without it.

/// Each field allows one kind of content.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "every field is one ingredient, left out by name"
)]
pub(crate) struct Mix {
    pub(crate) sha512_blobs: bool,
    pub(crate) sha512_manifests: bool,
    /// Layers with `urls`, held by the registry or not.
    pub(crate) foreign_layers: bool,
    /// Artifacts whose subject does not exist.
    pub(crate) missing_subjects: bool,
    pub(crate) docker_types: bool,
    /// Manifests without config or layers, as other artifacts have them.
    pub(crate) bare_manifests: bool,
    pub(crate) empty_indexes: bool,
    /// Manifests that do not say their media type.
    pub(crate) silent_types: bool,
    /// Now and then a blob of 9 MiB.
    pub(crate) large_blobs: bool,
    pub(crate) blobs: BlobBytes,
}

/// What blobs consist of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BlobBytes {
    Anything,
    /// Layers, all in this version: graphs of one seed differ in nothing else.
    Layers {
        version: u64,
    },
}

impl Mix {
    /// Everything that the specifications allow.
    pub(crate) const ALL: Self = Self {
        sha512_blobs: true,
        sha512_manifests: true,
        foreign_layers: true,
        missing_subjects: true,
        docker_types: true,
        bare_manifests: true,
        empty_indexes: true,
        silent_types: true,
        large_blobs: true,
        blobs: BlobBytes::Anything,
    };

    /// What Debian's `docker-registry` 2.8.2 takes.
    pub(crate) const DOCKER_REGISTRY: Self = Self {
        sha512_manifests: false,
        ..Self::ALL
    };

    /// The same without large blobs, for tests that try many graphs.
    pub(crate) const fn small(self) -> Self {
        Self {
            large_blobs: false,
            ..self
        }
    }

    /// The same with layers that can be taken apart, or that look like it.
    pub(crate) const fn of_layers(self, version: u64) -> Self {
        Self {
            large_blobs: false,
            blobs: BlobBytes::Layers { version },
            ..self
        }
    }
}
