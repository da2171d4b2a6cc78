//! A bucket opened with a profile of the AWS tools, by keys and by a program that prints them.

use crate::support::clouds::Moto;
use crate::support::command::{Airlift, Output};

const CREDENTIALS: &str = "\
[default]
aws_access_key_id = some-id
aws_secret_access_key = some-secret
[yard]
credential_process = printf '{\"Version\": 1, \"AccessKeyId\": \"other-id\", \"SecretAccessKey\": \"other-secret\"}'
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
    list(&bucket, Some("nobody"))
        .assert_stderr("there is no such profile")
        .assert_code(5);
}
