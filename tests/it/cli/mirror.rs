//! `airlift mirror-config`: from a pipeline or from flags, and what cannot be said.

use std::collections::BTreeMap;

use serde::Deserialize;

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

/// Everything that containerd knows of in a `hosts.toml`, by its `docs/hosts.md`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostsFile {
    server: String,
    host: BTreeMap<String, HostsEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostsEntry {
    capabilities: Vec<Capability>,
    #[serde(default)]
    override_path: bool,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Capability {
    Pull,
    Resolve,
    Push,
}

/// What containerd asks for when `NAME:TAG` of the registry of this file is pulled: `/v2` is added where the path is
/// not overridden, and the original host is told as `ns`.
fn urls_of(hosts: &HostsFile, name: &str, tag: &str) -> Vec<String> {
    let url = |(host, entry): (&String, &HostsEntry)| {
        let root = match entry.override_path {
            true => host.clone(),
            false => format!("{host}/v2"),
        };
        let (_, ns) = hosts.server.split_once("://").unwrap();
        format!("{root}/{name}/manifests/{tag}?ns={ns}")
    };
    hosts.host.iter().map(url).collect()
}

#[test]
fn containerd_finds_an_original_name_by_the_printed_file() {
    let nightly = NIGHTLY.replace("schedule = \"30 3 * * *\"\n", "");
    let yard = Yard::new(&[&nightly, MIRROR].concat());
    yard.run("run export nightly").assert_success();
    yard.run("run import mirror").assert_success();
    let printed = yard.run("mirror-config mirror --format containerd");
    let hosts: HostsFile = toml::from_str(&printed.assert_success().stdout).unwrap();
    assert_eq!(hosts.server, format!("https://{}", yard.near.address()));
    for entry in hosts.host.values() {
        assert_eq!(entry.capabilities, [Capability::Pull, Capability::Resolve]);
    }
    let urls = urls_of(&hosts, "apps/web", "1.4");
    assert_eq!(urls.len(), 1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let status = runtime.block_on(async { reqwest::get(&urls[0]).await.unwrap().status() });
    assert_eq!(status.as_u16(), 200, "{}", urls[0]);
    // Without a prefix the path is containerd's own.
    let line = "mirror-config --target registry.local --format containerd --source quay.io";
    let printed = yard.desk.run(line);
    let hosts: HostsFile = toml::from_str(&printed.assert_success().stdout).unwrap();
    assert_eq!(
        urls_of(&hosts, "apps/web", "1.4"),
        ["https://registry.local/v2/apps/web/manifests/1.4?ns=quay.io"]
    );
}
