//! Bundles that somebody has made, or changed, to harm: every one is refused, and nothing is published.
//!
//! The fixtures are made by [`attacks`] when `AIRLIFT_WRITE_FIXTURES` is set, each where it is not there yet;
//! otherwise they are read as they were committed.

mod anatomy;
mod attacks;
mod containers;
mod flips;
pub(crate) mod forge;
mod mutations;
mod sequences;

use std::fs;
use std::path::{Path, PathBuf};

use airlift::bundle::SignaturePolicy;
use tempfile::tempdir;
use tokio::runtime::Builder;

use crate::bundle::road::{import, public_key, verify};
use crate::support::command::{Airlift, Output};
use attacks::{Attack, Files, GROUPS, KEY, REVOKING};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hostile")
}

impl Attack {
    /// The fixture's name, which says how it is stored.
    fn path(&self) -> Option<String> {
        ["", ".tar", ".tar.zst"]
            .map(|suffix| format!("{}{suffix}", self.name))
            .into_iter()
            .find(|name| fixtures().join(name).exists())
    }

    fn write(&self) {
        let path = |suffix: &str| fixtures().join(format!("{}{suffix}", self.name));
        let written = match (self.make)() {
            Files::Plain(bytes) => fs::write(path(".tar.zst"), bytes),
            Files::Guard(bytes) => fs::write(path(".tar"), bytes),
            Files::Many(files) => fs::create_dir(path("")).and_then(|()| {
                files
                    .iter()
                    .try_for_each(|(name, bytes)| fs::write(path("").join(name), bytes))
            }),
        };
        written.expect("fixtures/hostile can be written");
    }

    /// Imports the fixture into a layout, which must be without tags afterwards.
    fn import(&self) -> Output {
        let home = tempdir().expect("a directory");
        let layout = home.path().join("layout");
        let target = format!("oci:{}", layout.display());
        let name = self.path().expect("AIRLIFT_WRITE_FIXTURES=1 makes it");
        let revoking = revoking_trust(home.path());
        let mut arguments = vec!["import", &name, "--target", &target];
        arguments.extend(self.flags.iter().map(|flag| match *flag {
            REVOKING => revoking.as_str(),
            flag => flag,
        }));
        let output = Airlift::new(&arguments).directory(&fixtures()).run();
        let index = fs::read_to_string(layout.join("index.json")).unwrap_or_default();
        assert!(!index.contains("digest"), "{name} has published: {index}");
        // What is told of the way is not what the attack meets.
        let lines = output
            .stderr
            .lines()
            .filter(|line| !line.starts_with("note:"));
        let said = lines.collect::<Vec<_>>().join("\n");
        Output {
            stderr: said.replace(&target, "oci:TARGET"),
            ..output
        }
    }
}

/// A trust directory with the key, and with its revocation.
fn revoking_trust(home: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;

    let directory = home.join("trust");
    let public = public_key(KEY);
    let key = directory.join("sender.pub");
    fs::create_dir(&directory).expect("the home is ours");
    fs::write(&key, public.to_pem().expect("a key")).expect("the home is ours");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("the key is ours");
    let revoked = directory.join(format!("{}.revoked", public.id()));
    fs::write(revoked, "").expect("the home is ours");
    directory.display().to_string()
}

/// Imports all of a group: exit code 4, nothing published, and what is said is in the snapshot.
fn check_group(group: &str) {
    let (_, attacks) = GROUPS.iter().find(|(name, _)| *name == group).expect(group);
    let mut said = String::new();
    let mut wrong = Vec::new();
    for attack in *attacks {
        if attack.path().is_none() && std::env::var_os("AIRLIFT_WRITE_FIXTURES").is_some() {
            attack.write();
        }
        let output = attack.import();
        if output.code != Some(4) {
            wrong.push(format!("{}: {output:?}", attack.name));
        }
        let is_plain = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
        assert!(output.stderr.chars().all(is_plain), "{:?}", output.stderr);
        said.push_str(&format!("== {}\n{}\n\n", attack.name, output.stderr));
    }
    assert!(wrong.is_empty(), "not refused:\n{}", wrong.join("\n"));
    insta::assert_snapshot!(group, said);
}

#[test]
fn signatures_that_do_not_count_are_refused() {
    check_group("trust");
}

#[test]
fn bundles_for_others_and_of_other_times_are_refused() {
    check_group("admission");
}

#[test]
fn entries_that_the_format_does_not_have_are_refused() {
    check_group("entries");
}

#[test]
fn frames_and_seek_tables_that_lie_are_refused() {
    check_group("frames");
}

#[test]
fn inventories_that_lie_are_refused() {
    check_group("inventory");
}

#[test]
fn content_that_makes_no_sense_is_refused() {
    check_group("content");
}

#[test]
fn volumes_that_do_not_belong_together_are_refused() {
    check_group("sets");
}

#[test]
fn every_fixture_is_an_attack_that_is_tried() {
    let names: Vec<String> = GROUPS
        .iter()
        .flat_map(|(_, attacks)| attacks.iter())
        .filter_map(Attack::path)
        .collect();
    for found in crate::bundle::road::names_in(&fixtures()) {
        assert!(
            found == "README.md" || names.contains(&found),
            "`{found}` belongs to no attack"
        );
    }
}

/// Without trust everything behind the signatures is reached, and must come to an end as well.
#[test]
fn nothing_that_reads_an_attack_panics() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    for attack in GROUPS.iter().flat_map(|(_, attacks)| attacks.iter()) {
        let path = fixtures().join(attack.path().expect("every attack has a fixture"));
        let accept = SignaturePolicy::AcceptUnsigned;
        // What is found is told by others; two of them are even right when nobody asks who signed.
        let _ = runtime.block_on(verify(&path, &accept));
        let _ = runtime.block_on(import(&path, &accept));
    }
}

/// Asked to go on, an import goes on to other artifacts, and not to one that is not whole.
#[test]
fn continuing_on_errors_publishes_nothing_of_an_attack() {
    const FLAGS: &[&str] = &[
        "--trust",
        "../keys/snakeoil-p256.pub",
        "--continue-on-errors",
    ];
    let names = [
        "digest-mismatch-of-a-blob",
        "size-too-small",
        "symbolic-link",
        "frame-that-expands",
    ];
    for attack in GROUPS.iter().flat_map(|(_, attacks)| attacks.iter()) {
        if names.contains(&attack.name) {
            let attack = Attack {
                flags: FLAGS,
                ..*attack
            };
            let output = attack.import();
            assert_ne!(output.code, Some(0), "{output:?}");
        }
    }
}

/// What all attacks are made from is a good bundle; otherwise their refusal would say nothing.
#[test]
fn without_an_attack_it_is_delivered() {
    let home = tempdir().expect("a directory");
    let whole = home.path().join("whole.tar.zst");
    fs::write(&whole, forge::Forge::image().write(&[KEY])).expect("the home is ours");
    let parts = home.path().join("parts");
    fs::create_dir(&parts).expect("the home is ours");
    for (number, volume) in (1..).zip(flips::two_volumes()) {
        let path = parts.join(format!("{number}.tar.zst"));
        fs::write(path, volume.write(&[KEY])).expect("the home is ours");
    }
    for path in [whole, parts] {
        let target = format!("oci:{}/layout", home.path().display());
        let bundle = path.display().to_string();
        let trust = ["--trust", "../keys/snakeoil-p256.pub", "--check"];
        let arguments = [&["import", &bundle, "--target", &target][..], &trust].concat();
        let output = Airlift::new(&arguments).directory(&fixtures()).run();
        output.assert_success();
        assert!(output.stdout.contains("apps/web:1.4"), "{}", output.stdout);
    }
}
