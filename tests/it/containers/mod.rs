//! Storage containers: one suite over a directory, Azurite and an S3 server, and the whole road through them.

mod copies;
mod finished;
mod given_up;
mod journey;
mod leftovers;
mod lost;
mod profiles;
mod resumed;
mod suite;

use std::sync::Arc;

use airlift::content::ErrorKind;
use airlift::storage::{
    Abandonment, ContainerReference, Missing, StorageContainer, open_container,
};
use futures_util::TryStreamExt;
use secrecy::SecretString;

use crate::support::clouds::{Azurite, Moto, account_key, account_sas};

async fn open(url: &str, credential: Option<&str>) -> Arc<dyn StorageContainer> {
    let reference: ContainerReference = url.parse().expect("a container");
    let credential = credential.map(SecretString::from);
    let opened = open_container(&reference, credential, Missing::Create).await;
    opened.expect("an open container")
}

#[tokio::test]
async fn a_directory_is_a_container() {
    let directory = tempfile::tempdir().unwrap();
    let container = open(directory.path().to_str().unwrap(), None).await;
    suite::run(&*container).await;
}

#[tokio::test]
async fn azure_is_a_container() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let url = azurite.container("near", "drop");
    let sas = account_sas("near");
    let by_url = open(&format!("{url}/a?{sas}"), None).await;
    suite::run(&*by_url).await;
    suite::resumes(&*by_url).await;
    let by_key = open(&format!("{url}/b"), Some(&account_key("near"))).await;
    suite::run(&*by_key).await;
    abandoned_blocks_are_listed_and_removed(&*by_key).await;
    wrong_signatures_are_denied(&url, &sas).await;
}

/// Not while an object has the name: it is never touched.
async fn abandoned_blocks_are_listed_and_removed(container: &dyn StorageContainer) {
    let left = suite::interrupted_upload(container, "left").await;
    let uploads = container.list_uploads().await.unwrap().unwrap();
    let upload = uploads.iter().find(|it| it.object == "left").unwrap();
    assert_eq!(upload.upload_id, left.upload_id);
    assert!(upload.size_bytes.unwrap() >= left.size_bytes());
    let abandoned = container.abandon("left", &left).await.unwrap();
    assert_eq!(abandoned, Abandonment::Removed);
    let again = container.abandon("left", &left).await.unwrap();
    assert_eq!(again, Abandonment::Gone);
    let uploads = container.list_uploads().await.unwrap().unwrap();
    assert!(uploads.is_empty());
    assert_eq!(container.find("left").await.unwrap(), None);

    let left = suite::interrupted_upload(container, "taken").await;
    suite::write(container, "taken", b"somebody else's").await;
    let abandoned = container.abandon("taken", &left).await.unwrap();
    assert_ne!(abandoned, Abandonment::Removed);
    assert!(container.find("taken").await.unwrap().is_some());
}

async fn wrong_signatures_are_denied(url: &str, sas: &str) {
    let (before, _) = sas.split_once("&sig=").unwrap();
    let wrong = open(&format!("{url}?{before}&sig=WRONG%3D"), None).await;
    let errors = [
        wrong.find("x").await.unwrap_err(),
        wrong.list("").try_collect::<Vec<_>>().await.unwrap_err(),
        wrong.open("x").await.err().unwrap(),
        wrong.remove("x", None).await.unwrap_err(),
    ];
    for error in errors {
        let told = format!("{error} {error:?}");
        assert_eq!(error.kind(), ErrorKind::Denied, "{told}");
        assert!(!told.contains("sig=") && !told.contains("WRONG"), "{told}");
    }
}

#[tokio::test]
async fn s3_is_a_container() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let url = moto.bucket("drop").replace("drop?", "drop/pre?");
    let container = open(&url, Some("id:secret")).await;
    suite::run(&*container).await;
    suite::resumes(&*container).await;
    let left = suite::interrupted_upload(&*container, "left").await;
    container.abandon("left", &left).await.unwrap();
    assert_eq!(container.find("left").await.unwrap(), None);
}
