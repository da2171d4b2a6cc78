//! What the documents and scripts promise about the tree.

use std::fs;
use std::path::Path;

use super::source::{files_below, line, read, root};

const DOCUMENTS: [&str; 3] = ["README.md", "src/ARCHITECTURE.md", "src/bundle/FORMAT.md"];
/// Backticked text that starts with one of these names a path of ours.
const TREES: [&str; 4] = ["src/", "scripts/", "tests/", "fixtures/"];
const COMMANDS: &str = "src/cli/commands";

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
