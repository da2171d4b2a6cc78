//! A registry in the test process that follows the distribution specification until it is told not to.
//!
//! `Registry::start()` listens on a free loopback port and ends when dropped. `behave` changes how it is,
//! `fault` strikes single requests, `log` tells what it was asked. It has its own threads, so it serves
//! children of the test process as well as tests without a runtime.
//!
//! It shares only the vocabulary (`oci`) with the program, never its client.

mod answer;
mod auth;
mod behaviour;
mod blobs;
mod body;
mod exchange;
mod fault;
mod harbor;
mod lists;
mod log;
mod manifests;
mod route;
mod server;
mod stocked;
mod store;
mod uploads;

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use airlift::content::{Document, Memory, Source};
use airlift::oci::{Descriptor, Digest, Pin, Repository, Tag};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

pub(crate) use behaviour::{
    Auth, Bearer, Behaviour, Harbor, Location, Login, Paging, Redirect, Referrers, Uploads,
};
pub(crate) use fault::{Fault, RetryAfter, When};
pub(crate) use log::{Authorization, Log, Request};
pub(crate) use stocked::registry_with_layers;

use crate::support::snapshot::Snapshot;
use crate::support::tls::Authority;

/// What all connections share.
struct Shared {
    address: SocketAddr,
    is_tls: bool,
    log: Log,
    store: Mutex<store::Store>,
    behaviour: Mutex<Behaviour>,
    rules: Mutex<fault::Rules>,
    tokens: Mutex<auth::Tokens>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, store::Store> {
        lock(&self.store)
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        lock(&self.behaviour)
    }

    fn rules(&self) -> MutexGuard<'_, fault::Rules> {
        lock(&self.rules)
    }

    fn tokens(&self) -> MutexGuard<'_, auth::Tokens> {
        lock(&self.tokens)
    }

    fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// A running fake registry.
pub(crate) struct Registry {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    authority_pem: Option<String>,
}

impl Registry {
    /// A registry without faults, over plain HTTP.
    pub(crate) fn start() -> Self {
        Self::listen(false)
    }

    /// The same over TLS, with a certificate of its own authority.
    pub(crate) fn start_tls() -> Self {
        Self::listen(true)
    }

    /// A registry over plain HTTP that behaves differently from the start.
    pub(crate) fn with(change: impl FnOnce(&mut Behaviour)) -> Self {
        let registry = Self::start();
        registry.behave(change);
        registry
    }

    fn listen(is_tls: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let shared = Arc::new(Shared {
            address: listener.local_addr().expect("a bound listener"),
            is_tls,
            log: Log::default(),
            store: Mutex::default(),
            behaviour: Mutex::default(),
            rules: Mutex::default(),
            tokens: Mutex::default(),
        });
        let (acceptor, authority_pem) = if is_tls {
            let authority = Authority::new();
            let config = authority.issue(&[]).server_config(&["h2", "http/1.1"]);
            (Some(TlsAcceptor::from(config)), Some(authority.pem()))
        } else {
            (None, None)
        };
        let runtime = server::run(listener, Arc::clone(&shared), acceptor);
        Self {
            shared,
            runtime: Some(runtime),
            authority_pem,
        }
    }

    /// `127.0.0.1:PORT`, as it stands in a reference.
    pub(crate) fn address(&self) -> String {
        self.shared.address.to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> String {
        self.shared.url()
    }

    /// The certificate of the authority that signed the server's, in PEM.
    pub(crate) fn authority_pem(&self) -> &str {
        self.authority_pem.as_deref().expect("started over TLS")
    }

    /// Changes how it behaves from the next request on.
    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour());
    }

    /// Adds a fault for the next requests of a kind.
    pub(crate) fn fault(&self, when: When, fault: Fault) {
        self.shared.rules().add(when, fault);
    }

    /// Drops all faults that have not struck yet.
    pub(crate) fn heal(&self) {
        self.shared.rules().clear();
    }

    pub(crate) fn log(&self) -> &Log {
        &self.shared.log
    }
}

/// What it holds, without going through its API.
impl Registry {
    /// Puts a blob under its SHA-256.
    pub(crate) fn put_blob(
        &self,
        repository: &Repository,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::of(media_type, &bytes);
        let mut store = self.shared.store();
        let blobs = &mut store.shelf(repository).blobs;
        blobs.insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    /// Puts a manifest, tagged or not, however large or wrong it is.
    pub(crate) fn put_manifest(
        &self,
        repository: &Repository,
        document: Document,
        tag: Option<&Tag>,
    ) {
        let mut store = self.shared.store();
        let shelf = store.shelf(repository);
        let digest = document.descriptor.digest.clone();
        if let Some(tag) = tag {
            shelf.tags.insert(tag.clone(), digest.clone());
        }
        shelf.manifests.insert(digest, document);
    }

    /// Puts everything that `memory` holds.
    pub(crate) fn seed(&self, memory: &Memory) {
        let (tags, contents) = memory.snapshot();
        for ((repository, digest), bytes) in contents {
            let document = document(memory, &repository, &digest);
            let mut store = self.shared.store();
            let shelf = store.shelf(&repository);
            match document {
                Some(document) => drop(shelf.manifests.insert(digest, document)),
                None => drop(shelf.blobs.insert(digest, bytes)),
            }
        }
        for ((repository, tag), digest) in tags {
            let mut store = self.shared.store();
            store.shelf(&repository).tags.insert(tag, digest);
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.shared.store().snapshot()
    }

    /// Harbor's projects, and whether everybody sees them.
    pub(crate) fn harbor_projects(&self) -> Vec<(String, bool)> {
        let harbor = self.shared.behaviour().harbor.clone();
        harbor.into_iter().flat_map(|it| it.projects).collect()
    }

    pub(crate) fn tag(&self, repository: &Repository, tag: &Tag) -> Option<Digest> {
        let store = self.shared.store();
        store.shelves.get(repository)?.tags.get(tag).cloned()
    }

    /// Removes content, as a garbage collection would.
    pub(crate) fn forget(&self, repository: &Repository, digest: &Digest) {
        let mut store = self.shared.store();
        let shelf = store.shelf(repository);
        shelf.blobs.remove(digest);
        shelf.manifests.remove(digest);
    }

    /// Puts other bytes under the digest of a blob, as a damaged disk would.
    pub(crate) fn replace_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        bytes: impl Into<Bytes>,
    ) {
        let mut store = self.shared.store();
        let blobs = &mut store.shelf(repository).blobs;
        blobs.insert(digest.clone(), bytes.into());
    }

    /// HEAD goes on saying that the content is here, GET says that it is not.
    pub(crate) fn lose(&self, repository: &Repository, digest: &Digest) {
        let mut store = self.shared.store();
        store.shelf(repository).lost.insert(digest.clone());
    }

    /// Goes on having the bytes that it has under this digest, whatever is pushed.
    pub(crate) fn keep(&self, repository: &Repository, digest: &Digest) {
        let mut store = self.shared.store();
        store.shelf(repository).kept.insert(digest.clone());
    }

    /// Upload sessions that were neither finished nor cancelled.
    pub(crate) fn open_sessions(&self) -> usize {
        self.shared.store().sessions.len()
    }

    /// What is missing below the tags as they are now.
    pub(crate) fn missing_content(&self) -> Vec<String> {
        self.shared.store().missing_content()
    }

    /// Every time that a tag appeared while content below it was missing in its repository.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.shared.store().violations.clone()
    }

    #[track_caller]
    pub(crate) fn assert_no_violation(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }
}

/// The manifest `digest`, if that is what it is. Memory answers at once.
fn document(memory: &Memory, repository: &Repository, digest: &Digest) -> Option<Document> {
    let pin = Pin::Digest(digest.clone());
    let raw = memory.manifest(repository, &pin).now_or_never()?.ok()?;
    let length = raw.bytes.len() as u64;
    Some(Document {
        descriptor: Descriptor::new(&raw.media_type, digest.clone(), length),
        bytes: raw.bytes,
    })
}

impl Drop for Registry {
    fn drop(&mut self) {
        // A test may be in a runtime of its own, where waiting for this one is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
