//! Mistakes that people make, and what they are told: one clear error, a hint, the right exit code.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use super::{Desk, registry_with_layers, tell};
use crate::support::command::{Airlift, Output};

#[test]
fn what_was_typed_wrongly_is_named() {
    let desk = Desk::with_bundle();
    assert_snapshot!(desk.transcript(&[
        "export --container out --unsigned",
        "export oci:near/helm-chart --container out",
        "export web:1.4 --container out --unsigned",
        "export r.example/Apps/web --container out --unsigned",
        "export r.example/web:-x --container out --unsigned",
        "export r.example/web@sha256:12 --container out --unsigned",
        "export oci:near/helm-chart --container ops.key --unsigned",
        "export oci:near/helm-chart --container out --unsigned --name March:1",
        "export oci:near/helm-chart --container out --unsigned --sign-key ops.key",
        "export oci:near/helm-chart --container out --unsigned --volume-size 5x",
        "export oci:near/helm-chart --container out --unsigned --volume-size 5",
        "export oci:near/helm-chart --container out --unsigned --platform arm64",
        "export oci:near/helm-chart --container out --unsigned --max-artifacts 0",
        "export oci:near/helm-chart --container out --unsigned --expires tomorrow",
        "export oci:near/helm-chart --container out --unsigned --bogus",
        "export --from-file missing.txt --container out --unsigned",
        "import usb --trust ops.key.pub",
        "import usb --target oci:far",
        "import usb --target UPPER/case --trust ops.key.pub",
        "import usb --target oci:far --trust ops.key.pub --existing replace",
        "import usb --target oci:far --trust ops.key.pub --insecure-accept-unsigned",
        "unpack usb far --trust ops.key.pub",
        "list web",
        "carry usb",
    ]));
    assert!(!desk.path("out").exists() && !desk.path("far").exists());
}

#[test]
fn keys_that_cannot_be_used_are_explained() {
    let desk = Desk::with_bundle();
    desk.write("text.key", "no key");
    fs::create_dir(desk.path("nobody")).unwrap();
    fs::create_dir(desk.path("open")).unwrap();
    desk.write("open/ops.pub", fs::read(desk.path("ops.key.pub")).unwrap());
    fs::set_permissions(desk.path("open/ops.pub"), PermissionsExt::from_mode(0o666)).unwrap();
    let sign = |key: &str| format!("export oci:near/helm-chart --container out --sign-key {key}");
    let trust = |key: &str| format!("verify usb --trust {key}");
    let lines = [
        sign("missing.key"),
        sign("ops.key.pub"),
        sign("sec1.key"),
        sign("encrypted.key"),
        sign("text.key"),
        trust("ops.key"),
        trust("text.key"),
        trust("missing.pub"),
        trust("nobody"),
        trust("open"),
        "key show ops.key".to_owned(),
        "key generate --out ops.key".to_owned(),
        "key generate --out new.key --encrypt".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut text = desk.transcript(&lines);
    let wrong = desk
        .command(&sign("encrypted.key"))
        .env("AIRLIFT_KEY_PASSPHRASE", "wrong")
        .run();
    text.push_str(&tell("… with a wrong passphrase", &wrong));
    assert_snapshot!(text);
}

#[test]
fn half_a_pair_of_keys_is_never_written() {
    let desk = Desk::new();
    desk.write("new.key.pub", "mine");
    desk.run("key generate --out new.key").assert_code(1);
    assert!(!desk.path("new.key").exists());
    assert_eq!(fs::read(desk.path("new.key.pub")).unwrap(), b"mine");
}

#[test]
fn bundles_that_cannot_be_used_are_explained() {
    let desk = Desk::with_bundle();
    let bundle = fs::read(desk.path("usb/chart.tar.zst")).unwrap();
    desk.write("cut.tar.zst", &bundle[..bundle.len() - 100]);
    fs::create_dir(desk.path("empty")).unwrap();
    fs::create_dir(desk.path("trust")).unwrap();
    desk.write("trust/ops.pub", fs::read(desk.path("ops.key.pub")).unwrap());
    let id = desk.run("key show ops.key.pub").stdout[..16].to_owned();
    desk.write(&format!("trust/{id}.revoked"), "");
    desk.run("export oci:near/oras --container open --unsigned --name open")
        .assert_success();
    desk.run(
        "export oci:near/oras --container lanes --sign-key ops.key --name lanes --audience ship-7",
    )
    .assert_success();
    desk.run("export oci:near/oras --container old --sign-key ops.key --name old --expires 2001-01-01T00:00:00Z")
        .assert_success();
    assert_snapshot!(desk.transcript(&[
        "verify missing --trust ops.key.pub",
        "verify empty --trust ops.key.pub",
        "verify ops.key --trust ops.key.pub",
        "inspect ops.key",
        "verify cut.tar.zst --trust ops.key.pub",
        "import cut.tar.zst --target oci:far --trust ops.key.pub",
        "verify usb --trust other.key.pub",
        "import usb --target oci:far --trust other.key.pub",
        "import usb --target oci:far --trust trust",
        "import open --target oci:far --trust ops.key.pub",
        "import usb --target oci:far --trust ops.key.pub --trust other.key.pub --threshold 2",
        "import lanes --target oci:far --trust ops.key.pub",
        "import lanes --target oci:far --trust ops.key.pub --lane ship-8",
        "import old --target oci:far --trust ops.key.pub",
        "sign usb/chart.tar.zst --sign-key other.key",
    ]));
    assert!(!desk.path("far").exists(), "nothing was delivered");
}

#[test]
fn a_signer_is_held_to_the_digest_that_was_told() {
    let desk = Desk::with_bundle();
    let inspected = desk.run("inspect usb --output json").json();
    let told = inspected["bundles"][0]["inventoryDigest"].as_str().unwrap();
    let sign = "sign usb/chart.tar.zst --sign-key other.key --expect";
    let other = format!("sha256:{}", "0".repeat(64));
    desk.run(&format!("{sign} {other}"))
        .assert_code(4)
        .assert_stderr(&format!("has the inventory `{told}`, expected `{other}`"))
        .assert_stderr("hint: this is not what you were told to sign: ask the sender");
    desk.run(&format!("{sign} {told}")).assert_success();
}

#[test]
fn a_missing_volume_is_named() {
    let desk = Desk::new();
    let registry = registry_with_layers();
    desk.run(&format!(
        "export {}/apps/web:1.4 --container usb --sign-key ops.key --name web --volume-size 200000",
        registry.address()
    ))
    .assert_success();
    assert_eq!(
        desk.names("usb"),
        ["web.v1of2.tar.zst", "web.v2of2.tar.zst"]
    );
    fs::remove_file(desk.path("usb/web.v1of2.tar.zst")).unwrap();
    assert_snapshot!(desk.transcript(&[
        "import usb --target oci:far --trust ops.key.pub",
        "verify usb --trust ops.key.pub",
    ]));
}

/// The limit on the size of files is a full disk that needs no mount; its signal is ignored on the way.
#[test]
fn a_full_disk_is_named_on_both_sides() {
    let desk = Desk::new();
    let registry = registry_with_layers();
    let export = format!(
        "export {}/apps/web:1.4 --container usb --sign-key ops.key --name web",
        registry.address()
    );
    let full = |line: &str| {
        let binary = env!("CARGO_BIN_EXE_airlift");
        let script = format!("trap '' XFSZ; ulimit -f 64; exec {binary} {line}");
        Airlift::binary("/bin/sh".as_ref(), &["-c", &script])
            .directory(desk.directory.path())
            .run()
    };
    let failed = full(&export.replace("--name web", "--name web --profile guard"));
    failed
        .assert_code(1)
        .assert_stderr("hint: make room and run the same command again");
    assert_eq!(desk.names("usb"), [""; 0], "nothing is left");
    desk.run(&export).assert_success();
    let import = "import usb --target oci:far --trust ops.key.pub";
    full(import)
        .assert_code(1)
        .assert_stderr("target")
        .assert_stderr("hint: make room and run the same command again");
    desk.run(&format!("{import} --check")).assert_success();
}

/// As root, permissions bind only who lets go of the power to ignore them. `None` where that cannot be done.
fn run_without_powers(desk: &Desk, line: &str) -> Option<Output> {
    let binary = env!("CARGO_BIN_EXE_airlift");
    let script = format!(
        "if [ \"$(id -u)\" = 0 ]; then exec setpriv --bounding-set=-dac_override {binary} {line}; fi; exec {binary} {line}"
    );
    let output = Airlift::binary("/bin/sh".as_ref(), &["-c", &script])
        .directory(desk.directory.path())
        .run();
    if output.stderr.contains("setpriv:") {
        eprintln!(
            "skipped: root cannot let go of its powers here: {}",
            output.stderr
        );
        return None;
    }
    Some(output)
}

#[test]
fn a_container_that_cannot_be_written_is_named() {
    let desk = Desk::with_bundle();
    fs::create_dir(desk.path("far")).unwrap();
    fs::set_permissions(desk.path("far"), PermissionsExt::from_mode(0o555)).unwrap();
    for line in [
        "export oci:near/helm-chart --container far --unsigned --name chart",
        "transfer usb far",
    ] {
        let Some(output) = run_without_powers(&desk, line) else {
            return;
        };
        output
            .assert_code(5)
            .assert_stderr("far/chart.tar.zst")
            .assert_stderr("hint: check the permissions, and whether it is mounted read-only");
    }
}

#[test]
fn a_transfer_to_its_own_source_is_refused() {
    let desk = Desk::with_bundle();
    desk.run("transfer usb ./usb")
        .assert_code(2)
        .assert_stderr("are the same place");
    desk.run("transfer usb far --bundle nosuch")
        .assert_code(1)
        .assert_stderr("no bundle there has this name; there are `chart`")
        .assert_stderr("hint: `airlift inspect`");
}

#[test]
fn a_login_in_a_reference_is_not_repeated() {
    for reference in [
        "http://user:some-secret@r.example/apps/web",
        "user:some-secret@r.example/apps/web:1",
        "user:some-secret@r.example/apps/*",
    ] {
        Airlift::new(&["select", reference])
            .run()
            .assert_code(2)
            .assert_stderr("docker login")
            .assert_nowhere("some-secret");
    }
}
