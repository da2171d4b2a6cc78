//! Copies between containers: by the service itself, and gone on with after an interruption.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use airlift::content::{ErrorKind, Result, Version};
use airlift::storage::{BegunCopy, Origin, Overwrite, ServiceCopy, StorageContainer, WantedCopy};
use bytes::Bytes;

use super::{open, suite};
use crate::support::clouds::{Azurite, Moto, account_key};
use crate::support::relay::{Relay, Verdict};

const MIB: usize = 1 << 20;

/// No two parts of it are equal.
fn content(length: usize) -> Bytes {
    let words =
        (0..length.div_ceil(8)).map(|word| (word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(length);
    bytes.into()
}

async fn put(container: &dyn StorageContainer, object: &str, bytes: &Bytes) -> Version {
    let written =
        airlift::storage::write_small(container, object, bytes.clone(), Overwrite::Replace);
    written.await.unwrap();
    container.find(object).await.unwrap().unwrap().version
}

async fn is_equal(container: &dyn StorageContainer, object: &str, bytes: &Bytes) -> bool {
    let read = container.open(object).await.unwrap();
    read.size_bytes() == bytes.len() as u64 && read.read(0, bytes.len()).await.unwrap() == *bytes
}

/// What came of it, and the bytes that were told while it went on.
async fn copy(
    source: &dyn StorageContainer,
    target: &dyn StorageContainer,
    object: &str,
    version: &Version,
) -> (Result<ServiceCopy>, u64) {
    let offered = source.offer(object, version).await.unwrap().unwrap();
    let heard = AtomicU64::new(0);
    let on_bytes = |bytes| {
        heard.fetch_add(bytes, Ordering::Relaxed);
    };
    let copied = target.copy_from(WantedCopy {
        object,
        source: &offered,
        overwrite: Overwrite::Refuse,
        on_bytes: &on_bytes,
    });
    (copied.await, heard.into_inner())
}

/// Two buckets of one service, both seen through a relay.
async fn buckets(moto: &Moto) -> (Relay, Arc<dyn StorageContainer>, Arc<dyn StorageContainer>) {
    let relay = Relay::before(moto.address);
    let near = relay.through(&moto.bucket("near").replace("near?", "near/a b?"));
    let far = relay.through(&moto.bucket("far"));
    let near = open(&near, Some("id:secret")).await;
    (relay, near, open(&far, Some("id:secret")).await)
}

#[tokio::test]
async fn s3_copies_within_itself() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let (relay, near, far) = buckets(&moto).await;
    for (object, bytes) in [("small", content(70_001)), ("large", content(70 * MIB + 3))] {
        let version = put(&*near, object, &bytes).await;
        relay.take_bytes();
        let (copied, heard) = copy(&*near, &*far, object, &version).await;
        assert!(matches!(copied, Ok(ServiceCopy::Done)), "{copied:?}");
        assert_eq!(heard, bytes.len() as u64);
        let (up, down) = relay.take_bytes();
        assert!(up < 1000 && down == 0, "{up} bytes up, {down} down");
        assert!(is_equal(&*far, object, &bytes).await);
        let (again, _) = copy(&*near, &*far, object, &version).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
    let old = put(&*near, "small", &content(5)).await;
    put(&*near, "small", &content(6)).await;
    let changed = near.offer("small", &old).await.unwrap_err();
    assert_eq!(changed.kind(), ErrorKind::Changed);
}

#[tokio::test]
async fn s3_copies_for_nobody_else_and_a_refusal_leaves_nothing() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let (relay, near, far) = buckets(&moto).await;
    let bytes = content(70 * MIB);
    let version = put(&*near, "large", &bytes).await;
    let stranger = open(&moto.bucket("other"), Some("id:another")).await;
    let (apart, _) = copy(&*near, &*stranger, "large", &version).await;
    assert!(matches!(apart, Ok(ServiceCopy::Apart)), "{apart:?}");
    relay.judge(|seen| match seen.is_copy {
        true => Verdict::Answer(501),
        false => Verdict::Pass,
    });
    let (refused, heard) = copy(&*near, &*far, "large", &version).await;
    assert!(
        matches!(refused, Ok(ServiceCopy::Refused(_))),
        "{refused:?}"
    );
    assert_eq!((heard, far.find("large").await.unwrap()), (0, None));
    assert_eq!(
        relay.count(|seen| seen.method == "DELETE"),
        1,
        "the upload is given up"
    );
}

#[tokio::test]
async fn an_interrupted_copy_of_azure_goes_on_with_the_staged_blocks() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let relay = Relay::before(azurite.blobs);
    let near = open(
        &azurite.container("near", "out"),
        Some(&account_key("near")),
    )
    .await;
    let far = relay.through(&azurite.container("far", "inbox"));
    let far = open(&far, Some(&account_key("far"))).await;
    let bytes = content(70 * MIB);
    let version = put(&*near, "large", &bytes).await;
    relay.judge(|seen| match seen.is_copy {
        true => Verdict::Answer(400),
        false => Verdict::Pass,
    });
    let (refused, _) = copy(&*near, &*far, "large", &version).await;
    assert!(
        matches!(refused, Ok(ServiceCopy::Refused(_))),
        "{refused:?}"
    );
    let third = format!("bytes={}-", 64 * MIB);
    relay.judge(move |seen| match seen.copied_range.starts_with(&third) {
        true => Verdict::Answer(400),
        false => Verdict::Pass,
    });
    let (failed, first) = copy(&*near, &*far, "large", &version).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Failed);
    assert_eq!(far.find("large").await.unwrap(), None, "nothing is visible");
    relay.judge(|_| Verdict::Pass);
    let copies = relay.count(|seen| seen.is_copy);
    let (copied, second) = copy(&*near, &*far, "large", &version).await;
    assert!(matches!(copied, Ok(ServiceCopy::Done)), "{copied:?}");
    assert_eq!(
        relay.count(|seen| seen.is_copy) - copies,
        1,
        "one range is left"
    );
    assert_eq!(first + second, bytes.len() as u64);
    assert!(is_equal(&*far, "large", &bytes).await);
    let (up, down) = relay.take_bytes();
    assert!(
        up < 2000 && down == bytes.len() as u64,
        "only what the test has read"
    );
}

fn origin(version: &str, bytes: &Bytes) -> Origin {
    Origin {
        name: "near/object".to_owned(),
        version: Version::new(version),
        size_bytes: bytes.len() as u64,
    }
}

async fn begin(container: &dyn StorageContainer, origin: &Origin) -> BegunCopy {
    let begun = container.create_equal("object", Overwrite::Refuse, origin);
    begun.await.unwrap()
}

/// The first `length` bytes, as a run that ends early leaves them.
async fn leave(container: &dyn StorageContainer, origin: &Origin, bytes: &Bytes, length: usize) {
    let mut begun = begin(container, origin).await;
    let first = usize::try_from(begun.present_bytes).unwrap();
    for piece in bytes[first..length].chunks(MIB) {
        let piece = vec![bytes.slice_ref(piece)];
        begun.writer.write(piece).await.unwrap();
    }
    begun.writer.leave().await;
}

/// What is there of a copy is found by whoever copies the same version, and by nobody else.
async fn copies_go_on(container: &dyn StorageContainer) {
    let bytes = content(21 * MIB);
    let present = |version: &'static str| {
        let origin = origin(version, &bytes);
        async move {
            let begun = begin(container, &origin).await;
            begun.writer.leave().await;
            begun.present_bytes
        }
    };
    leave(container, &origin("1", &bytes), &bytes, 9 * MIB).await;
    assert_eq!(container.find("object").await.unwrap(), None);
    assert_eq!(present("1").await, 8 * MIB as u64);
    leave(container, &origin("1", &bytes), &bytes, 17 * MIB).await;
    assert_eq!(present("1").await, 16 * MIB as u64);
    let mut begun = begin(container, &origin("1", &bytes)).await;
    let first = usize::try_from(begun.present_bytes).unwrap();
    begun
        .writer
        .write(vec![bytes.slice(first..)])
        .await
        .unwrap();
    begun.writer.finish().await.unwrap();
    assert!(is_equal(container, "object", &bytes).await);
    container.remove("object", None).await.unwrap();
    leave(container, &origin("1", &bytes), &bytes, 9 * MIB).await;
    assert_eq!(present("2").await, 0, "another version begins anew");
}

#[tokio::test]
async fn a_copy_into_a_directory_goes_on_with_what_is_proven() {
    let directory = tempfile::tempdir().unwrap();
    let container = open(directory.path().to_str().unwrap(), None).await;
    copies_go_on(&*container).await;
    let bytes = content(21 * MIB);
    leave(&*container, &origin("3", &bytes), &bytes, 9 * MIB).await;
    let partial = directory.path().join("object.partial");
    let mut damaged = std::fs::read(&partial).unwrap();
    damaged[5 * MIB] ^= 1;
    std::fs::write(&partial, damaged).unwrap();
    let begun = begin(&*container, &origin("3", &bytes)).await;
    assert_eq!(begun.present_bytes, 4 * MIB as u64, "up to the damage");
    begun.writer.abort().await;
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "neither a partial file nor its record");
    // A file that has another name too is not written into.
    leave(&*container, &origin("3", &bytes), &bytes, 9 * MIB).await;
    let other = directory.path().join("other");
    std::fs::hard_link(&partial, &other).unwrap();
    let begun = begin(&*container, &origin("3", &bytes)).await;
    assert_eq!(begun.present_bytes, 0);
    assert_eq!(std::fs::read(&other).unwrap(), bytes[..9 * MIB]);
}

#[tokio::test]
async fn a_copy_into_azure_goes_on_with_the_blocks_of_its_version() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let url = azurite.container("near", "drop");
    let container = open(&url, Some(&account_key("near"))).await;
    copies_go_on(&*container).await;
    suite::run(&*container).await;
}
