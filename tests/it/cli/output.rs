//! Streams, colour and progress: data on standard output and nowhere else.

use std::process::{Command, Stdio};

use super::Desk;
use crate::support::real::{run, tool_or_skip};

#[test]
fn data_goes_to_standard_output_alone() {
    let desk = Desk::with_bundle();
    let listed = desk.run("list oci:near/helm-chart");
    assert_eq!(listed.stderr, "");
    listed.assert_stdout("helm-chart:0.1.0");
    let failed = desk.run("list oci:nowhere");
    assert_eq!(failed.assert_code(1).stdout, "");
    let inspected = desk.run("inspect usb");
    inspected.assert_stderr("note: signatures are not checked");
    assert!(!inspected.stdout.contains("note:"));
}

#[test]
fn progress_is_plain_lines_where_nobody_watches() {
    let desk = Desk::new();
    let exported = desk.run("export oci:near/helm-chart --container usb --sign-key ops.key");
    assert_eq!(exported.stderr, "note: exporting 3 contents, 841 B\n");
    let imported = desk.run("import usb --target oci:far --trust ops.key.pub --check");
    assert_eq!(
        imported.stderr,
        "note: importing 3 contents, 841 B\nnote: reading back 3 contents, 841 B\n"
    );
    let json = desk.run("verify usb --trust ops.key.pub --output json");
    assert_eq!(json.stderr, "");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_airlift"))
        .args(["completions", "bash"])
        .stdout(writer)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn nothing_is_coloured_off_a_terminal() {
    let desk = Desk::with_bundle();
    for line in [
        "list oci:nowhere --log debug",
        "import usb --target oci:far --insecure-accept-unsigned",
        "export --bogus",
        "--help",
    ] {
        let output = desk.command(line).env("NO_COLOR", "").run();
        output.assert_nowhere("\u{1b}");
    }
}

/// Nothing ran at a terminal once: the logger was asked for colours that it is built without.
#[test]
fn a_terminal_gets_colour_unless_it_wants_none() {
    let Some(script) = tool_or_skip("script") else {
        return;
    };
    let desk = Desk::with_bundle();
    let directory = desk.directory.path().display().to_string();
    let typed = |environment: &str, line: &str| {
        let binary = env!("CARGO_BIN_EXE_airlift");
        let shell = format!("cd {directory} && env -u NO_COLOR {environment} {binary} {line}");
        run(&script, &["-qec", &format!("{shell} || true"), "/dev/null"])
    };
    let import = "import usb --target oci:far --trust ops.key.pub --log debug";
    let imported = typed("", import);
    assert!(imported.contains("delivered"), "{imported}");
    assert!(typed("", "list oci:nowhere").contains("\u{1b}[1;31merror:"));
    let plain = typed("NO_COLOR=1", "list oci:nowhere");
    assert!(
        plain.contains("error: ") && !plain.contains('\u{1b}'),
        "{plain}"
    );
}

#[test]
fn an_unreadable_log_filter_is_told_and_stops_nothing() {
    let desk = Desk::new();
    desk.run("list oci:near/helm-chart --log =,=")
        .assert_success()
        .assert_stderr("is not a log filter");
    let logged = desk
        .command("list oci:near/helm-chart")
        .env("AIRLIFT_LOG", "trace")
        .run();
    logged.assert_success();
}
