//! Help: every command explains itself, with an example and the exit codes.

use insta::assert_snapshot;

use crate::support::command::airlift;

const COMMANDS: [&str; 51] = [
    "",
    "export",
    "transfer",
    "import",
    "watch",
    "watch list",
    "watch retry",
    "promote",
    "rollback",
    "run",
    "runs",
    "runs show",
    "runs log",
    "runs rerun",
    "runs cancel",
    "runs clean",
    "receipts",
    "receipts show",
    "receipts import",
    "receipts code",
    "receipts confirm",
    "receipts make",
    "lanes",
    "history",
    "audit",
    "audit verify",
    "audit export",
    "list",
    "select",
    "container",
    "container list",
    "container clean",
    "inspect",
    "verify",
    "unpack",
    "sign",
    "key",
    "key generate",
    "key show",
    "sas",
    "sas make",
    "sas show",
    "config",
    "config check",
    "config show",
    "config schema",
    "config import-acr",
    "serve",
    "mirror-config",
    "completions",
    "manual",
];

fn help(command: &str, flag: &str) -> String {
    let mut words: Vec<&str> = command.split_whitespace().collect();
    words.push(flag);
    let output = airlift(&words);
    output.assert_success();
    assert_eq!(output.stderr, "");
    output.stdout
}

#[test]
fn every_command_explains_itself() {
    for command in COMMANDS {
        let name = format!("airlift {command}").trim().replace(' ', "-");
        assert_snapshot!(name, help(command, "--help"));
    }
}

#[test]
fn every_help_has_the_exit_codes_and_every_command_an_example() {
    for command in COMMANDS {
        let text = help(command, "--help");
        assert!(text.contains("130  interrupted"), "{command}");
        let is_leaf = !matches!(
            command,
            "" | "key" | "sas" | "container" | "config" | "audit" | "receipts"
        );
        assert!(
            !is_leaf || text.contains("Example: airlift ") || text.contains("Example: `airlift "),
            "{command}"
        );
    }
}

#[test]
fn short_help_fits_a_screen() {
    for command in COMMANDS {
        let lines = help(command, "-h").lines().count();
        assert!(lines <= 60, "{command}: {lines} lines");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = format!("airlift {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(help("", "--version"), version);
    assert_eq!(
        help("export", "--version").split(' ').next_back(),
        version.split(' ').next_back()
    );
}
