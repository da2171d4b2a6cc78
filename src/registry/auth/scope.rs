//! What a token is for: pulling from or pushing to a repository, or reading the catalog.
//!
//! Specification: distribution, "Token Scope Documentation".

use std::fmt;

use crate::oci::Repository;

/// One resource with the actions on it. A request that needs several, as a mount does, names them all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::registry) enum Scope {
    Pull(Repository),
    Push(Repository),
    Catalog,
    /// What the registry named in its challenge, where our own was not enough.
    Asked(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull(repository) => write!(f, "repository:{repository}:pull"),
            Self::Push(repository) => write!(f, "repository:{repository}:pull,push"),
            Self::Catalog => f.write_str("registry:catalog:*"),
            Self::Asked(text) => f.write_str(text),
        }
    }
}
