//! OCI image layout directories: what `skopeo`, `oras` and others write as `oci:PATH`, as source and target.
//!
//! One layout holds many repositories: `org.opencontainers.image.ref.name` is `REPOSITORY:TAG` in what we
//! write. In what others write it may be a tag alone; then the directory's name stands for the repository.
//!
//! **Invariants.** No path is ever made from a name: content is found by digest, names live in
//! `index.json`. Entries of `index.json` that we did not write are kept as they are, until one of ours takes their name. A file under
//! `blobs/` is complete, because it gets its name after its digest has been checked.
//! Specification: image-spec, image-layout.md.

mod index;
mod store;

#[cfg(test)]
mod tests;

pub use store::Layout;
