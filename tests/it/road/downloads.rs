//! Reading from a source that breaks off, lies or sends us elsewhere: what is asked again, and what is not.

use airlift::content::{Document, ErrorKind, Memory, Source};
use airlift::oci::{Descriptor, Repository};

use super::{Journey, text_of};
use crate::support::artifacts::{Dice, LAYER, image};
use crate::support::registry::{
    Auth, Authorization, Bearer, Fault, Redirect, Registry, Request, When,
};
use crate::support::snapshot::assert_same;

/// One piece of the reading ahead, so one request where nothing goes wrong.
const LAYER_BYTES: usize = 3 << 20;
/// What may be on its way when a connection breaks.
const IN_FLIGHT_BYTES: u64 = 512 << 10;

struct Example {
    memory: Memory,
    repository: Repository,
    image: Document,
    layer: Descriptor,
    source: Registry,
}

impl Example {
    fn new() -> Self {
        let memory = Memory::new();
        let repository: Repository = "apps/web".parse().unwrap();
        let bytes = Dice::new(7).noise(LAYER_BYTES);
        let image = image(&memory, &repository, "amd64", &[&bytes]);
        memory.put_manifest(&repository, image.clone(), "1".parse().ok().as_ref());
        let source = Registry::start();
        source.seed(&memory);
        Self {
            layer: Descriptor::of(LAYER, &bytes),
            memory,
            repository,
            image,
            source,
        }
    }

    fn references(&self) -> [String; 1] {
        [format!("{}/{}:1", self.source.address(), self.repository)]
    }

    fn layer_path(&self) -> String {
        format!("/blobs/{}", self.layer.digest)
    }

    fn layer_requests(&self) -> Vec<Request> {
        self.source.log().matching("GET", &self.layer_path())
    }

    /// Exports, imports, and compares.
    async fn travel(&self) {
        let (journey, target) = (Journey::new(), Registry::start());
        journey.export(&self.references()).await.unwrap();
        journey.import(&target.address()).await.unwrap();
        assert_same(&target.snapshot(), &self.memory.snapshot());
    }
}

fn start_of(range: &str) -> u64 {
    let range = range.strip_prefix("bytes=").unwrap();
    range.split_once('-').unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn a_cut_download_goes_on_from_where_it_stopped() {
    let example = Example::new();
    let cut = Fault::CutDownload(1_000_000);
    example
        .source
        .fault(When::get(&example.layer_path()).times(2), cut);
    example.travel().await;
    let requests = example.layer_requests();
    assert_eq!(requests.len(), 3, "{}", example.source.log().lines());
    assert_eq!(requests[0].range, None, "the whole of it at first");
    let starts: Vec<u64> = requests[1..]
        .iter()
        .map(|r| start_of(r.range.as_ref().unwrap()))
        .collect();
    assert!(starts[0] > 0 && starts[0] <= 1_000_000, "{starts:?}");
    assert!(
        starts[1] > starts[0] && starts[1] <= 2_000_000,
        "{starts:?}"
    );
    let sent: u64 = requests.iter().map(|request| request.sent_bytes).sum();
    let size = example.layer.size;
    assert!(
        sent >= size && sent <= size + IN_FLIGHT_BYTES,
        "{sent} of {size}"
    );
}

/// Progress starts the count of attempts anew: three attempts survive ten cuts.
#[tokio::test]
async fn a_download_may_break_more_often_than_there_are_attempts() {
    let example = Example::new();
    let cut = Fault::CutDownload(300_000);
    example
        .source
        .fault(When::get(&example.layer_path()).times(10), cut);
    example.travel().await;
    assert_eq!(example.layer_requests().len(), 11);
}

#[tokio::test]
async fn without_ranges_a_cut_download_begins_again_and_is_right() {
    let example = Example::new();
    example.source.behave(|behaviour| behaviour.ranges = false);
    let cut = Fault::CutDownload(1_000_000);
    example.source.fault(When::get(&example.layer_path()), cut);
    example.travel().await;
    assert_eq!(example.layer_requests().len(), 2);
}

#[tokio::test]
async fn wrong_bytes_are_refused_by_digest_and_side() {
    let faults = [
        Fault::FlipByte(0),
        Fault::FlipByte(LAYER_BYTES - 1),
        Fault::Longer(1),
        Fault::Shorter(1),
        Fault::Body(vec![b'x'; LAYER_BYTES].into()),
    ];
    for fault in faults {
        let example = Example::new();
        example
            .source
            .fault(When::get(&example.layer_path()).always(), fault.clone());
        let journey = Journey::new();
        let error = journey.export(&example.references()).await.unwrap_err();
        let text = text_of(&error);
        assert_eq!(error.kind(), ErrorKind::Unverified, "{fault:?}: {text}");
        assert!(text.contains(&example.layer.digest.to_string()), "{text}");
        assert!(text.starts_with("source: "), "{fault:?}: {text}");
        assert!(journey.objects().is_empty(), "nothing is left behind");
        assert_eq!(
            example.layer_requests().len(),
            1,
            "wrong is not asked for again"
        );
    }
}

#[tokio::test]
async fn a_manifest_of_other_bytes_is_refused() {
    let example = Example::new();
    let fault = Fault::FlipByte(20);
    example.source.fault(When::get("/manifests/1"), fault);
    let journey = Journey::new();
    let error = journey.export(&example.references()).await.unwrap_err();
    let text = text_of(&error);
    assert_eq!(error.kind(), ErrorKind::Unverified, "{text}");
    assert!(text.starts_with("source: "), "{text}");
    assert!(
        text.contains(&example.image.descriptor.digest.to_string()),
        "{text}"
    );
}

/// HEAD says that it is there, and names other content: that is not presence.
#[tokio::test]
async fn a_target_whose_head_names_other_content_is_not_believed() {
    let example = Example::new();
    let journey = Journey::new();
    journey.export(&example.references()).await.unwrap();
    let target = Registry::start();
    target.seed(&example.memory);
    let other = Descriptor::of(LAYER, b"other").digest.to_string();
    let lie = Fault::Header("docker-content-digest", other);
    target.fault(When::head(&example.layer_path()).always(), lie);
    let error = journey.import(&target.address()).await.unwrap_err();
    let text = text_of(&error);
    assert_eq!(error.kind(), ErrorKind::Unverified, "{text}");
    assert!(text.starts_with("target: "), "{text}");
}

/// HEAD says that it is there, and GET that it is not: `--check` finds it out.
#[tokio::test]
async fn what_the_target_has_lost_is_found_by_reading_back() {
    let example = Example::new();
    let mut journey = Journey::new();
    journey.reads_back = true;
    journey.export(&example.references()).await.unwrap();
    let target = Registry::start();
    target.seed(&example.memory);
    target.lose(&example.repository, &example.layer.digest);
    let error = journey.import(&target.address()).await.unwrap_err();
    let text = text_of(&error);
    assert!(text.starts_with("target: "), "{text}");
    assert!(text.contains(&example.layer.digest.to_string()), "{text}");
}

#[tokio::test]
async fn blobs_elsewhere_are_fetched_without_our_credentials() {
    let example = Example::new();
    let storage = Registry::start();
    storage.seed(&example.memory);
    example.source.behave(|behaviour| {
        behaviour.auth = Auth::Bearer(Bearer::open());
        behaviour.blob_redirect = Some(Redirect::To(storage.url()));
    });
    example.travel().await;
    let asked = storage.log().all();
    assert!(asked.len() >= 2, "config and layer");
    assert!(
        asked
            .iter()
            .all(|request| request.authorization == Authorization::None)
    );
    let shown = example.layer_requests();
    assert!(
        shown.iter().all(|request| request.sent_bytes < 1000),
        "it only sent us on"
    );
}

/// A resumed download begins at the registry again, because the redirect may have been signed for a time.
#[tokio::test]
async fn a_cut_download_elsewhere_goes_on_there() {
    let example = Example::new();
    let storage = Registry::start();
    storage.seed(&example.memory);
    let redirect = Some(Redirect::To(storage.url()));
    example
        .source
        .behave(|behaviour| behaviour.blob_redirect = redirect);
    storage.fault(
        When::get(&example.layer_path()),
        Fault::CutDownload(1_000_000),
    );
    example.travel().await;
    assert_eq!(
        example.layer_requests().len(),
        2,
        "asked the registry twice"
    );
    let ranges = storage.log().ranges(&example.layer_path());
    assert_eq!(ranges.len(), 1);
    assert!(start_of(&ranges[0]) > 0, "{ranges:?}");
}

#[tokio::test]
async fn a_redirect_in_circles_ends() {
    let example = Example::new();
    let redirect = Some(Redirect::Loop);
    example
        .source
        .behave(|behaviour| behaviour.blob_redirect = redirect);
    let error = Journey::new()
        .export(&example.references())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{}", text_of(&error));
}

/// Asked of the contract itself: the client serves any range, and hands on what it got.
#[tokio::test]
async fn absent_is_told_apart_from_trouble() {
    let example = Example::new();
    let journey = Journey::new();
    let client = journey
        .connections()
        .registry(&example.source.address())
        .unwrap();
    for status in [401, 403, 429, 500, 503] {
        example.source.fault(
            When::head(&example.layer_path()).times(3),
            Fault::Status(status),
        );
        let found = client.has(&example.repository, &example.layer).await;
        assert!(!found.unwrap_err().is_not_found(), "{status}");
        example.source.heal();
    }
    assert!(
        client
            .has(&example.repository, &example.layer)
            .await
            .unwrap()
    );
}
