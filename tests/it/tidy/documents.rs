//! What the documents and scripts promise about the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::source::{SourceFile, files_below, line, read, root, rust_files};

const DOCUMENTS: [&str; 3] = ["README.md", "src/ARCHITECTURE.md", "src/bundle/FORMAT.md"];
/// Backticked text that starts with one of these names a path of ours.
const TREES: [&str; 4] = ["src/", "scripts/", "tests/", "fixtures/"];
const COMMANDS: &str = "src/cli/commands";
/// The section whose tables name in their last column the tests that run what they say.
const COMPARISON: &str = "## Beside its models";

/// Paths named in the documents that are not there.
pub(super) fn missing_paths() -> Vec<String> {
    DOCUMENTS
        .iter()
        .flat_map(|document| missing_in(document, &read(document)))
        .collect()
}

fn missing_in(document: &str, text: &str) -> Vec<String> {
    quoted(text)
        .into_iter()
        .filter(|(_, quote)| TREES.iter().any(|tree| quote.starts_with(tree)))
        .filter(|(_, quote)| !root().join(fixed_part(quote)).exists())
        .map(|(number, quote)| format!("{document}:{number}: there is no `{quote}`"))
        .collect()
}

/// Line and content of every `inline code`, fenced blocks left out.
fn quoted(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, row) in text.lines().enumerate() {
        if row.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let quotes = row.split('`').skip(1).step_by(2);
            found.extend(quotes.map(|quote| (index + 1, quote)));
        }
    }
    found
}

/// The path without arguments, and of a pattern only the directory above it.
fn fixed_part(quote: &str) -> &str {
    let path = quote.split_whitespace().next().unwrap_or(quote);
    match path.find(['*', '{', '<', '…']) {
        Some(pattern) => path[..pattern]
            .rsplit_once('/')
            .map_or("", |(parent, _)| parent),
        None => path,
    }
}

/// Commands of the program that the README does not show.
pub(super) fn undocumented_commands() -> Vec<String> {
    let readme = read("README.md");
    command_names()
        .into_iter()
        .filter(|name| !readme.contains(&format!("airlift {name}")))
        .map(|name| format!("README.md: `airlift {name}` is not mentioned"))
        .collect()
}

/// One file or directory below `src/cli/commands` is one command.
fn command_names() -> Vec<String> {
    let mut names: Vec<String> = files_below(COMMANDS)
        .iter()
        .filter_map(|path| path.strip_prefix(COMMANDS)?.split('/').nth(1))
        .map(|part| part.trim_end_matches(".rs").replace('_', "-"))
        .filter(|name| name != "mod" && name != "tests")
        .collect();
    names.dedup();
    names
}

/// Rows of the comparison that name no test of `tests/it`; what is not carried needs none.
pub(super) fn unproven_rows() -> Vec<String> {
    let files = rust_files("tests/it");
    let tests = files.iter().flat_map(tests_of).collect();
    unproven_in(&read("README.md"), &tests)
}

fn unproven_in(readme: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let rows = readme.lines().enumerate();
    let after = rows.skip_while(|(_, row)| *row != COMPARISON).skip(1);
    let section = after.take_while(|(_, row)| !row.starts_with("## "));
    let compared: Vec<(usize, &str)> = section
        .filter(|(_, row)| row.starts_with("| ") && !row.ends_with(" test |"))
        .collect();
    if compared.is_empty() {
        return vec![format!("README.md: `{COMPARISON}` compares nothing")];
    }
    compared
        .into_iter()
        .flat_map(|(index, row)| {
            let faults = faults_of(row, tests).into_iter();
            faults.map(move |fault| format!("README.md:{}: {fault}", index + 1))
        })
        .collect()
}

fn faults_of(row: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let proof = row.rsplit('|').nth(1).unwrap_or_default();
    let named: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
    if named.is_empty() && !row.contains("| not carried") {
        return vec!["no test is named".to_owned()];
    }
    named
        .into_iter()
        .filter(|name| !tests.contains(*name))
        .map(|name| format!("there is no test `{name}`"))
        .collect()
}

/// The tests of a file below `tests/it`, with their modules.
fn tests_of(file: &SourceFile) -> Vec<String> {
    let path = file.path.trim_start_matches("tests/it/");
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let module = path.replace('/', "::");
    let mut rows = file.text.lines();
    let mut found = Vec::new();
    while let Some(row) = rows.next() {
        if !["#[test]", "#[tokio::test"]
            .iter()
            .any(|mark| row.starts_with(mark))
        {
            continue;
        }
        let mut items = rows.by_ref().filter_map(|row| row.split_once("fn "));
        if let Some((name, _)) = items.next().and_then(|(_, item)| item.split_once('(')) {
            found.push(format!("{module}::{name}"));
        }
    }
    found
}

/// Scripts that do not start, or do not stop at their first failure.
pub(super) fn careless_scripts() -> Vec<String> {
    let mut scripts: Vec<String> = files_below("scripts")
        .into_iter()
        .filter(|path| Path::new(path).extension().is_none())
        .collect();
    scripts.push(".ci/run".to_owned());
    scripts
        .iter()
        .filter_map(|path| carelessness(path, &read(path)))
        .collect()
}

fn carelessness(path: &str, text: &str) -> Option<String> {
    if !is_executable(path) {
        return Some(format!("{path}: is not executable"));
    }
    let shell = text.starts_with("#!/usr/bin/env bash\n");
    if !shell && !text.starts_with("#!/usr/bin/env python3\n") {
        return Some(format!("{path}:1: has no `#!/usr/bin/env` line we know"));
    }
    let strict = text.find("set -euo pipefail");
    if shell && strict.is_none_or(|offset| line(text, offset) > 20) {
        return Some(format!("{path}: `set -euo pipefail` is missing at the top"));
    }
    None
}

#[cfg(unix)]
fn is_executable(path: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(root().join(path)).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &str) -> bool {
    fs::metadata(root().join(path)).is_ok()
}

#[test]
fn paths_are_read_out_of_inline_code() {
    let text = "See `src/lib.rs`, `src/no.rs`.\n```text\n`src/never.rs`\n```\n`fixtures/keys/*` `tests/it/{a,b}.rs` `scripts/check --fast`\n";
    assert_eq!(
        missing_in("R.md", text),
        ["R.md:1: there is no `src/no.rs`"]
    );
}

#[test]
fn careless_scripts_are_named() {
    let path = "scripts/check";
    assert_eq!(
        carelessness(path, "#!/usr/bin/env bash\nset -euo pipefail\n"),
        None
    );
    assert_eq!(
        carelessness(path, "#!/usr/bin/env bash\n").as_deref(),
        Some("scripts/check: `set -euo pipefail` is missing at the top")
    );
    assert_eq!(
        carelessness(path, "echo\n").as_deref(),
        Some("scripts/check:1: has no `#!/usr/bin/env` line we know")
    );
}

#[test]
fn rows_without_a_test_are_named() {
    let file = "#[test]\nfn one() {}\n\n#[tokio::test]\nasync fn two() {}\n\nfn three() {}\n";
    let tests: BTreeSet<String> = tests_of(&SourceFile::new("tests/it/a/mod.rs", file))
        .into_iter()
        .collect();
    assert_eq!(tests, ["a::one", "a::two"].map(str::to_owned).into());
    let table = "\n\n| model | ours | test |\n|---|---|---|\n| x | y | `a::one`, `a::two` |\n";
    let faulty = "| x | y | `a::three` |\n| x | `y` | |\n| x | not carried: why | |\n\n## More\n| z | z | |\n";
    let told = unproven_in(&format!("{COMPARISON}{table}{faulty}"), &tests);
    let expected = ["6: there is no test `a::three`", "7: no test is named"];
    assert_eq!(told, expected.map(|fault| format!("README.md:{fault}")));
    assert_eq!(unproven_in("## Other\n", &tests).len(), 1);
}
