//! A pair of pipelines of ACR Transfer: read by `config import-acr`, and run with each option on and off.
//!
//! The storage container is a directory here; in `azure` it is one of Azure.

use std::fs;

use super::{Works, layer_in, stock, tags_of};
use crate::support::command::Output;
use crate::support::wait;

/// Both pipelines as `az … list` prints them; `EXPORT_OPTIONS`, `IMPORT_OPTIONS` and `TRIGGER` are still to be filled.
pub(super) const PIPELINES: &str = r#"[
 { "type": "Microsoft.ContainerRegistry/registries/exportPipelines", "name": "near/out",
   "properties": { "options": [EXPORT_OPTIONS],
     "target": { "type": "AzureStorageBlobContainer", "uri": "https://acme.blob.core.windows.net/transfer",
                 "keyVaultUri": "https://acme.vault.azure.net/secrets/near" } } },
 { "type": "Microsoft.ContainerRegistry/registries/importPipelines", "name": "far/in",
   "properties": { "options": [IMPORT_OPTIONS], "trigger": { "sourceTrigger": { "status": "TRIGGER" } },
     "source": { "type": "AzureStorageBlobContainer", "uri": "https://acme.blob.core.windows.net/transfer",
                 "keyVaultUri": "https://acme.vault.azure.net/secrets/far" } } } ]"#;

/// What `config import-acr` makes of the pair, before places of ours are put in.
pub(super) fn read_pipelines(works: &Works, export: &str, import: &str, trigger: &str) -> String {
    let quoted = |options: &str| {
        let options = options.split_whitespace();
        let options: Vec<String> = options.map(|option| format!("\"{option}\"")).collect();
        options.join(", ")
    };
    let text = PIPELINES
        .replace("EXPORT_OPTIONS", &quoted(export))
        .replace("IMPORT_OPTIONS", &quoted(import))
        .replace("TRIGGER", trigger);
    fs::write(works.path("acr.json"), text).unwrap();
    let keys = works.text("keys");
    let read = works.run(&format!("config import-acr acr.json --keys {keys}"));
    read.assert_success()
        .stdout
        .replace("\"/var/lib/airlift\"", "\"DESK/state\"")
        .replace("near.azurecr.io", "NEAR")
        .replace("far.azurecr.io", "FAR")
}

/// The pair with the directory `usb` between its ends.
struct Pair(Works);

impl Pair {
    /// Near has `apps/web:1.4` and `apps/api:2.0`.
    fn start_or_skip(export: &str, import: &str) -> Option<Self> {
        Self::with_trigger_or_skip(export, import, "Disabled")
    }

    fn with_trigger_or_skip(export: &str, import: &str, trigger: &str) -> Option<Self> {
        let works = Works::start_or_skip()?;
        let file = read_pipelines(&works, export, import, trigger);
        let file = file.replace("https://acme.blob.core.windows.net/transfer", "DESK/usb");
        let mut lines: Vec<&str> = file.lines().collect();
        lines.retain(|line| !line.starts_with("credential = "));
        // A name of our choice, so that somebody else's object can have it.
        let file = lines
            .join("\n")
            .replace("[export.out]", "[export.out]\nname = \"batch\"");
        works.configure(&file);
        let images = [("apps/web", "1.4", 4), ("apps/api", "2.0", 5)];
        stock(&works.near, &images);
        Some(Self(works))
    }

    fn export(&self, more: &str) -> Output {
        let line = format!("run export out apps/web:1.4 apps/api:2.0 {more}");
        self.0.run(&line)
    }

    fn import(&self) -> Output {
        self.0.run("run import in")
    }

    /// Adds a pipeline with a source trigger that takes the same bundles into a layout.
    fn add_witness(&self) {
        let file = fs::read_to_string(self.0.path("airlift.toml")).unwrap();
        let container = file
            .split("[import.in]\n")
            .nth(1)
            .and_then(|section| section.lines().find(|it| it.starts_with("container = ")))
            .unwrap()
            .to_owned();
        let witness = format!(
            "\n[import.witness]\n{container}\ntarget = \"oci:DESK/witness\"\ntrust = [\"DESK/keys/in.key.pub\"]\ninterval = \"1s\"\n"
        );
        self.0.configure(&format!("{file}{witness}"));
    }

    /// How many runs of a pipeline have ended well; none where nothing was recorded yet.
    fn runs_done(&self, section: &str) -> usize {
        let state = self.0.text("state");
        let listed = self.0.run(&format!("runs --state {state} --output json"));
        if listed.code != Some(0) {
            return 0;
        }
        let document = listed.json();
        let runs = document["runs"].as_array().unwrap().iter();
        runs.filter(|run| run["section"] == section && run["status"] == "done")
            .count()
    }

    /// What both ends have under a tag.
    fn digests(&self, repository: &str, tag: &str) -> [Option<String>; 2] {
        [&self.0.near, &self.0.far].map(|end| tags_of(end, repository).remove(tag))
    }

    #[track_caller]
    fn assert_delivered(&self, repository: &str, tag: &str) {
        let [near, far] = self.digests(repository, tag);
        assert!(near.is_some() && near == far, "{near:?} {far:?}");
    }
}

#[test]
fn a_pair_of_pipelines_is_read_and_carries_artifacts() {
    let Some(pair) = Pair::start_or_skip("", "") else {
        return;
    };
    pair.0
        .run("config check")
        .assert_success()
        .assert_stdout("2 pipelines");
    pair.export("").assert_success();
    pair.import().assert_success().assert_stdout("imported");
    pair.assert_delivered("apps/web", "1.4");
    pair.assert_delivered("apps/api", "2.0");
}

#[test]
fn artifacts_of_a_run_are_named_by_tag_and_by_digest() {
    let Some(pair) = Pair::start_or_skip("", "") else {
        return;
    };
    let [near, _] = pair.digests("apps/api", "2.0");
    let digest = near.unwrap();
    pair.0
        .run(&format!("run export out apps/web:1.4 apps/api@{digest}"))
        .assert_success()
        .assert_stdout("2 artifacts");
    pair.import().assert_success();
    pair.assert_delivered("apps/web", "1.4");
    assert_eq!(pair.digests("apps/api", "2.0")[1], None, "it had no tag");
    let far = pair.0.far.address();
    let found = format!("export {far}/apps/api@{digest} --container more --dry-run");
    pair.0
        .run(&found)
        .assert_success()
        .assert_stdout("1 volume");
}

#[test]
fn overwrite_blobs_decides_about_an_object_of_the_same_name() {
    for (options, code) in [("", 1), ("OverwriteBlobs", 0)] {
        let Some(pair) = Pair::start_or_skip(options, "") else {
            return;
        };
        fs::create_dir(pair.0.path("usb")).unwrap();
        let object = pair.0.path("usb/batch-1.tar.zst");
        fs::write(&object, "somebody else's").unwrap();
        pair.export("").assert_code(code);
        let is_kept = fs::read(&object).unwrap() == b"somebody else's";
        assert_eq!(is_kept, options.is_empty());
        if !is_kept {
            pair.import().assert_success();
            pair.assert_delivered("apps/web", "1.4");
        }
    }
}

#[test]
fn overwrite_tags_decides_about_a_tag_of_other_content() {
    for (options, code) in [("", 4), ("OverwriteTags", 0)] {
        let Some(pair) = Pair::start_or_skip("", options) else {
            return;
        };
        stock(&pair.0.far, &[("apps/web", "1.4", 20)]);
        let [near, before] = pair.digests("apps/web", "1.4");
        assert!(before.is_some() && before != near);
        pair.export("").assert_success();
        pair.import().assert_code(code);
        if options.is_empty() {
            assert_eq!(pair.digests("apps/web", "1.4")[1], before);
            assert_eq!(pair.digests("apps/api", "2.0")[1], None, "all or nothing");
        } else {
            pair.assert_delivered("apps/web", "1.4");
        }
    }
}

#[test]
fn continue_on_errors_decides_about_an_export_with_a_broken_artifact() {
    for (options, code) in [("", 1), ("ContinueOnErrors", 3)] {
        let Some(pair) = Pair::start_or_skip(options, "") else {
            return;
        };
        fs::remove_file(layer_in(&pair.0.near, 5)).unwrap();
        let exported = pair.export("");
        exported.assert_code(code).assert_stderr("apps/api");
        let objects = pair.0.names("usb");
        if options.is_empty() {
            let visible = |name: &&String| name.ends_with(".tar.zst");
            assert_eq!(objects.iter().find(visible), None);
            continue;
        }
        let (run, _) = pair.0.newest_run("export");
        assert_eq!(run["status"], "partly failed");
        assert_eq!(run["artifacts"]["failed"], 1);
        pair.import().assert_success();
        pair.assert_delivered("apps/web", "1.4");
        assert_eq!(pair.digests("apps/api", "2.0")[1], None);
    }
}

#[test]
fn continue_on_errors_decides_about_an_import_with_a_refused_artifact() {
    for (options, code) in [("", 4), ("ContinueOnErrors", 3)] {
        let Some(pair) = Pair::start_or_skip("", options) else {
            return;
        };
        // Tags may not be overwritten, and one of the two is taken.
        stock(&pair.0.far, &[("apps/web", "1.4", 20)]);
        let before = pair.digests("apps/web", "1.4")[1].clone();
        pair.export("").assert_success();
        pair.import().assert_code(code);
        assert_eq!(pair.digests("apps/web", "1.4")[1], before);
        if options.is_empty() {
            assert_eq!(pair.digests("apps/api", "2.0")[1], None);
        } else {
            pair.assert_delivered("apps/api", "2.0");
        }
    }
}

#[test]
fn delete_source_blob_on_success_decides_about_the_object() {
    for options in ["", "DeleteSourceBlobOnSuccess"] {
        let Some(pair) = Pair::start_or_skip("", options) else {
            return;
        };
        pair.export("").assert_success();
        assert_eq!(pair.0.names("usb").len(), 1);
        pair.import().assert_success();
        pair.assert_delivered("apps/web", "1.4");
        assert_eq!(pair.0.names("usb").is_empty(), !options.is_empty());
    }
}

/// Somebody whose trigger is on takes the bundle from the same container: then `serve` has seen it.
#[test]
fn a_source_trigger_that_is_off_leaves_the_bundle_to_a_run() {
    for (trigger, by_itself) in [("Disabled", 0), ("Enabled", 1)] {
        let Some(pair) = Pair::with_trigger_or_skip("", "", trigger) else {
            return;
        };
        pair.add_witness();
        fs::create_dir(pair.0.path("usb")).unwrap();
        let serving = pair.0.command("serve").spawn();
        pair.export("").assert_success();
        wait::until("the witness has the bundle", || {
            pair.runs_done("import.witness") == 1 && pair.runs_done("import.in") >= by_itself
        });
        serving.signal("TERM");
        serving.output().assert_success();
        assert_eq!(pair.runs_done("import.in"), by_itself, "{trigger}");
        let delivered = pair.digests("apps/web", "1.4")[1].is_some();
        assert_eq!(delivered, by_itself == 1, "{trigger}");
        let told = match delivered {
            true => "it was imported before",
            false => "imported",
        };
        pair.import().assert_success().assert_stdout(told);
        assert_eq!(pair.runs_done("import.in"), 1, "{trigger}");
        pair.assert_delivered("apps/web", "1.4");
        pair.assert_delivered("apps/api", "2.0");
    }
}

#[test]
fn what_was_not_delivered_whole_is_not_deleted() {
    let options = "ContinueOnErrors DeleteSourceBlobOnSuccess";
    let Some(pair) = Pair::start_or_skip("", options) else {
        return;
    };
    stock(&pair.0.far, &[("apps/web", "1.4", 20)]);
    pair.export("").assert_success();
    pair.import().assert_code(3);
    assert_eq!(pair.0.names("usb").len(), 1);
}

#[test]
fn the_same_run_again_is_unchanged_and_a_moved_tag_is_news() {
    let Some(pair) = Pair::start_or_skip("", "OverwriteTags") else {
        return;
    };
    pair.export("").assert_success();
    pair.export("").assert_success().assert_stdout("unchanged");
    pair.import().assert_success();
    stock(&pair.0.near, &[("apps/web", "1.4", 6)]);
    pair.export("").assert_success();
    assert_eq!(pair.0.names("usb").len(), 2);
    pair.import().assert_success();
    pair.assert_delivered("apps/web", "1.4");
}

#[test]
fn a_run_tells_its_status_and_its_figures() {
    let Some(pair) = Pair::start_or_skip("", "") else {
        return;
    };
    pair.export("--comment release").assert_success();
    pair.import().assert_success();
    let (export, shown) = pair.0.newest_run("export");
    assert_eq!(
        (&export["status"], &export["pipeline"], &export["comment"]),
        (&"done".into(), &"out".into(), &"release".into())
    );
    assert!(export["started"].is_string() && export["ended"].is_string());
    assert!(shown.contains("2: 2 delivered"), "{shown}");
    let (import, _) = pair.0.newest_run("watch");
    assert_eq!(import["artifacts"]["delivered"], 2);
    assert_eq!(import["movedBytes"], export["movedBytes"]);
}

#[test]
fn more_than_fifty_artifacts_go_in_one_run() {
    let Some(pair) = Pair::start_or_skip("", "") else {
        return;
    };
    let tags: Vec<String> = (1..=60).map(|number| format!("1.{number}")).collect();
    let images: Vec<_> = tags
        .iter()
        .enumerate()
        .map(|(day, tag)| ("apps/many", tag.as_str(), 1 + day % 28))
        .collect();
    stock(&pair.0.near, &images);
    pair.0
        .run("run export out apps/many")
        .assert_success()
        .assert_stdout("60 artifacts");
    pair.import().assert_success();
    let delivered = tags_of(&pair.0.far, "apps/many");
    assert_eq!(delivered.len(), 60);
    assert_eq!(delivered, tags_of(&pair.0.near, "apps/many"));
}
