//! `airlift container` over clouds: blocks that nobody has committed, and buckets that do not tell.

use super::{open, suite};
use crate::support::clouds::{Azurite, Moto, account_key, account_sas};
use crate::support::command::{Airlift, Output};

fn container(words: &[&str], secret: &str) -> Output {
    let mut line = vec!["container"];
    line.extend(words);
    Airlift::new(&line).env("DROP", secret).run()
}

#[tokio::test]
async fn uncommitted_blocks_are_named_and_removed() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let url = azurite.container("near", "drop");
    let opened = open(&url, Some(&account_key("near"))).await;
    suite::write(&*opened, "whole.tar", b"whole").await;
    for name in ["left.tar.zst", "film.mkv"] {
        suite::interrupted_upload(&*opened, name).await;
    }
    let named = format!("{url}?credential=env:DROP");
    let sas = account_sas("near");
    let listed = container(&["list", &named, "--output", "json"], &sas);
    let document = listed.assert_success().assert_nowhere("sig=").json();
    assert_eq!(document["objects"][0]["name"], "whole.tar");
    assert_eq!(document["uploads"][1]["name"], "left.tar.zst");
    container(&["clean", &named], &sas)
        .assert_success()
        .assert_stdout("left: left.tar.zst")
        .assert_stdout("2 open uploads, 0 removed");
    container(&["clean", &named, "--older-than", "0s"], &sas)
        .assert_success()
        .assert_stdout("removed: left.tar.zst")
        .assert_stdout("left: film.mkv")
        .assert_stdout("2 open uploads, 1 removed");
    let uploads = opened.list_uploads().await.unwrap();
    assert_eq!(uploads.len(), 1, "{uploads:?}");
    assert!(opened.find("left.tar.zst").await.unwrap().is_none());
    assert!(opened.find("whole.tar").await.unwrap().is_some());
    let made = Airlift::new(&[
        "sas",
        "make",
        &url,
        "--account-key",
        "env:KEY",
        "--permissions",
        "rl",
        "--expires",
        "8h",
        "--allow-http",
        "--output",
        "json",
    ])
    .env("KEY", &account_key("near"))
    .run();
    let reading = made.assert_success().json()["sas"]
        .as_str()
        .unwrap()
        .to_owned();
    container(&["list", &named], &reading).assert_success();
    container(&["clean", &named, "--dry-run"], &reading).assert_success();
    container(&["clean", &named], &reading)
        .assert_code(5)
        .assert_stderr("is not enough for deleting the source");
}

#[test]
fn a_bucket_says_that_it_cannot_tell() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let named = format!("{}&credential=env:DROP", moto.bucket("drop"));
    let secret = "some-id:some-secret";
    let listed = container(&["list", &named, "--output", "json"], secret);
    listed
        .assert_success()
        .assert_stderr("open uploads of `s3://drop` cannot be listed; `--state` names those");
    assert!(listed.json()["uploads"].is_null());
    container(&["clean", &named], secret)
        .assert_code(1)
        .assert_stderr("error: open uploads of `s3://drop` cannot be listed")
        .assert_stderr("hint: `--state` names those");
}
