//! The media types that change what we do, and the questions asked of all others.
//!
//! An unknown media type is not an error: any artifact travels. Only manifests and indexes are opened.

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
pub const DOCKER_SCHEMA_1_SIGNED: &str =
    "application/vnd.docker.distribution.manifest.v1+prettyjws";
pub const OCTET_STREAM: &str = "application/octet-stream";

/// What a client sends as `Accept` to be given any manifest in the form in which it is stored.
pub const MANIFESTS: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX];

pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_INDEX)
}

/// Whether a descriptor of this type points to a manifest or index, and not to a blob.
pub fn is_manifest(media_type: &str) -> bool {
    MANIFESTS.contains(&media_type)
}

pub fn is_schema_1(media_type: &str) -> bool {
    matches!(media_type, DOCKER_SCHEMA_1 | DOCKER_SCHEMA_1_SIGNED)
}

/// Whether a layer of this type may be kept outside the registry, at a URL that we never fetch.
/// Specification: image-spec, layer.md, "Non-Distributable Layers"; Docker's foreign layers.
pub fn is_foreign(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.diff.tar")
}

/// Whether content of this type says of itself that it is compressed already.
pub fn is_compressed(media_type: &str) -> bool {
    ["+gzip", "+zstd", ".gzip", ".zstd", ".tgz", "+encrypted"]
        .iter()
        .any(|suffix| media_type.ends_with(suffix))
}
