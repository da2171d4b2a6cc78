//! What `airlift mirror-config` prints, in the hands of a tool that reads it: an original name is pulled from the
//! target of an import.

use airlift::content::Memory;

use serde_json::Value;

use super::{Ends, export};
use crate::support::artifacts::image;
use crate::support::command::airlift;
use crate::support::real::{run, tool_or_skip};
use crate::support::registry::Registry;

/// A host that nobody can reach: what is pulled from it came from elsewhere.
const SOURCE: &str = "registry.invalid";

#[tokio::test]
async fn an_original_name_is_pulled_through_the_printed_configuration() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    let memory = Memory::new();
    for name in ["library/nginx", "apps/web"] {
        let repository = name.parse().unwrap();
        let document = image(&memory, &repository, "amd64", &[name.as_bytes()]);
        memory.put_manifest(&repository, document, Some(&"1".parse().unwrap()));
    }
    let registry = Registry::start();
    registry.seed(&memory);
    let names =
        ["library/nginx:1", "apps/web:1"].map(|name| format!("{}/{name}", registry.address()));
    let references: Vec<&str> = names.iter().map(String::as_str).collect();
    export(&references, ends.container.path())
        .run()
        .assert_success();
    let target = format!("{}/mirror", ends.target.address());
    let rules = ["--rename", "library/=hub/"];
    import_with(&ends, &target, &rules);
    let mut line = vec!["mirror-config", "--format", "podman", "--source", SOURCE];
    line.extend(["--target", &target]);
    line.extend(rules);
    let printed = airlift(&line);
    let file = ends.container.path().join("registries.conf");
    std::fs::write(&file, &printed.assert_success().stdout).unwrap();
    let directory = ends.container.path().join("none.d");
    std::fs::create_dir(&directory).unwrap();
    for (old, new) in [
        ("library/nginx", "mirror/hub/nginx"),
        ("apps/web", "mirror/apps/web"),
    ] {
        let inspect = |name: &str, more: &[&str]| {
            let file = file.to_str().unwrap().to_owned();
            let directory = directory.to_str().unwrap().to_owned();
            let mut arguments = vec!["--registries-conf", &file, "--registries.d", &directory];
            arguments.extend(["inspect", "--raw"]);
            arguments.extend(more);
            let name = format!("docker://{name}:1");
            arguments.push(&name);
            run(&ends.skopeo, &arguments)
        };
        let pulled = inspect(&format!("{SOURCE}/{old}"), &[]);
        let there = format!("{}/{new}", ends.target.address());
        assert_eq!(pulled, inspect(&there, &["--tls-verify=false"]), "{old}");
    }
}

fn import_with(ends: &Ends, target: &str, rules: &[&str]) {
    let container = ends.container.path().to_str().unwrap();
    let trust = super::text(&super::fixture("keys/snakeoil-p256.pub"));
    let mut line = vec!["import", container, "--target", target, "--trust", &trust];
    line.extend(rules);
    airlift(&line).assert_success();
}

/// Every form that rules and sources can have is a file that podman's own reader takes: it reads all of it before it
/// looks for anything.
#[tokio::test]
async fn every_printed_form_is_read_by_the_tool() {
    let Some(ends) = Ends::start_or_skip() else {
        return;
    };
    let memory = Memory::new();
    let repository = "mirror/other".parse().unwrap();
    let document = image(&memory, &repository, "amd64", &[b"other"]);
    memory.put_manifest(&repository, document, Some(&"1".parse().unwrap()));
    let registry = Registry::start();
    registry.seed(&memory);
    let target = format!("{}/mirror", registry.address());
    let mut line = vec!["mirror-config", "--format", "podman", "--target", &target];
    for source in [
        "docker.io",
        "quay.io:8443",
        "10.0.0.1:5000",
        "[::1]:5000",
        SOURCE,
    ] {
        line.extend(["--source", source]);
    }
    for rule in ["library/=hub/", "apps/deep/=", "one=other", "~x-(.*)=$1"] {
        line.extend(["--rename", rule]);
    }
    let printed = airlift(&line);
    printed.assert_code(3);
    let file = ends.container.path().join("registries.conf");
    std::fs::write(&file, &printed.stdout).unwrap();
    let name = format!("docker://{SOURCE}/one:1");
    let file = file.to_str().unwrap();
    let pulled = run(
        &ends.skopeo,
        &["--registries-conf", file, "inspect", "--raw", &name],
    );
    assert!(pulled.contains("\"layers\""), "{pulled}");
}

/// As the definitions of the two resources have it: `config.openshift.io/v1`.
#[test]
fn mirror_sets_are_read_by_kubectl_and_have_what_their_definitions_ask_for() {
    let Some(kubectl) = tool_or_skip("kubectl") else {
        return;
    };
    let printed = airlift(&[
        "mirror-config",
        "--format",
        "kubernetes",
        "--target",
        "registry.local:5000/mirror",
        "--source",
        "docker.io",
        "--source",
        "quay.io:8443",
        "--rename",
        "library/=hub/",
    ]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sets.yaml");
    std::fs::write(&file, &printed.assert_success().stdout).unwrap();
    let file = file.to_str().unwrap();
    let label = ["label", "--local", "--dry-run=client", "-o", "json"];
    let read = run(&kubectl, &[&label[..], &["-f", file, "read=yes"]].concat());
    let read = serde_json::Deserializer::from_str(&read).into_iter::<Value>();
    let sets: Vec<Value> = read.map(Result::unwrap).collect();
    let definitions = [
        ("ImageDigestMirrorSet", "imageDigestMirrors"),
        ("ImageTagMirrorSet", "imageTagMirrors"),
    ];
    assert_eq!(sets.len(), definitions.len());
    // What the definitions say of a source and of a mirror: a host, its port, and a path of lower-case names.
    let host = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*(:[0-9]+)?";
    let place = format!(r"^{host}(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$");
    let place = regex::Regex::new(&place).unwrap();
    for (set, (kind, key)) in sets.iter().zip(definitions) {
        assert_eq!(set["apiVersion"], "config.openshift.io/v1");
        assert_eq!(set["kind"], kind);
        assert_eq!(set["metadata"]["name"], "airlift");
        let spec = set["spec"].as_object().unwrap();
        assert_eq!(spec.keys().collect::<Vec<_>>(), [key]);
        let entries = spec[key].as_array().unwrap();
        assert_eq!(entries.len(), 4);
        for entry in entries {
            let keys: Vec<&String> = entry.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["mirrors", "source"]);
            let mirrors = entry["mirrors"].as_array().unwrap();
            assert_eq!(mirrors.len(), 1);
            for name in mirrors.iter().chain([&entry["source"]]) {
                assert!(place.is_match(name.as_str().unwrap()), "{name}");
            }
        }
    }
}
