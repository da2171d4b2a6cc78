//! airlift carries container images and other OCI artifacts between registries that never see each other.

pub mod bundle;
pub mod content;
pub mod oci;
pub mod registry;
