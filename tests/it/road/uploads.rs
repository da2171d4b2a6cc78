//! Writing to a target that breaks off, wants it otherwise or has it already: what is sent again, and what
//! is not.

use airlift::content::{ErrorKind, Memory};
use airlift::oci::{Descriptor, Repository, Tag};

use super::{Journey, text_of};
use crate::support::artifacts::{Dice, LAYER, image};
use crate::support::registry::{Fault, Location, Registry, When};
use crate::support::snapshot::assert_same;

const LAYER_BYTES: usize = 3 << 20;
const CUT_BYTES: u64 = 1_000_000;
/// What may be on its way when a connection breaks.
const IN_FLIGHT_BYTES: u64 = 512 << 10;

/// An image with one large layer in each of `repositories`, exported.
struct Example {
    memory: Memory,
    layer: Descriptor,
    journey: Journey,
}

impl Example {
    async fn in_repositories(repositories: &[&str]) -> Self {
        let memory = Memory::new();
        let bytes = Dice::new(11).noise(LAYER_BYTES);
        let source = Registry::start();
        let mut references = Vec::new();
        for name in repositories {
            let repository: Repository = name.parse().unwrap();
            let image = image(&memory, &repository, "amd64", &[&bytes]);
            let tag: Tag = "1".parse().unwrap();
            memory.put_manifest(&repository, image, Some(&tag));
            references.push(format!("{}/{repository}:{tag}", source.address()));
        }
        source.seed(&memory);
        let mut journey = Journey::new();
        journey.concurrency = 1;
        journey.export(&references).await.unwrap();
        Self {
            layer: Descriptor::of(LAYER, &bytes),
            memory,
            journey,
        }
    }

    async fn new() -> Self {
        Self::in_repositories(&["apps/web"]).await
    }

    async fn arrives_at(&self, target: &Registry) {
        self.journey.import(&target.address()).await.unwrap();
        assert_same(&target.snapshot(), &self.memory.snapshot());
        assert_eq!(target.open_sessions(), 0, "no session is left open");
    }

    /// The PUT that would bring the layer in one piece.
    fn put_layer(&self) -> When {
        When::put(&format!("digest=sha256%3A{}", self.layer.digest.hex()))
    }

    /// The bytes of all blobs, each counted once.
    fn blob_bytes(&self) -> u64 {
        let (tags, contents) = self.memory.snapshot();
        let manifests: Vec<_> = tags.values().collect();
        let blobs = contents
            .iter()
            .filter(|((_, digest), _)| !manifests.contains(&digest));
        let blobs: std::collections::BTreeMap<_, _> = blobs
            .map(|((_, digest), bytes)| (digest, bytes.len() as u64))
            .collect();
        blobs.values().sum()
    }
}

#[tokio::test]
async fn a_cut_upload_goes_on_from_the_servers_offset() {
    for location in [Location::Absolute, Location::Relative, Location::Query] {
        let example = Example::new().await;
        let target = Registry::with(|behaviour| behaviour.uploads.location = location);
        target.fault(example.put_layer(), Fault::CutUpload(CUT_BYTES));
        example.arrives_at(&target).await;
        let log = target.log();
        assert_eq!(log.count("POST", "/blobs/uploads/"), 2, "config and layer");
        assert_eq!(
            log.count("GET", "/blobs/uploads/"),
            1,
            "asked how far it was"
        );
        let patches = log.matching("PATCH", "/blobs/uploads/");
        let expected = format!("{CUT_BYTES}-{}", example.layer.size - 1);
        assert_eq!(patches[0].content_range.as_deref(), Some(expected.as_str()));
        assert_eq!(patches.len(), 1);
        assert_eq!(patches[0].received_bytes, example.layer.size - CUT_BYTES);
        let sent = log.bytes_uploaded();
        let size = example.blob_bytes();
        assert!(
            sent >= size && sent <= size + IN_FLIGHT_BYTES,
            "{sent} of {size}"
        );
    }
}

/// Docker's registry cancels a session that is asked for with an offset that it has passed.
#[tokio::test]
async fn a_cut_upload_whose_session_is_cancelled_by_the_question_is_sent_again() {
    let example = Example::new().await;
    let target = Registry::with(|behaviour| behaviour.uploads.location = Location::State);
    target.fault(example.put_layer(), Fault::CutUpload(CUT_BYTES));
    example.arrives_at(&target).await;
    assert_eq!(target.log().count("POST", "/blobs/uploads/"), 3);
}

#[tokio::test]
async fn an_upload_may_break_more_often_than_there_are_attempts() {
    let example = Example::new().await;
    let target = Registry::start();
    target.fault(example.put_layer(), Fault::CutUpload(300_000));
    target.fault(
        When::patch("/blobs/uploads/").times(6),
        Fault::CutUpload(300_000),
    );
    example.arrives_at(&target).await;
    let log = target.log();
    assert_eq!(log.count("PATCH", "/blobs/uploads/"), 7);
    assert!(log.bytes_uploaded() <= example.blob_bytes() + 7 * IN_FLIGHT_BYTES);
}

/// The reply was lost, the blob was not: it is not sent a second time.
#[tokio::test]
async fn a_blob_that_was_stored_without_an_answer_is_done() {
    let example = Example::new().await;
    let target = Registry::start();
    target.fault(example.put_layer(), Fault::CutReply);
    example.arrives_at(&target).await;
    assert_eq!(target.log().bytes_uploaded(), example.blob_bytes());
}

#[tokio::test]
async fn a_session_that_is_gone_is_begun_again() {
    let example = Example::new().await;
    let target = Registry::start();
    target.fault(example.put_layer(), Fault::CutUpload(CUT_BYTES));
    target.fault(When::get("/blobs/uploads/"), Fault::Status(404));
    example.journey.import(&target.address()).await.unwrap();
    assert_same(&target.snapshot(), &example.memory.snapshot());
    assert_eq!(target.log().count("POST", "/blobs/uploads/"), 3);
}

#[tokio::test]
async fn a_shared_blob_is_uploaded_once_and_mounted_after() {
    let example = Example::in_repositories(&["apps/web", "apps/db", "apps/cache"]).await;
    let target = Registry::start();
    example.arrives_at(&target).await;
    let log = target.log();
    assert_eq!(
        log.bytes_uploaded(),
        example.blob_bytes(),
        "{}",
        log.lines()
    );
    let mounts = log.matching("POST", "mount=");
    assert_eq!(mounts.len(), 4, "two blobs, two more repositories");
    assert!(mounts.iter().all(|mount| mount.status == Some(201)));
    assert!(
        mounts
            .iter()
            .all(|mount| mount.query.contains("from=apps%2F"))
    );
}

#[tokio::test]
async fn a_mount_that_misses_goes_on_with_its_session() {
    let example = Example::in_repositories(&["apps/web", "apps/db"]).await;
    let target = Registry::with(|behaviour| behaviour.mounts = false);
    example.arrives_at(&target).await;
    let log = target.log();
    let mounts = log.matching("POST", "mount=");
    assert!(mounts.iter().all(|mount| mount.status == Some(202)));
    assert_eq!(mounts.len(), 2);
    assert_eq!(
        log.count("POST", "/blobs/uploads/"),
        4,
        "no second session for a miss"
    );
    assert_eq!(log.bytes_uploaded(), 2 * example.blob_bytes());
}

/// A blob is mounted from where this import has put it, never from where somebody else may have.
#[tokio::test]
async fn nothing_is_mounted_from_repositories_that_this_import_did_not_fill() {
    let example = Example::new().await;
    let target = Registry::start();
    target.seed(&example.memory);
    let prefixed = format!("{}/mirror", target.address());
    example.journey.import(&prefixed).await.unwrap();
    assert_eq!(target.log().count("POST", "mount="), 0);
    assert_eq!(target.log().bytes_uploaded(), example.blob_bytes());
    assert_eq!(
        target.log().count("*", "/v2/apps/"),
        0,
        "only the prefix is asked"
    );
}

#[tokio::test]
async fn a_registry_that_refuses_blobs_whole_gets_pieces_from_then_on() {
    for status in [400, 405, 411, 413] {
        let example = Example::in_repositories(&["apps/web"]).await;
        let target = Registry::with(|behaviour| behaviour.uploads.monolithic = Some(status));
        example.arrives_at(&target).await;
        let log = target.log();
        let refused = log.matching("PUT", "/blobs/uploads/");
        let refused = refused
            .iter()
            .filter(|put| put.status == Some(status))
            .count();
        assert_eq!(refused, 1, "it is learnt once");
        assert_eq!(log.count("PATCH", "/blobs/uploads/"), 2, "config and layer");
    }
}

#[tokio::test]
async fn pieces_are_as_long_as_the_registry_wants_them() {
    let example = Example::new().await;
    let target = Registry::with(|behaviour| {
        behaviour.uploads.chunk_bytes_min = Some(1 << 20);
    });
    example.arrives_at(&target).await;
    assert!(target.log().count("PATCH", "/blobs/uploads/") >= 2);
}

#[tokio::test]
async fn an_upload_without_a_location_is_one_clear_error() {
    let example = Example::new().await;
    let target = Registry::with(|behaviour| behaviour.uploads.location = Location::Missing);
    let error = example.journey.import(&target.address()).await.unwrap_err();
    let text = text_of(&error);
    assert!(
        text.starts_with("target: ") && text.contains("Location"),
        "{text}"
    );
    assert!(target.snapshot().0.is_empty());
}

#[tokio::test]
async fn a_refused_push_is_told_with_its_side_and_moves_no_tag() {
    let example = Example::new().await;
    let target = Registry::start();
    target.fault(When::post("/blobs/uploads/").always(), Fault::Status(403));
    let error = example.journey.import(&target.address()).await.unwrap_err();
    let text = text_of(&error);
    assert_eq!(error.kind(), ErrorKind::Denied, "{text}");
    assert!(text.starts_with("target: "), "{text}");
    assert!(target.snapshot().0.is_empty());
    assert_eq!(
        target.log().count("PUT", "/manifests/"),
        0,
        "children come before parents"
    );
}
