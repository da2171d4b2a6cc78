//! A registry that asks for patience gets it, from all requests together.
//!
//! One thread and one request at a time: what a request does after the refusal is then no race.

use std::time::{Duration, Instant};

use airlift::content::Source;

use super::Journey;
use crate::support::artifacts::five_nodes;
use crate::support::registry::{Fault, Registry, RetryAfter, When};

/// Clocks of log and timer may differ by this.
const SLACK: Duration = Duration::from_millis(20);

async fn all_wait_after_429(retry_after: RetryAfter, wait: Duration) {
    let five = five_nodes();
    let source = Registry::start();
    source.seed(&five.memory);
    source.fault(When::head("/manifests/"), Fault::Busy(429, retry_after));
    let mut journey = Journey::new();
    journey.registry_options.concurrent_requests_max = 1;
    let client = journey.connections().registry(&source.address()).unwrap();
    let asks = (0..6).map(|_| client.has(&five.repository, &five.m0.descriptor));
    let found = futures_util::future::try_join_all(asks).await.unwrap();
    assert_eq!(found, [true; 6]);
    let requests = source.log().all();
    assert_eq!(requests.len(), 7, "{}", source.log().lines());
    let refused: Instant = requests[0].started;
    for request in &requests[1..] {
        let waited = request.started - refused;
        assert!(waited + SLACK >= wait, "only {waited:?}");
    }
}

#[tokio::test]
async fn retry_after_in_seconds_holds_back_every_request() {
    all_wait_after_429(RetryAfter::Seconds(1), Duration::from_secs(1)).await;
}

/// Dates have whole seconds, so two from now is at least one.
#[tokio::test]
async fn retry_after_as_a_date_holds_back_every_request() {
    all_wait_after_429(RetryAfter::Date(2), Duration::from_secs(1)).await;
}

#[tokio::test]
async fn an_upload_that_is_asked_to_wait_waits() {
    let five = five_nodes();
    let (source, target) = (Registry::start(), Registry::start());
    source.seed(&five.memory);
    let reference = format!("{}/{}:{}", source.address(), five.repository, five.tag);
    let mut journey = Journey::new();
    journey.concurrency = 1;
    journey.export(&[reference]).await.unwrap();
    let busy = Fault::Busy(503, RetryAfter::Seconds(1));
    target.fault(When::post("/blobs/uploads/"), busy);
    journey.import(&target.address()).await.unwrap();
    let gap = target.log().gaps("POST", "/blobs/uploads/")[0];
    assert!(gap + SLACK >= Duration::from_secs(1), "only {gap:?}");
}
