//! What the program writes for others to read: completions, manual pages; and the quickstart.

use std::process::Command;

use super::{Desk, repository_root};
use crate::support::command::airlift;
use crate::support::real::{run, tool_or_skip};

#[test]
fn completions_are_scripts_that_their_shell_can_read() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = airlift(&["completions", shell]);
        assert!(
            script.assert_success().stdout.contains("volume-size"),
            "{shell}"
        );
        let check = match shell {
            "bash" | "zsh" => "-n",
            "fish" => "--no-execute",
            _ => continue,
        };
        desk.write("script", &script.stdout);
        let path = desk.path("script").display().to_string();
        if shell == "bash" || !tool_is_missing(shell) {
            let program = tool_or_skip(shell).expect("it is there");
            run(&program, &[check, &path]);
        }
    }
}

fn tool_is_missing(name: &str) -> bool {
    let status = Command::new("sh")
        .args(["-c", &format!("command -v {name}")])
        .output();
    !status.is_ok_and(|output| output.status.success())
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let desk = Desk::new();
    desk.run("manual --out man").assert_success();
    let names = desk.names("man");
    for name in ["airlift.1", "airlift-export.1", "airlift-key-generate.1"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    if tool_is_missing("man") {
        eprintln!("skipped: `man` is not installed");
        return;
    }
    for name in names {
        let page = desk.path("man").join(&name).display().to_string();
        let text = Command::new("man")
            .args(["-l", &page])
            .env("MANWIDTH", "100")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        assert!(text.contains("SYNOPSIS"), "{name}:\n{text}");
    }
}

#[test]
fn the_quickstart_carries_everything_the_whole_road() {
    let script = repository_root().join("scripts/quickstart");
    let temporary = tempfile::tempdir().unwrap();
    let start = |arguments: &[&str]| {
        let output = Command::new(&script)
            .args(arguments)
            .env("AIRLIFT_BINARY", env!("CARGO_BIN_EXE_airlift"))
            .env("TMPDIR", temporary.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}{errors}");
        text
    };
    let kept = start(&[]);
    assert!(kept.contains("27 contents read back and right"), "{kept}");
    assert!(
        kept.contains("6 tags have the same digests on both sides"),
        "{kept}"
    );
    assert!(kept.contains("1 object read back and right"), "{kept}");
    assert!(kept.contains(": imported: 5 artifacts"), "{kept}");
    assert!(kept.contains("NOT right"), "{kept}");
    let count = || std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(count(), 1, "what it made is kept");
    start(&["--clean"]);
    assert_eq!(count(), 1, "what it made is removed when asked");
}
