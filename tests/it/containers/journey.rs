//! From a registry through a cloud to a registry, by the built binary.

use crate::support::clouds::{Azurite, Moto, account_sas};
use crate::support::command::{Airlift, Output};
use crate::support::real::DockerRegistry;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

fn run(secret: &str, arguments: &[&str]) -> Output {
    Airlift::new(arguments).env("DROP", secret).run()
}

/// Every command that takes a container or a bundle, with the secret in the environment.
fn travel(container: &str, object: &str, secret: &str) {
    let (Some(source), Some(target)) = (
        DockerRegistry::start_or_skip(),
        DockerRegistry::start_or_skip(),
    ) else {
        return;
    };
    let key = format!("{FIXTURES}/keys/snakeoil-p256");
    let trust = format!("{key}.pub");
    let seeds = tempfile::tempdir().unwrap();
    let seeds = seeds.path().to_str().unwrap();
    let layout = format!("oci:{FIXTURES}/foreign/helm-chart");
    run(
        secret,
        &["export", &layout, "--container", seeds, "--sign-key", &key],
    )
    .assert_success();
    let seeded = [
        "import",
        seeds,
        "--target",
        &source.address(),
        "--trust",
        &trust,
    ];
    run(secret, &seeded).assert_success();

    let reference = format!("{}/helm-chart:0.1.0", source.address());
    let export = [
        "export",
        &reference,
        "--container",
        container,
        "--sign-key",
        &key,
        "--name",
        "chart",
    ];
    let outputs = [
        run(secret, &export),
        run(secret, &["inspect", object]),
        run(secret, &["verify", object, "--trust", &trust]),
        run(
            secret,
            &[
                "import",
                container,
                "--target",
                &target.address(),
                "--trust",
                &trust,
                "--check",
            ],
        ),
        run(secret, &export),
    ];
    for output in &outputs {
        output
            .assert_success()
            .assert_nowhere("sig=")
            .assert_nowhere(secret);
    }
    outputs[3].assert_stdout("helm-chart:0.1.0");
    outputs[4].assert_stdout("unchanged");
}

#[test]
fn an_image_goes_through_azure() {
    let Some(azurite) = Azurite::start_or_skip() else {
        return;
    };
    let url = azurite.container("near", "drop");
    let object = format!("{url}/chart.tar.zst?credential=env:DROP");
    travel(
        &format!("{url}?credential=env:DROP"),
        &object,
        &account_sas("near"),
    );
}

#[test]
fn an_image_goes_through_s3() {
    let Some(moto) = Moto::start_or_skip() else {
        return;
    };
    let url = moto.bucket("drop");
    let object = url.replace("drop?", "drop/chart.tar.zst?");
    let secret = "some-id:some-secret";
    let with = |url: &str| format!("{url}&credential=env:DROP");
    travel(&with(&url), &with(&object), secret);
}
