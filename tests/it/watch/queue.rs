//! A watch that is woken by a queue: messages of both schemas, those that are of no use, and a queue that is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use airlift::storage::{
    AzureQueue, ContainerReference, Missing, QueueReference, StorageContainer, open_container,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{LONG, Station, Watch, key};
use crate::support::clouds::{Azurite, account_key, account_sas};
use crate::support::command::{Airlift, airlift};
use crate::support::wait;

const CREATED: &str = "Microsoft.Storage.BlobCreated";

/// An event as Event Grid writes it into a queue.
fn grid_event(url: &str) -> String {
    let event = json!({
        "topic": "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/near",
        "subject": "/blobServices/default/containers/drop/blobs/x",
        "eventType": CREATED,
        "eventTime": "2026-11-22T08:00:00.0000000Z",
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "data": { "api": "PutBlockList", "blobType": "BlockBlob", "contentLength": 1, "url": url },
        "dataVersion": "", "metadataVersion": "1",
    });
    STANDARD.encode(event.to_string())
}

/// The same as a `CloudEvent`, plain.
fn cloud_event(url: &str) -> String {
    let event = json!({
        "specversion": "1.0",
        "type": CREATED,
        "source": "/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/near",
        "id": "9aeb0fdf-c01e-0131-0922-9eb54906e209",
        "time": "2026-11-22T08:00:00Z",
        "subject": "/blobServices/default/containers/drop/blobs/x",
        "data": { "api": "PutBlockList", "url": url },
    });
    event.to_string()
}

/// Brings an exported bundle into the container at `url`, as others do.
fn upload(station: &Station, url: &str, name: &str) {
    let usb = station.text("usb");
    let target = format!("{url}?credential=env:NEAR_KEY");
    Airlift::new(&["transfer", &usb, &target, "--bundle", name])
        .env("NEAR_KEY", &account_key("near"))
        .run()
        .assert_success();
}

struct Cloud {
    azurite: Azurite,
    container: String,
}

impl Cloud {
    fn start_or_skip() -> Option<Self> {
        let azurite = Azurite::start_or_skip()?;
        let container = format!("{}/ship", azurite.container("near", "drop"));
        Some(Self { azurite, container })
    }

    /// A watch of the container with the queue `bundles`, in process.
    fn watch(&self, station: &Station, interval: Duration) -> Watch {
        let good = || account_sas("near");
        self.watch_with(station, interval, good)
    }

    /// The same with the signature that the queue has whenever it is opened.
    fn watch_with(
        &self,
        station: &Station,
        interval: Duration,
        signature: impl Fn() -> String + Send + Sync + 'static,
    ) -> Watch {
        let sas = || Some(SecretString::from(account_sas("near")));
        let container: ContainerReference = self.container.parse().unwrap();
        let opened = open_container(&container, sas(), Missing::Refuse);
        let opened: Arc<dyn StorageContainer> = Runtime::new().unwrap().block_on(opened).unwrap();
        let queue: QueueReference = self.azurite.queue_url("near", "bundles").parse().unwrap();
        let ContainerReference::Azure(azure) = container else {
            panic!("{container} is in Azure");
        };
        let open_queue = move || {
            let sas = Some(SecretString::from(signature()));
            let queue = AzureQueue::open(&queue, sas, &azure, Timestamp::now())?;
            Ok(Arc::new(queue.with_visibility(Duration::from_secs(1))))
        };
        station.watch_with(|options| {
            options.open_container = Arc::new(move || {
                let opened = Arc::clone(&opened);
                Box::pin(std::future::ready(Ok(opened)))
            });
            options.directory = None;
            options.queue = Some(Arc::new(move || Box::pin(std::future::ready(open_queue()))));
            options.interval = interval;
        })
    }

    fn send(&self, message: &str) {
        self.azurite.send("near", "bundles", message);
    }
}

#[test]
fn a_message_is_enough_long_before_the_interval() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let station = Station::new();
    cloud.azurite.queue("near", "bundles");
    let watch = cloud.watch(&station, LONG);
    watch.await_line("watching");
    for (name, event) in [
        ("first", grid_event as fn(&str) -> String),
        ("second", cloud_event),
    ] {
        station.export_chart(name);
        upload(&station, &cloud.container, name);
        assert_eq!(watch.count(name), 0, "{:#?}", watch.lines());
        cloud.send(&event(&format!("{}/{name}.tar.zst", cloud.container)));
        watch.await_line(&format!("{name}.tar.zst: imported"));
    }
    wait::until("the messages are gone", || {
        cloud.azurite.message_count("near", "bundles") == 0
    });
    assert_eq!(watch.count("warning"), 0, "{:#?}", watch.lines());
}

#[test]
fn the_program_takes_the_queue_with_an_account_key() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let station = Station::new();
    let queue = cloud.azurite.queue("near", "bundles");
    let (queue, container) = (
        format!("{queue}?credential=env:NEAR_KEY"),
        format!("{}?credential=env:NEAR_KEY", cloud.container),
    );
    let (state, trusted) = (station.text("state"), key("snakeoil-p256.pub"));
    let target = format!("oci:{}", station.text("far"));
    let mut arguments = vec![
        "watch", &container, "--target", &target, "--trust", &trusted,
    ];
    arguments.extend(["--state", &state, "--interval", "1h", "--accept-one-off"]);
    arguments.extend(["--queue", &queue]);
    let running = Airlift::new(&arguments)
        .env("NEAR_KEY", &account_key("near"))
        .spawn();
    station.export_chart("chart");
    upload(&station, &cloud.container, "chart");
    cloud.send(&grid_event(&format!("{}/chart.tar.zst", cloud.container)));
    wait::until("it is imported", || !station.tags().is_empty());
    running.kill().assert_nowhere("sig=");
}

#[test]
fn messages_of_no_use_are_removed_and_told_and_wake_nobody() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let station = Station::new();
    cloud.azurite.queue("near", "bundles");
    let watch = cloud.watch(&station, LONG);
    watch.await_line("watching");
    let elsewhere = cloud.container.replace("/drop/", "/other/");
    for message in [
        "hello",
        "<a>&amp;</a>",
        "bm90IGFuIGV2ZW50",
        &grid_event(&format!("{elsewhere}/chart.tar.zst")),
        &grid_event("https://elsewhere.example.com/?sig=x"),
    ] {
        cloud.send(message);
    }
    watch.await_line("about another place");
    watch.await_line("no events of a storage account");
    wait::until("the messages are gone", || {
        cloud.azurite.message_count("near", "bundles") == 0
    });
    // Ours, but nothing to be delivered.
    cloud.send(&grid_event(&format!("{}/readme.txt", cloud.container)));
    wait::until("the message is gone", || {
        cloud.azurite.message_count("near", "bundles") == 0
    });
    assert_eq!(watch.listings(), 1);
}

#[test]
fn a_queue_that_is_away_is_told_once_and_stops_nothing() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let station = Station::new();
    station.export_chart("chart");
    let watch = cloud.watch(&station, Duration::from_millis(300));
    watch.await_line("the queue cannot be asked, listings go on: ");
    upload(&station, &cloud.container, "chart");
    watch.await_line("chart.tar.zst: imported");
    cloud.azurite.queue("near", "bundles");
    watch.await_line("the queue can be asked again");
    assert_eq!(watch.count("the queue cannot be asked"), 1);
}

/// The queue was asked with a signature that holds; then the key is replaced, and the file that names it.
#[test]
fn a_queue_that_refuses_us_is_opened_with_the_credential_of_now() {
    let Some(cloud) = Cloud::start_or_skip() else {
        return;
    };
    let station = Station::new();
    cloud.azurite.queue("near", "bundles");
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let watch = cloud.watch_with(&station, LONG, move || {
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => account_sas("near").replace("sig=", "sig=AAAA"),
            _ => account_sas("near"),
        }
    });
    watch.await_line("the queue cannot be asked, listings go on: ");
    watch.await_line("the queue can be asked again");
    station.export_chart("chart");
    upload(&station, &cloud.container, "chart");
    cloud.send(&cloud_event(&format!("{}/chart.tar.zst", cloud.container)));
    watch.await_line("chart.tar.zst: imported");
    assert_eq!(
        opened.load(Ordering::SeqCst),
        2,
        "it is not opened each time"
    );
}

#[test]
fn queues_that_cannot_serve_are_refused_at_once() {
    let station = Station::new();
    let (drop, state) = (station.text("drop"), station.text("state"));
    let run = |container: &str, more: &[&str]| {
        let target = format!("oci:{}", station.text("far"));
        let trusted = key("snakeoil-p256.pub");
        let mut arguments = vec!["watch", container, "--target", &target, "--state", &state];
        arguments.extend(["--trust", &trusted]);
        arguments.extend(more);
        airlift(&arguments)
    };
    let queue = "https://near.queue.core.windows.net/bundles";
    run(&drop, &["--queue", queue])
        .assert_code(2)
        .assert_stderr("a directory tells by itself");
    run(&drop, &["--queue", queue, "--once"]).assert_code(2);
    run("http://127.0.0.1:1/near/drop", &["--queue", queue])
        .assert_code(5)
        .assert_stderr("tokens of Entra travel over https alone");
    run(&drop, &["--queue", "bundles"])
        .assert_code(2)
        .assert_stderr("names no queue");
    let container = "https://near.blob.core.windows.net/drop?sv=2024-11-04&sr=c&sp=rl&se=2100-01-01T00:00:00Z&sig=c2VjcmV0";
    let unfit = format!("{queue}?sp=r&se=2100-01-01T00:00:00Z&sig=c2VjcmV0");
    run(container, &["--queue", &unfit])
        .assert_code(5)
        .assert_stderr("does not allow to process messages")
        .assert_nowhere("c2VjcmV0");
}
