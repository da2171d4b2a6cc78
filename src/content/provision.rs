//! What a target's own API has to create before anything can be pushed: projects, repositories.
//!
//! Which of them a target needs is a pure question to it; whether they are there is asked, and what is missing is
//! created once, right before the first push. A target that makes its repositories by itself needs none.
//!
//! **Invariant.** Only what names at the target need is ever created.

use std::collections::BTreeSet;
use std::fmt;

use super::copy::describe;
use super::copy_options::OnError;
use super::event::{Event, Events};
use super::{Error, Result, Target};
use crate::oci::Repository;

/// One thing that has to be there before anything is pushed below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Provision {
    pub kind: ProvisionKind,
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProvisionKind {
    Project,
    Repository,
}

/// Whether a provision is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    There,
    Missing,
    /// The login may not ask.
    Unknown,
}

/// A provision that an import would create, or would try to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingProvision {
    pub provision: Provision,
    /// `false`: the login may not ask whether it is there.
    pub is_certain: bool,
}

impl ProvisionKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Repository => "repository",
        }
    }
}

impl fmt::Display for Provision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} `{}`", self.kind.as_str(), self.name)
    }
}

/// What these repositories need at the target, each once.
fn provisions_of(target: &dyn Target, repositories: &[&Repository]) -> Result<BTreeSet<Provision>> {
    let needed = repositories.iter().map(|name| target.provision_of(name));
    let needed: Result<BTreeSet<Option<Provision>>> = needed.collect();
    Ok(needed.map_err(at_target)?.into_iter().flatten().collect())
}

/// What would have to be created before something is pushed into these repositories.
pub async fn list_missing(
    target: &dyn Target,
    repositories: &[&Repository],
) -> Result<Vec<MissingProvision>> {
    let mut missing = Vec::new();
    for provision in provisions_of(target, repositories)? {
        let presence = target.find_provision(&provision).await;
        let is_certain = match presence.map_err(at_target)? {
            Presence::There => continue,
            Presence::Missing => true,
            Presence::Unknown => false,
        };
        missing.push(MissingProvision {
            provision,
            is_certain,
        });
    }
    Ok(missing)
}

/// Creates what is missing, and tells it. With `OnError::Continue` what cannot be created is told too, and the pushes
/// into it then fail by themselves.
pub(super) async fn provide(
    target: &dyn Target,
    repositories: &[&Repository],
    on_error: OnError,
    events: &Events,
) -> Result<()> {
    for provision in provisions_of(target, repositories)? {
        match provide_one(target, &provision).await {
            Ok(true) => events(Event::Created(provision)),
            Ok(false) => {}
            Err(error) if on_error == OnError::Stop => return Err(at_target(error)),
            Err(error) => events(Event::Warning(describe(&at_target(error)))),
        }
    }
    Ok(())
}

async fn provide_one(target: &dyn Target, provision: &Provision) -> Result<bool> {
    match target.find_provision(provision).await? {
        Presence::There => Ok(false),
        // Who may not ask may be allowed to create all the same.
        Presence::Missing | Presence::Unknown => target.create_provision(provision).await,
    }
}

fn at_target(error: Error) -> Error {
    error.on_side("target")
}
