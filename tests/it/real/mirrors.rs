//! What `airlift mirror-config` prints, in the hands of a tool that reads it: an original name is pulled from the
//! target of an import.

use airlift::content::Memory;

use super::{Ends, export};
use crate::support::artifacts::image;
use crate::support::command::airlift;
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
            crate::support::real::run(&ends.skopeo, &arguments)
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
