//! Sizes, names and forbidden words: what a reader meets before the logic.

use super::source::{SourceFile, identifiers, is_identifier, item, line};

pub(super) const FILE_LINES_MAX: usize = 450;
/// Nine functions in ten have at most this many lines.
pub(super) const FUNCTION_LINES: usize = 40;

/// Text that only `cli` may write: printing and exiting.
const PRINTING: [&str; 8] = [
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "dbg!",
    "stdout()",
    "stderr()",
    "process::exit",
];

/// Text that only `config` and `cli` may write: reading the environment.
const ENVIRONMENT: [&str; 3] = ["std::env", "env::var", "env::args"];

/// Marks of unfinished work, in two parts so that this file does not hold them.
const MARKERS: [[&str; 2]; 6] = [
    ["DO NOT ", "SUBMIT"],
    ["todo", "!("],
    ["unimplemented", "!("],
    ["FIX", "ME"],
    ["TO", "DO"],
    ["#[ign", "ore"],
];

/// Words that say nothing, anywhere in a name.
const EMPTY_WORDS: [&str; 5] = ["manager", "helper", "util", "utils", "handler"];
/// Words that say nothing at the end of a name.
const EMPTY_ENDINGS: [&str; 2] = ["data", "info"];

pub(super) fn printing(file: &SourceFile) -> Vec<String> {
    let owner = file.path.starts_with("src/cli/");
    unless(owner, || {
        forbidden(file, &PRINTING, "only `cli` prints or exits")
    })
}

pub(super) fn environment(file: &SourceFile) -> Vec<String> {
    let owner = ["src/cli/", "src/config/"]
        .iter()
        .any(|room| file.path.starts_with(room));
    unless(owner, || {
        forbidden(
            file,
            &ENVIRONMENT,
            "only `config` and `cli` read the environment",
        )
    })
}

fn unless(allowed: bool, offences: impl FnOnce() -> Vec<String>) -> Vec<String> {
    if allowed { Vec::new() } else { offences() }
}

fn forbidden(file: &SourceFile, words: &[&str], rule: &str) -> Vec<String> {
    words
        .iter()
        .flat_map(|word| whole(&file.code, word).map(move |offset| (offset, word)))
        .map(|(offset, word)| format!("{}: `{word}`: {rule}", file.place(offset)))
        .collect()
}

/// Offsets of `needle` that do not begin or end within a longer identifier.
fn whole<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    let opens = needle.starts_with(is_identifier);
    let closes = needle.ends_with(is_identifier);
    text.match_indices(needle)
        .filter(move |(offset, _)| {
            let before = opens && text[..*offset].ends_with(is_identifier);
            let after = closes && text[*offset + needle.len()..].starts_with(is_identifier);
            !before && !after
        })
        .map(|(offset, _)| offset)
}

pub(super) fn markers(path: &str, text: &str) -> Vec<String> {
    MARKERS
        .iter()
        .map(|parts| parts.concat())
        .flat_map(|marker| {
            whole(text, &marker)
                .map(|offset| format!("{path}:{}: `{marker}` is unfinished", line(text, offset)))
                .collect::<Vec<_>>()
        })
        .collect()
}

pub(super) fn missing_preamble(file: &SourceFile) -> Option<String> {
    let opened = file.text.starts_with("//! ");
    (!opened).then(|| {
        format!(
            "{}:1: begin with `//!`: what it is, and what not",
            file.path
        )
    })
}

pub(super) fn too_long(file: &SourceFile) -> Option<String> {
    let lines = file.text.lines().count();
    (lines > FILE_LINES_MAX)
        .then(|| format!("{}:{lines}: more than {FILE_LINES_MAX} lines", file.path))
}

/// A function with a body: where it is and how many lines it has.
pub(super) struct Function {
    pub(super) place: String,
    pub(super) name: String,
    pub(super) lines: usize,
}

pub(super) fn functions(file: &SourceFile) -> Vec<Function> {
    named(&file.code, &["fn"])
        .filter_map(|(start, name)| {
            let (body, end) = item(&file.code, start);
            body.map(|_| Function {
                place: file.place(start),
                name: name.to_owned(),
                lines: line(&file.code, end) - line(&file.code, start) + 1,
            })
        })
        .collect()
}

pub(super) fn empty_names(file: &SourceFile) -> Vec<String> {
    named(
        &file.code,
        &["fn", "struct", "enum", "trait", "type", "mod"],
    )
    .filter(|(_, name)| says_nothing(name))
    .map(|(offset, name)| {
        format!(
            "{}: `{name}`: name what it is or does, in the glossary's words",
            file.place(offset)
        )
    })
    .collect()
}

/// The names that directly follow one of the keywords.
fn named<'a>(code: &'a str, keywords: &'a [&str]) -> impl Iterator<Item = (usize, &'a str)> {
    identifiers(code)
        .filter(|(_, word)| keywords.contains(word))
        .filter_map(|(offset, word)| {
            let rest = code[offset + word.len()..].strip_prefix(' ')?;
            let name = identifiers(rest).next()?.1;
            rest.starts_with(name).then_some((offset, name))
        })
}

fn says_nothing(name: &str) -> bool {
    let words = words(name);
    let ending = words.last().is_some_and(|word| {
        EMPTY_ENDINGS.contains(&word.as_str()) && (words.len() > 1 || name.starts_with(word))
    });
    ending
        || words
            .iter()
            .any(|word| EMPTY_WORDS.contains(&word.as_str()))
}

/// `BlobInfo` and `blob_info` are the words `blob`, `info`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in name.split('_').filter(|part| !part.is_empty()) {
        let mut fresh = true;
        for c in part.chars() {
            if fresh || c.is_uppercase() {
                words.push(String::new());
            }
            fresh = false;
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        }
    }
    words
}

#[test]
fn only_whole_words_are_forbidden() {
    let text = "fn f() { eprintln!(); my_println!(); println!(); io::stdout(); c.stdout(pipe); }\n";
    let file = SourceFile::new("src/oci/digest.rs", text);
    assert_eq!(
        printing(&file),
        [
            "src/oci/digest.rs:1: `println!`: only `cli` prints or exits",
            "src/oci/digest.rs:1: `eprintln!`: only `cli` prints or exits",
            "src/oci/digest.rs:1: `stdout()`: only `cli` prints or exits",
        ]
    );
    let commands = SourceFile::new("src/cli/output.rs", text);
    assert_eq!(printing(&commands), [""; 0]);
}

#[test]
fn markers_are_found_in_comments_too() {
    let marker = MARKERS[4].concat();
    let text = format!("fn f() {{}}\n// {marker}: later, {marker}S are fine\n");
    assert_eq!(
        markers("a.rs", &text),
        [format!("a.rs:2: `{marker}` is unfinished")]
    );
}

#[test]
fn functions_are_measured_with_their_signature() {
    let text = "fn short() {}\nimpl X {\n    fn long(\n        a: [u8; 2],\n    ) -> fn(u8) {\n        a\n    }\n    fn none();\n}\n";
    let found = functions(&SourceFile::new("src/x.rs", text));
    let sizes: Vec<(&str, usize)> = found
        .iter()
        .map(|function| (function.name.as_str(), function.lines))
        .collect();
    assert_eq!(sizes, [("short", 1), ("long", 5)]);
}

#[test]
fn empty_names_are_found_by_word() {
    let bad = [
        "BlobInfo",
        "run_handler",
        "Utils",
        "layer_data",
        "PushHelper",
    ];
    let good = [
        "Information",
        "InfoRow",
        "data_size",
        "DatabaseUrl",
        "helped",
    ];
    assert_eq!(bad.iter().filter(|name| !says_nothing(name)).count(), 0);
    assert_eq!(good.iter().filter(|name| says_nothing(name)).count(), 0);
}
