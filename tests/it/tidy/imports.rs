//! Who may import whom: design rule first, as a table, then the reader of
//! `crate::` paths that holds it. See `src/ARCHITECTURE.md` for the reasons.

use super::source::{SourceFile, identifiers, is_identifier};

/// What carries content from one place to another, side by side: none of them knows a neighbour.
const MIDDLE: [&str; 8] = [
    "registry",
    "layout",
    "bundle",
    "dense",
    "storage",
    "selection",
    "history",
    "config",
];

/// Each room of `src/`, and the rooms that it may import beside itself.
const ROOMS: [(&str, &[&[&str]]); 16] = [
    ("oci", &[]),
    ("content", &[&["oci"]]),
    ("http", &[&["content"]]),
    ("registry", &[&["http", "content", "oci"]]),
    ("layout", &[&["content", "oci"]]),
    ("bundle", &[&["content", "oci"]]),
    ("dense", &[&["oci"]]),
    ("storage", &[&["http", "content", "oci"]]),
    ("selection", &[&["content", "oci"]]),
    ("history", &[&["content", "oci"]]),
    ("config", &[&["http", "content", "oci"]]),
    ("pipeline", &[&MIDDLE, &["content", "oci"]]),
    ("server", &[&["pipeline"], &MIDDLE, &["content", "oci"]]),
    (
        "cli",
        &[&["server", "pipeline"], &MIDDLE, &["content", "oci"]],
    ),
    ("main", &[&["cli"]]),
    ("lib", &[]),
];

/// Every import in `file` that the table does not allow.
pub(super) fn offences(file: &SourceFile) -> Vec<String> {
    let room = room(&file.path);
    let Some(allowed) = allowed(room) else {
        return vec![format!(
            "{}: `{room}` is no room of the import table",
            file.path
        )];
    };
    let own_path = imports(file, "crate")
        .into_iter()
        .chain(imports(file, "airlift"));
    let wrong = own_path
        .filter(|(_, target)| *target != room && !allowed.contains(target))
        .map(|(offset, target)| {
            format!(
                "{}: `{room}` must not import `{target}`",
                file.place(offset)
            )
        });
    wrong.chain(escapes(file)).collect()
}

/// The first part of a path below `src/`: a directory, or a file at the top.
fn room(path: &str) -> &str {
    let below = path.strip_prefix("src/").unwrap_or(path);
    let first = below.split('/').next().unwrap_or(below);
    first.strip_suffix(".rs").unwrap_or(first)
}

fn allowed(room: &str) -> Option<Vec<&'static str>> {
    ROOMS
        .iter()
        .find(|(name, _)| *name == room)
        .map(|(_, lists)| lists.concat())
}

/// The room that each path starting with `origin::` leads to.
fn imports<'a>(file: &'a SourceFile, origin: &str) -> Vec<(usize, &'a str)> {
    identifiers(&file.code)
        .filter(|(_, word)| *word == origin)
        .flat_map(|(offset, word)| heads(&file.code, offset + word.len()))
        .collect()
}

/// The names that a path continues with at `at`: one, or those of a braced group.
fn heads(code: &str, at: usize) -> Vec<(usize, &str)> {
    let Some(rest) = code[at..].strip_prefix("::") else {
        return Vec::new();
    };
    let start = at + 2;
    if rest.starts_with('{') {
        group_heads(code, start)
    } else {
        identifiers(&code[start..])
            .next()
            .map(|(_, word)| (start, word))
            .into_iter()
            .collect()
    }
}

/// `{a, b::{c, d}}` leads to `a` and `b`.
fn group_heads(code: &str, open: usize) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut depth, mut wanted) = (0_usize, false);
    for (offset, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match c {
            '{' | ',' if depth == 1 => wanted = true,
            _ if wanted && is_identifier(c) => {
                let start = open + offset;
                found.extend(
                    identifiers(&code[start..])
                        .next()
                        .map(|(_, word)| (start, word)),
                );
                wanted = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// `super::` chains that climb out of the room: they would pass by the table.
fn escapes(file: &SourceFile) -> Vec<String> {
    let depth = module_depth(&file.path);
    chains(&file.code)
        .into_iter()
        .filter(|(_, length)| *length >= depth)
        .map(|(offset, _)| {
            format!(
                "{}: write `crate::`, `super` leaves the room",
                file.place(offset)
            )
        })
        .collect()
}

/// How many modules lie between the crate's root and this file's code.
fn module_depth(path: &str) -> usize {
    let parts = path
        .strip_prefix("src/")
        .unwrap_or(path)
        .split('/')
        .filter(|part| *part != "mod.rs");
    parts.count()
}

/// Offset and length of each `super::super::…` chain.
fn chains(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (offset, _) in code.match_indices("super::") {
        if code[..offset].ends_with("super::") {
            continue;
        }
        let length = code[offset..]
            .split("::")
            .take_while(|part| *part == "super")
            .count();
        found.push((offset, length));
    }
    found
}

#[test]
fn every_form_of_import_is_seen() {
    let text = concat!(
        "use crate::oci::Digest;\n",
        "use crate::{bundle, storage::{Place, Other}, oci::{self, Tag}};\n",
        "use crate::{\n    layout::Layout,\n};\n",
        "fn f() -> crate::cli::Exit { g(&crate::history::Run) }\n",
        "pub(crate) fn g() {}\n",
    );
    let file = SourceFile::new("src/registry/auth.rs", text);
    let rooms: Vec<&str> = imports(&file, "crate")
        .iter()
        .map(|(_, room)| *room)
        .collect();
    assert_eq!(
        rooms,
        [
            "oci", "bundle", "storage", "oci", "layout", "cli", "history"
        ]
    );
    assert_eq!(
        offences(&file),
        [
            "src/registry/auth.rs:2: `registry` must not import `bundle`",
            "src/registry/auth.rs:2: `registry` must not import `storage`",
            "src/registry/auth.rs:4: `registry` must not import `layout`",
            "src/registry/auth.rs:6: `registry` must not import `cli`",
            "src/registry/auth.rs:6: `registry` must not import `history`",
        ]
    );
}

#[test]
fn super_stays_in_its_room() {
    let inside = SourceFile::new("src/bundle/writer/mod.rs", "use super::Inventory;\n");
    let outside = SourceFile::new(
        "src/bundle/reader.rs",
        "use super::super::layout::Layout;\n",
    );
    assert_eq!(offences(&inside), [""; 0]);
    assert_eq!(
        offences(&outside),
        ["src/bundle/reader.rs:1: write `crate::`, `super` leaves the room"]
    );
}

#[test]
fn a_new_room_needs_a_row() {
    let file = SourceFile::new("src/misc/mod.rs", "");
    assert_eq!(
        offences(&file),
        ["src/misc/mod.rs: `misc` is no room of the import table"]
    );
}
