//! `airlift mirror-config`: from a pipeline or from flags, and what cannot be said.

use super::json::assert_documented;
use super::serve::{MIRROR, NIGHTLY, Yard};

#[test]
fn a_pipelines_target_and_rules_are_printed_for_every_runtime() {
    let yard = Yard::new(&[MIRROR, "rename = [\"library/=hub/\"]\n"].concat());
    let far = yard.far.address();
    let print = |format: &str| {
        yard.run(&format!(
            "mirror-config mirror --format {format} --source docker.io"
        ))
    };
    let podman = print("podman");
    podman
        .assert_success()
        .assert_stdout("prefix = \"docker.io/library\"")
        .assert_stdout(&format!("location = \"{far}/mirror/hub\""))
        .assert_stdout("insecure = true");
    let _: toml::Table = podman.stdout.parse().unwrap();
    let kubernetes = print("kubernetes");
    kubernetes
        .assert_code(3)
        .assert_stdout("kind: ImageTagMirrorSet")
        .assert_stderr("insecureRegistries");
    let containerd = print("containerd");
    containerd
        .assert_code(3)
        .assert_stdout("# /etc/containerd/certs.d/docker.io/hosts.toml")
        .assert_stdout(&format!("[host.\"http://{far}/v2/mirror\"]"))
        .assert_stderr("`mirror/hub`, and containerd knows one path");
    let document =
        yard.run("mirror-config mirror --format containerd --source docker.io --output json");
    assert_documented("mirror-config", &[document.json()]);
}

#[test]
fn sources_are_those_that_the_pipeline_has_imported_from() {
    let nightly = NIGHTLY.replace("schedule = \"30 3 * * *\"\n", "");
    let yard = Yard::new(&[&nightly, MIRROR].concat());
    let line = "mirror-config mirror --format containerd";
    yard.run(line).assert_code(2);
    yard.run("run export nightly").assert_success();
    yard.run("run import mirror").assert_success();
    let near = yard.near.address();
    yard.run(line)
        .assert_success()
        .assert_stdout(&format!("certs.d/{near}/hosts.toml"));
}

#[test]
fn flags_alone_do_and_a_regular_expression_is_named() {
    let yard = Yard::new("");
    let line = "mirror-config --target registry.local:5000 --format podman --source quay.io --rename ~team-(.*)=$1";
    let told = yard.desk.run(line);
    told.assert_code(3)
        .assert_stdout("location = \"registry.local:5000\"")
        .assert_stderr("`~team-(.*)=$1` is a regular expression");
    for wrong in ["https://quay.io", "quay.io/apps", "quay"] {
        let line = format!("mirror-config --target r.local --format podman --source {wrong}");
        yard.desk.run(&line).assert_code(2);
    }
    yard.desk
        .run("mirror-config --target oci:here --format podman --source quay.io")
        .assert_code(2)
        .assert_stderr("no registry");
}
