//! A registry as a [`Source`] and a [`Target`]: our own thin client over HTTP.
//!
//! It carries bytes and asks questions; it checks no digest (the content contract does), chooses nothing,
//! and knows no bundle, no layout and no command line. `wire` requests and their repetition are in
//! `client`, `transport` and `retry`; logins in `auth`; what is said to a registry in the other files, one
//! for each chapter of the specification.
//!
//! **Invariants.**
//! - A registry is hostile until its bytes have been checked: everything it says is bounded, and where it
//!   sends us is judged (`addresses`, `transport`).
//! - Credentials go to the registry and to the token service that it names, and nowhere else.
//! - No blob is ever held whole; an upload in pieces holds one piece.
//! - Only a 404 means absent.
//!
//! Specifications: distribution-spec 1.1.1; distribution, "Token Authentication"; RFC 9110.

mod addresses;
mod auth;
mod client;
mod creation;
mod download;
mod error;
mod listing;
mod lookup_table;
mod manifests;
mod options;
mod referrers;
mod referrers_api;
mod retry;
mod spelling;
mod transport;
mod turns;
mod upload;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;

use self::client::{Ask, Client};
use self::turns::Turns;
use crate::content::{
    self, BlobOutcome, Content, Document, ErrorKind, Presence, Provision, RawDocument, RawStream,
    Referrer, Source, Target,
};
use crate::oci::{Descriptor, Digest, Pin, Repository, Tag};

pub use self::creation::{Creator, Ecr, EcrName, MayNotCreate};
pub use self::error::{Answer, RegistryError};
pub use self::options::{Credentials, PrivateAddresses, RegistryOptions, Timeouts, Transport};
pub use self::spelling::{canonical, is_below, is_same_place};
pub use crate::http::ConnectionCause;

/// One registry. Clones share connections, logins and what was learnt.
#[derive(Clone)]
pub struct Registry {
    client: Arc<Client>,
    /// One writer of a lookup table at a time, by subject.
    table_turns: Arc<Turns>,
    /// `None`: the registry makes projects and repositories by itself, or somebody else does.
    creator: Option<Arc<Creator>>,
}

impl Registry {
    /// `host` is `HOST` or `HOST:PORT`, as it stands in references. Nothing is sent yet.
    pub fn new(host: &str, options: RegistryOptions) -> Result<Self, RegistryError> {
        Ok(Self {
            client: Arc::new(Client::new(host, options)?),
            table_turns: Arc::default(),
            creator: None,
        })
    }

    /// The same registry, which is also asked to create what is missing.
    pub fn with_creator(self, creator: Creator) -> Self {
        Self {
            creator: Some(Arc::new(creator)),
            ..self
        }
    }

    pub fn host(&self) -> &str {
        self.client.host()
    }

    /// Whether it can be reached, is a registry, and takes our login.
    pub async fn probe(&self) -> content::Result<()> {
        let mut ask = Ask::new(Method::GET, self.client.root_url(""), auth::Scope::Catalog);
        ask.scopes.clear();
        match self.client.send(&ask).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.during(format!("cannot use `{}` as a registry", self.host()))),
        }
    }

    /// Whether the API says that the repository, or its project, is not there. A registry may refuse every question
    /// about what is in there, instead of saying that it does not know it.
    async fn lacks_provision(&self, repository: &Repository) -> content::Result<bool> {
        let Some(provision) = self.provision_of(repository)? else {
            return Ok(false);
        };
        Ok(self.find_provision(&provision).await? == Presence::Missing)
    }

    /// What an action on a place in this registry is called.
    fn at(&self, repository: &Repository) -> String {
        format!("{}/{repository}", self.host())
    }
}

#[async_trait]
impl Source for Registry {
    async fn manifest(&self, repository: &Repository, pin: &Pin) -> content::Result<RawDocument> {
        let fetched = manifests::fetch(&self.client, repository, pin).await;
        fetched.map_err(|error| {
            error.during(format!(
                "cannot read the manifest `{pin}` of `{}`",
                self.at(repository)
            ))
        })
    }

    async fn claimed_digest(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> content::Result<Option<Digest>> {
        let claimed = manifests::claim(&self.client, repository, tag).await;
        claimed.map_err(|error| {
            error.during(format!(
                "cannot ask for the digest of `{tag}` in `{}`",
                self.at(repository)
            ))
        })
    }

    async fn open(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> content::Result<RawStream> {
        let client = Arc::clone(&self.client);
        let opened = download::open(client, repository, descriptor, range).await;
        opened.map_err(|error| {
            let digest = &descriptor.digest;
            error.during(format!(
                "cannot read `{digest}` of `{}`",
                self.at(repository)
            ))
        })
    }

    async fn has(&self, repository: &Repository, descriptor: &Descriptor) -> content::Result<bool> {
        let found = manifests::exists(&self.client, repository, descriptor).await;
        found.map_err(|error| {
            let digest = &descriptor.digest;
            error.during(format!(
                "cannot look for `{digest}` in `{}`",
                self.at(repository)
            ))
        })
    }

    async fn tags(&self, repository: &Repository) -> content::Result<Vec<Tag>> {
        let listed = listing::tags(&self.client, repository).await;
        listed.map_err(|error| {
            error.during(format!("cannot list the tags of `{}`", self.at(repository)))
        })
    }

    async fn repositories(&self) -> content::Result<Vec<Repository>> {
        let listed = listing::repositories(&self.client).await;
        listed.map_err(|error| {
            error.during(format!("cannot list the repositories of `{}`", self.host()))
        })
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> content::Result<Vec<Referrer>> {
        let listed = referrers::list(&self.client, repository, subject).await;
        listed.map_err(|error| {
            error.during(format!(
                "cannot list the referrers of `{subject}` in `{}`",
                self.at(repository)
            ))
        })
    }
}

#[async_trait]
impl Target for Registry {
    async fn exists(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> content::Result<bool> {
        match Source::has(self, repository, descriptor).await {
            Err(error) if error.kind() == ErrorKind::Denied => {
                match self.lacks_provision(repository).await? {
                    true => Ok(false),
                    false => Err(error),
                }
            }
            found => found,
        }
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        content: &Content,
        mount_from: Option<&Repository>,
    ) -> content::Result<BlobOutcome> {
        let pushed = upload::push(&self.client, repository, content, mount_from).await;
        pushed.map_err(|error| {
            let digest = &content.descriptor().digest;
            error.during(format!(
                "cannot push the blob `{digest}` to `{}`",
                self.at(repository)
            ))
        })
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        document: &Document,
    ) -> content::Result<()> {
        let pin = Pin::Digest(document.descriptor.digest.clone());
        let pushed = manifests::push(&self.client, repository, document, &pin).await;
        pushed.map_err(|error| {
            error.during(format!(
                "cannot push the manifest `{pin}` to `{}`",
                self.at(repository)
            ))
        })
    }

    async fn resolve_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> content::Result<Option<Digest>> {
        let resolved = manifests::resolve(&self.client, repository, tag).await;
        match resolved {
            Err(error)
                if error.kind() == ErrorKind::Denied
                    && self.lacks_provision(repository).await? =>
            {
                Ok(None)
            }
            resolved => resolved.map_err(|error| {
                error.during(format!(
                    "cannot resolve the tag `{tag}` of `{}`",
                    self.at(repository)
                ))
            }),
        }
    }

    async fn tag(
        &self,
        repository: &Repository,
        document: &Document,
        tag: &Tag,
    ) -> content::Result<()> {
        let pin = Pin::Tag(tag.clone());
        let tagged = manifests::push(&self.client, repository, document, &pin).await;
        tagged.map_err(|error| {
            let digest = &document.descriptor.digest;
            error.during(format!(
                "cannot tag `{digest}` as `{tag}` in `{}`",
                self.at(repository)
            ))
        })
    }

    async fn link_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        referrer: &Referrer,
    ) -> content::Result<()> {
        let linked = lookup_table::link(
            &self.client,
            &self.table_turns,
            repository,
            subject,
            referrer,
        )
        .await;
        linked.map_err(|error| {
            let digest = &referrer.descriptor.digest;
            error.during(format!(
                "cannot link the referrer `{digest}` to `{subject}` in `{}`",
                self.at(repository)
            ))
        })
    }

    fn provision_of(&self, repository: &Repository) -> content::Result<Option<Provision>> {
        let Some(creator) = &self.creator else {
            return Ok(None);
        };
        let provision = creator.provision_of(self.host(), repository);
        let needed = provision.map_err(|error| error.during("cannot create what is missing"))?;
        Ok(Some(needed))
    }

    async fn find_provision(&self, provision: &Provision) -> content::Result<Presence> {
        let Some(creator) = &self.creator else {
            return Ok(Presence::There);
        };
        let found = creator.find(&self.client, provision).await;
        found.map_err(|error| {
            error.during(format!("cannot look for {provision} of `{}`", self.host()))
        })
    }

    async fn create_provision(&self, provision: &Provision) -> content::Result<bool> {
        let Some(creator) = &self.creator else {
            return Ok(false);
        };
        let created = creator.create(&self.client, provision).await;
        created.map_err(|error| {
            let action = format!("cannot create {provision} of `{}`", self.host());
            match creator.explain(error) {
                Ok(denial) => content::Error::new(ErrorKind::Denied, action).with_cause(denial),
                Err(error) => error.during(action),
            }
        })
    }
}
