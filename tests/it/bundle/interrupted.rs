//! Exports that end early: what they leave is invisible, and the next run replaces it.

use std::fs;
use std::sync::Arc;

use airlift::content::{ErrorKind, Event, MemoryObject};
use airlift::storage::{CreateOptions, DirectoryContainer, StorageContainer};
use bytes::Bytes;
use tempfile::tempdir;

use super::road::{Export, files_in, import, names_in, trust, verify};
use super::round_trip::runtime;
use crate::support::artifacts::{Graph, Mix, arbitrary_graph_of};
use crate::support::containers::object_names;
use crate::support::snapshot::assert_same;

const KEYS: [&str; 1] = ["snakeoil-p256"];

fn graph() -> Graph {
    arbitrary_graph_of(1, Mix::ALL.small())
}

fn export(graph: &Graph) -> Export<'_> {
    Export::of(graph).signed(&KEYS).volumes_of(200_000)
}

#[test]
fn partial_files_of_a_killed_run_are_no_bundle_and_are_replaced() {
    let graph = graph();
    let directory = tempdir().expect("a directory");
    runtime().block_on(async {
        let names = export(&graph).plan().await.unwrap().unwrap().object_names();
        assert!(names.len() > 1, "several volumes");
        for name in &names {
            fs::write(directory.path().join(format!("{name}.partial")), b"half").unwrap();
        }
        let policy = trust(&KEYS);
        let nothing = import(directory.path(), &policy).await;
        assert_eq!(nothing.map(drop).unwrap_err().kind(), ErrorKind::NotFound);
        export(&graph).run(directory.path()).await.unwrap();
        assert_eq!(names_in(directory.path()), names);
        verify(directory.path(), &policy).await.unwrap();
        let target = import(directory.path(), &policy).await.unwrap();
        assert_same(&target.snapshot(), &graph.memory.snapshot());
    });
}

/// A run that was killed between two renames has sealed all volumes, and published some.
#[test]
fn volumes_that_a_killed_run_had_sealed_are_published_by_the_next() {
    let graph = graph();
    let directory = tempdir().expect("a directory");
    runtime().block_on(async {
        let report = export(&graph).run(directory.path()).await.unwrap();
        for volume in &report.volumes[1..] {
            let path = directory.path().join(&volume.object);
            fs::rename(&path, path.with_added_extension("partial")).unwrap();
        }
        let policy = trust(&KEYS);
        assert!(import(directory.path(), &policy).await.is_err());
        let again = export(&graph).run(directory.path()).await.unwrap();
        assert!(again.is_unchanged);
        assert_eq!(again.volumes, report.volumes);
        let target = import(directory.path(), &policy).await.unwrap();
        assert_same(&target.snapshot(), &graph.memory.snapshot());
    });
}

/// The last volume was moved to a disc, and the next run removed the others.
#[test]
fn volumes_without_the_last_one_are_never_removed() {
    let graph = graph();
    let directory = tempdir().expect("a directory");
    runtime().block_on(async {
        let report = export(&graph).run(directory.path()).await.unwrap();
        let last = &report.volumes.last().unwrap().object;
        fs::remove_file(directory.path().join(last)).unwrap();
        let before = files_in(directory.path());
        let refused = export(&graph).run(directory.path()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(files_in(directory.path()), before);
    });
}

/// Something else with a name of ours is not ours to remove.
#[test]
fn files_of_others_are_not_replaced() {
    let graph = graph();
    let directory = tempdir().expect("a directory");
    runtime().block_on(async {
        let names = export(&graph).plan().await.unwrap().unwrap().object_names();
        fs::write(directory.path().join(&names[0]), b"something else").unwrap();
        let refused = export(&graph).run(directory.path()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        let files = files_in(directory.path());
        assert_eq!(files, [(names[0].clone(), b"something else".to_vec())]);
    });
}

/// The last volume carries the artifacts, so whoever sees it must find the others.
#[test]
fn volumes_become_visible_in_order_and_the_last_one_last() {
    let graph = graph();
    let directory = tempdir().expect("a directory");
    runtime().block_on(async {
        let plan = export(&graph).plan().await.unwrap().unwrap();
        let names = plan.object_names();
        // A name that is taken after the last content was written stops the publishing there.
        let blocked = names.len() - 2;
        let path = directory.path().join(&names[blocked]);
        let last = plan
            .plan
            .manifests
            .last()
            .unwrap()
            .descriptor
            .digest
            .clone();
        let mut export = export(&graph);
        export.events = Arc::new(move |event| {
            if matches!(event, Event::ContentDone(digest) if digest == last) {
                fs::write(&path, b"taken").unwrap();
            }
        });
        export.run(directory.path()).await.unwrap_err();
        assert_eq!(names_in(directory.path()), names[..=blocked]);
    });
}

#[test]
fn an_object_is_invisible_until_it_is_finished() {
    let directory = tempdir().expect("a directory");
    let container = DirectoryContainer::open(directory.path()).unwrap();
    runtime().block_on(async {
        let mut object = container
            .create("a.tar.zst", CreateOptions::default())
            .await
            .unwrap();
        object
            .write(vec![Bytes::from_static(b"abc")])
            .await
            .unwrap();
        assert!(object_names(&container).await.is_empty());
        let taken = container
            .create("a.tar.zst", CreateOptions::default())
            .await
            .map(drop);
        assert!(taken.is_err(), "two writers of one name");
        object.finish().await.unwrap();
        let published = container.find("a.tar.zst").await.unwrap();
        assert_eq!(published.map(|object| object.size_bytes), Some(3));
        let object = MemoryObject::default();
        object
            .writer()
            .write(vec![Bytes::from_static(b"abc")])
            .await
            .unwrap();
        assert!(object.bytes().is_empty());
    });
}
