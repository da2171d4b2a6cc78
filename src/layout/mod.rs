//! OCI image layout directories: what `skopeo`, `oras` and others write as `oci:PATH`, as source and target.
//!
//! One layout holds many repositories: `org.opencontainers.image.ref.name` is `REPOSITORY:TAG` in what we
//! write. In what others write it may be a tag alone; then the directory's name stands for the repository.
//!
//! **Invariants.** No path is ever made from a name: content is found by digest, names live in
//! `index.json`. Entries of `index.json` that we did not write are kept as they are, until one of ours
//! takes their name. A file under `blobs/` that we wrote is complete, because it gets its name after its
//! digest has been checked. What is taken for there at a target has been hashed: manifests each time, blobs
//! once in each process. So a second import reads the layers of the directory, and writes none.
//! Specification: image-spec, image-layout.md.

mod files;
mod index;
mod proof;
mod store;

#[cfg(test)]
mod tests;

pub use store::{Layout, LayoutInUse};
