//! Exports whose store or ledger fails: the first error is the one that is told, and nothing that was begun is forgotten.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use airlift::bundle::SigningKey;
use airlift::content::{
    Error, ErrorKind, Event, Events, ObjectWriter, RangedRead, Result, Uploaded, UploadedPart,
    Version,
};
use airlift::history::{Ledger, RunLink, RunStatus, Trigger};
use airlift::pipeline::{ExportMemory, ExportOptions, Exporter, plan_exports, run_export};
use airlift::storage::{Abandonment, CreateOptions, FoundObject, OpenUpload, StorageContainer};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::road::Journey;
use crate::support::artifacts::image;
use crate::support::registry::Registry;

const KEY: &str = include_str!("../../../fixtures/keys/snakeoil-ed25519");

/// What happens to an empty store that fails.
#[derive(Default)]
struct Store {
    begun: AtomicUsize,
    removed: AtomicUsize,
    published: AtomicUsize,
    calls: AtomicUsize,
    /// The call that fails, and all after it.
    failing: Option<usize>,
    /// Somebody replaces every object that was published.
    is_shared: bool,
    /// Broken when the store fails.
    ledger: Option<SqlitePool>,
}

impl Store {
    async fn call(&self) -> Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.failing.is_none_or(|failing| call < failing) {
            return Ok(());
        }
        if let Some(ledger) = &self.ledger {
            let dropped = sqlx::query("DROP TABLE IF EXISTS upload_part").execute(ledger);
            dropped.await.expect("the ledger is there");
        }
        Err(Error::new(ErrorKind::NoSpace, "the store is full"))
    }
}

struct Container(Arc<Store>);

struct Object {
    store: Arc<Store>,
    parts: Vec<UploadedPart>,
}

#[async_trait]
impl ObjectWriter for Object {
    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        self.parts.push(UploadedPart {
            id: "part".to_owned(),
            size_bytes: pieces.iter().map(|piece| piece.len() as u64).sum(),
        });
        self.store.call().await
    }

    fn uploaded(&self) -> Option<Uploaded> {
        Some(Uploaded {
            upload_id: "upload".to_owned(),
            parts: self.parts.clone(),
        })
    }

    async fn seal(&mut self) -> Result<()> {
        self.store.call().await
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.store.call().await?;
        self.store.published.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn abort(self: Box<Self>) {
        self.store.removed.fetch_add(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl StorageContainer for Container {
    fn name(&self) -> &'static str {
        "store"
    }

    fn shown(&self, object: &str) -> String {
        format!("store/{object}")
    }

    fn list<'a>(&'a self, _prefix: &'a str) -> BoxStream<'a, Result<FoundObject>> {
        stream::empty().boxed()
    }

    async fn find(&self, object: &str) -> Result<Option<FoundObject>> {
        let published = self.0.published.load(Ordering::Relaxed);
        let is_found = self.0.is_shared && published > 0;
        Ok(is_found.then(|| FoundObject {
            name: object.to_owned(),
            size_bytes: 1,
            version: Version::new(published.to_string()),
            modified: None,
        }))
    }

    async fn open(&self, object: &str) -> Result<Arc<dyn RangedRead>> {
        Err(Error::not_found(object))
    }

    async fn create(&self, _: &str, _: CreateOptions) -> Result<Box<dyn ObjectWriter>> {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        let store = Arc::clone(&self.0);
        Ok(Box::new(Object {
            store,
            parts: Vec::new(),
        }))
    }

    async fn remove(&self, _: &str, _: Option<&Version>) -> Result<()> {
        Ok(())
    }

    async fn abandon(&self, _: &str, _: &Uploaded) -> Result<Abandonment> {
        self.0.removed.fetch_add(1, Ordering::Relaxed);
        Ok(Abandonment::Removed)
    }

    async fn list_uploads(&self) -> Result<Option<Vec<OpenUpload>>> {
        Ok(Some(Vec::new()))
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

fn source() -> (Registry, ExportOptions) {
    let registry = Registry::start();
    let memory = airlift::content::Memory::new();
    let repository = "apps/web".parse().unwrap();
    let layers = [b'a', b'b', b'c'].map(|byte| vec![byte; 40_000]);
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let document = image(&memory, &repository, "amd64", &layers);
    memory.put_manifest(&repository, document, Some(&"1.4".parse().unwrap()));
    registry.seed(&memory);
    let reference = format!("{}/apps/web:1.4", registry.address());
    let mut options = Journey::export_options(&[reference]);
    options.volume_size = Some(68 << 10);
    (registry, options)
}

fn keys() -> [SigningKey; 1] {
    [SigningKey::parse(KEY, None).unwrap()]
}

/// Without a ledger nobody would find it again: whatever call fails, each object that was begun is removed.
#[tokio::test]
async fn what_no_ledger_knows_is_removed_whenever_the_store_fails() {
    let (_registry, options) = source();
    let connections = Journey::new().connections();
    let plan = plan_exports(&options, &connections)
        .await
        .unwrap()
        .remove(0);
    for failing in 0.. {
        let store = Arc::new(Store {
            failing: Some(failing),
            ..Store::default()
        });
        let container = Container(Arc::clone(&store));
        let ended = run_export(&plan, &options, &container, &keys()).await;
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let (begun, published) = (count(&store.begun), count(&store.published));
        let Err(error) = ended else {
            assert!(failing > 10 && published > 1, "{failing} {published}");
            return;
        };
        assert_eq!(error.to_string(), "the store is full");
        assert_eq!(count(&store.removed), begun - published, "call {failing}");
    }
}

#[tokio::test]
async fn a_bundle_whose_first_volume_was_replaced_meanwhile_is_no_success() {
    let (_registry, options) = source();
    let connections = Journey::new().connections();
    let plan = plan_exports(&options, &connections)
        .await
        .unwrap()
        .remove(0);
    let container = Container(Arc::new(Store {
        is_shared: true,
        ..Store::default()
    }));
    let ended = run_export(&plan, &options, &container, &keys()).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Changed);
}

#[tokio::test]
async fn an_error_of_the_ledger_does_not_hide_the_one_of_the_store() {
    let (_registry, mut options) = source();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    options.events = warnings_into(&told);
    let connections = Journey::new().connections();
    let state = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(state.path()).await.unwrap();
    let file = SqliteConnectOptions::new().filename(state.path().join("ledger.db"));
    let store = Arc::new(Store {
        failing: Some(3),
        ledger: Some(SqlitePool::connect_with(file).await.unwrap()),
        ..Store::default()
    });
    let memory = ExportMemory {
        ledger: ledger.clone(),
        trigger: Trigger::Manual,
        who: "somebody".to_owned(),
        comment: None,
        container: "store".to_owned(),
        upload_place: "store".to_owned(),
        link: RunLink::default(),
        clock: Timestamp::now,
    };
    let exporter = Exporter {
        options: &options,
        container: &Container(store),
        keys: &keys(),
        memory: Some(&memory),
    };
    let mut plans = plan_exports(&options, &connections).await.unwrap();
    let error = exporter.run(&mut plans, |_, _| {}).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is full");
    let told = told.lock().unwrap().join("\n");
    assert!(told.contains("cannot record the upload"), "{told}");
    let run = ledger.list_runs(1).await.unwrap().remove(0);
    assert_eq!(run.outcome.status, RunStatus::Failed);
}

fn warnings_into(told: &Arc<Mutex<Vec<String>>>) -> Events {
    let told = Arc::clone(told);
    Arc::new(move |event| {
        if let Event::Warning(text) = event {
            told.lock().unwrap().push(text);
        }
    })
}
