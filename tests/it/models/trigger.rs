//! The source trigger of an ACR pipeline: whether `airlift serve` imports a bundle by itself when it appears.

use super::acr::read_pipelines;
use super::{Works, stock, tags_of};
use crate::support::wait;

/// Beside the pair, an import with a trigger: when it has delivered a bundle, the other would have, too.
const WITNESS: &str = r#"
[import.witness]
container = "acme-transfer-in"
target = "far/witness"
trust = ["DESK/keys/in.key.pub"]
shares-tags-with = ["in"]
"#;

#[test]
fn the_source_trigger_decides_whether_a_bundle_is_imported_by_itself() {
    for status in ["Enabled", "Disabled"] {
        let Some(works) = Works::start_or_skip() else {
            return;
        };
        let file = read_pipelines(&works, "", "", status);
        let file = file.replace("https://acme.blob.core.windows.net/transfer", "DESK/usb");
        let mut lines: Vec<&str> = file.lines().collect();
        lines.retain(|line| !line.starts_with("credential = "));
        works.configure(&format!("{}\n{WITNESS}", lines.join("\n")));
        stock(&works.near, &[("apps/web", "1.4", 4)]);
        std::fs::create_dir(works.path("usb")).unwrap();
        let mut serving = works.command("serve").spawn();
        wait::until("it serves", || {
            serving.stdout().contains("ready") || serving.has_ended()
        });
        works.run("run export out apps/web:1.4").assert_success();
        let arrived = |repository| !tags_of(&works.far, repository).is_empty();
        wait::until("the witness has it", || arrived("witness/apps/web"));
        if status == "Enabled" {
            wait::until("it is imported by itself", || arrived("apps/web"));
        }
        serving.signal("TERM");
        serving.output().assert_success();
        assert_eq!(arrived("apps/web"), status == "Enabled");
        if status == "Disabled" {
            works.run("run import in").assert_success();
            assert!(arrived("apps/web"), "by hand");
        }
    }
}
