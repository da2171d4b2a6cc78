//! What every storage container does alike.

use airlift::content::{ErrorKind, Uploaded};
use airlift::storage::{CreateOptions, Overwrite, Resume, StorageContainer, write_small};
use bytes::Bytes;
use futures_util::TryStreamExt;

use crate::support::containers::object_names;

/// Of the parts that a cloud container cuts small objects into.
const PART: usize = 8 << 20;

pub(super) async fn run(container: &dyn StorageContainer) {
    new_objects_are_invisible_and_replace_nothing(container).await;
    one_version_is_read_and_removed(container).await;
    listings_begin_with_a_prefix(container).await;
}

pub(super) async fn write(container: &dyn StorageContainer, object: &str, bytes: &'static [u8]) {
    let written = write_small(
        container,
        object,
        Bytes::from_static(bytes),
        Overwrite::Replace,
    );
    written.await.expect("a written object");
}

async fn new_objects_are_invisible_and_replace_nothing(container: &dyn StorageContainer) {
    assert_eq!(container.find("new").await.unwrap(), None);
    let absent = container.open("new").await.err().unwrap();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    let mut writer = container
        .create("new", CreateOptions::default())
        .await
        .unwrap();
    writer
        .write(vec![Bytes::from_static(b"on"), Bytes::from_static(b"e")])
        .await
        .unwrap();
    writer.seal().await.unwrap();
    assert_eq!(container.find("new").await.unwrap(), None);
    assert!(object_names(container).await.is_empty());
    writer.finish().await.unwrap();
    assert_eq!(container.find("new").await.unwrap().unwrap().size_bytes, 3);
    let again = write_small(
        container,
        "new",
        Bytes::from_static(b"two"),
        Overwrite::Refuse,
    );
    assert_eq!(again.await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    write(container, "new", b"three").await;
    let read = container.open("new").await.unwrap();
    assert_eq!(read.read(0, 5).await.unwrap().as_ref(), b"three");
    container.remove("new", None).await.unwrap();
    container.remove("new", None).await.unwrap();
    assert_eq!(container.find("new").await.unwrap(), None);
}

async fn one_version_is_read_and_removed(container: &dyn StorageContainer) {
    write(container, "read", b"0123456789").await;
    let first = container.find("read").await.unwrap().unwrap();
    let read = container.open("read").await.unwrap();
    assert_eq!(*read.version(), first.version);
    assert_eq!(read.read(3, 4).await.unwrap().as_ref(), b"3456");
    assert!(read.read(10, 0).await.unwrap().is_empty());
    let beyond = read.read(8, 4).await.unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::Incomplete);
    write(container, "read", b"abcdefghij").await;
    let removed = container.remove("read", Some(&first.version)).await;
    assert_eq!(removed.unwrap_err().kind(), ErrorKind::Changed);
    // An open file goes on with the version that it has; a cloud says that it is gone.
    match read.read(0, 10).await {
        Ok(bytes) => assert_eq!(bytes.as_ref(), b"0123456789"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Changed),
    }
    let second = container.find("read").await.unwrap().unwrap();
    container
        .remove("read", Some(&second.version))
        .await
        .unwrap();
    assert_eq!(container.find("read").await.unwrap(), None);
}

async fn listings_begin_with_a_prefix(container: &dyn StorageContainer) {
    for name in ["web-1.tar.zst", "web-2.tar.zst", "db-1.tar.zst"] {
        write(container, name, b"x").await;
    }
    let listed: Vec<_> = container.list("web-").try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
    for object in listed {
        let found = container.find(&object.name).await.unwrap().unwrap();
        assert_eq!((found.version, found.size_bytes), (object.version, 1));
    }
    assert_eq!(object_names(container).await.len(), 3);
    for name in object_names(container).await {
        container.remove(&name, None).await.unwrap();
    }
}

/// Two parts and a bit of an object, sealed and then left.
pub(super) async fn interrupted_upload(container: &dyn StorageContainer, object: &str) -> Uploaded {
    let options = CreateOptions::default();
    let mut writer = container.create(object, options).await.unwrap();
    let bytes = Bytes::from(content());
    writer
        .write(vec![bytes.slice(..2 * PART + 5)])
        .await
        .unwrap();
    writer.seal().await.unwrap();
    let mut uploaded = writer.uploaded().expect("it can be gone on with");
    assert_eq!(uploaded.parts.len(), 3);
    // As if the ledger had not been told of the last one.
    uploaded.parts.truncate(2);
    uploaded
}

fn content() -> Vec<u8> {
    (0..=250).cycle().take(3 * PART + 9).collect()
}

/// The parts that are there are not sent again, and the object is whole.
pub(super) async fn resumes(container: &dyn StorageContainer) {
    let uploaded = interrupted_upload(container, "resumed").await;
    let start = PART + 7;
    let options = CreateOptions {
        resume: Some(Resume {
            uploaded: uploaded.clone(),
            start: start as u64,
        }),
        ..CreateOptions::default()
    };
    let mut writer = container.create("resumed", options).await.unwrap();
    let bytes = Bytes::from(content());
    writer.write(vec![bytes.slice(start..)]).await.unwrap();
    writer.seal().await.unwrap();
    let all = writer.uploaded().unwrap();
    assert_eq!(all.parts[..2], uploaded.parts[..]);
    assert_eq!((all.parts.len(), all.size_bytes()), (4, bytes.len() as u64));
    writer.finish().await.unwrap();
    let read = container.open("resumed").await.unwrap();
    assert_eq!(read.size_bytes(), bytes.len() as u64);
    assert!(read.read(0, bytes.len()).await.unwrap() == bytes);
    container.remove("resumed", None).await.unwrap();
}
