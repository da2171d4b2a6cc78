//! A bucket opened with a profile of the AWS tools, by keys and by a program that prints them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use airlift::content::Result;
use airlift::storage::{
    ContainerReference, Credential, LoginSource, Missing, TemporaryLogin, open_container,
};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use crate::support::clouds::Moto;
use crate::support::command::{Airlift, Output};
use crate::support::wait;

const CREDENTIALS: &str = "\
[default]
aws_access_key_id = some-id
aws_secret_access_key = some-secret
[yard]
credential_process = printf '{\"Version\": 1, \"AccessKeyId\": \"other-id\", \"SecretAccessKey\": \"other-secret\"}'
[stale]
credential_process = printf '{\"Version\": 1, \"AccessKeyId\": \"other-id\", \"SecretAccessKey\": \"other-secret\", \"Expiration\": \"2020-01-01T00:00:00Z\"}'
[fleet]
role_arn = arn:aws:iam::1:role/fleet
";

fn list(bucket: &str, profile: Option<&str>) -> Output {
    let airlift = Airlift::new(&["container", "list", bucket, "--log", "trace"]);
    let airlift = airlift.home_file(".aws/credentials", CREDENTIALS);
    match profile {
        Some(profile) => airlift.env("AWS_PROFILE", profile).run(),
        None => airlift.run(),
    }
}

#[test]
fn a_bucket_is_opened_with_a_profile() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let bucket = moto.bucket("drop");
    for profile in [None, Some("default"), Some("yard")] {
        list(&bucket, profile)
            .assert_success()
            .assert_nowhere("-secret");
    }
    list(&bucket, Some("fleet"))
        .assert_stderr("cannot use the AWS profile `fleet`")
        .assert_stderr("it logs in by `role_arn`")
        .assert_code(5);
    list(&bucket, Some("stale"))
        .assert_stderr("its keys have run out already")
        .assert_nowhere("-secret")
        .assert_code(5);
    list(&bucket, Some("nobody"))
        .assert_stderr("there is no such profile")
        .assert_code(5);
}

/// Hands out keys that live for a second, and counts.
struct ShortLived(AtomicUsize);

#[async_trait]
impl LoginSource for ShortLived {
    fn name(&self) -> &'static str {
        "a test"
    }

    async fn login(&self) -> Result<TemporaryLogin> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(TemporaryLogin {
            secret: SecretString::from("some-id:some-secret"),
            expires: Some(Timestamp::now() + SignedDuration::from_secs(1)),
        })
    }
}

#[test]
fn an_open_bucket_outlives_the_keys_that_it_was_opened_with() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bucket: ContainerReference = moto.bucket("drop").parse().unwrap();
    let source = Arc::new(ShortLived(AtomicUsize::new(0)));
    let login = Credential::Renewed(Arc::clone(&source) as Arc<dyn LoginSource>);
    let opened = runtime.block_on(open_container(&bucket, login, Missing::Refuse));
    let opened = opened.unwrap();
    let find = || runtime.block_on(opened.find("chart.tar.zst")).unwrap();
    assert!(find().is_none());
    assert_eq!(source.0.load(Ordering::SeqCst), 1);
    wait::until("other keys were asked for", || {
        find();
        source.0.load(Ordering::SeqCst) > 2
    });
}
