//! The source tree as the rules see it: each file's text, and its code with
//! comments, literals and test modules blanked, so that offsets and line
//! numbers stay the same. A lexer of a hundred lines, not a parser: it relies
//! on the layout that rustfmt leaves.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One file of the tree.
pub(super) struct SourceFile {
    /// Path below the repository's root, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
    /// `text` without comments, literals and `#[cfg(test)]` items, same length.
    pub(super) code: String,
}

impl SourceFile {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = without_test_items(&without_comments_and_literals(text));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    /// Files that hold only tests of the file next to them.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// `path:line` of an offset into `text` or `code`.
    pub(super) fn place(&self, offset: usize) -> String {
        format!("{}:{}", self.path, line(&self.text, offset))
    }
}

/// The repository's root, where `Cargo.toml` is.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below `directory`, sorted by path.
pub(super) fn rust_files(directory: &str) -> Vec<SourceFile> {
    files_below(directory)
        .iter()
        .filter(|path| {
            Path::new(path)
                .extension()
                .is_some_and(|extension| extension == "rs")
        })
        .map(|path| SourceFile::new(path, &read(path)))
        .collect()
}

/// The path of every file below `directory`, relative to the root, sorted.
pub(super) fn files_below(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in entries(&directory) {
            if entry.is_dir() {
                open.push(entry);
            } else {
                found.push(relative(&entry));
            }
        }
    }
    found.sort();
    found
}

/// The text of a file below the root.
pub(super) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("cannot read `{path}`: {error}"))
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("cannot list `{}`: {error}", directory.display()))
        .map(|entry| entry.expect("a directory entry can be read").path())
        .collect()
}

fn relative(path: &Path) -> String {
    let below = path
        .strip_prefix(root())
        .expect("the walk starts at the root");
    below.to_string_lossy().replace('\\', "/")
}

/// The line number, from one, of an offset.
pub(super) fn line(text: &str, offset: usize) -> usize {
    text[..offset].split('\n').count()
}

/// Every identifier of the code, with its offset.
pub(super) fn identifiers(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.split(|c: char| !is_identifier(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - code.as_ptr() as usize, word))
}

pub(super) fn is_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the item that starts at `start` has its body, if it has one, and where it ends.
pub(super) fn item(code: &str, start: usize) -> (Option<usize>, usize) {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return (None, offset + 1),
            b'{' if depth == 0 => return (Some(offset), closing_brace(code, offset)),
            _ => {}
        }
    }
    (None, code.len())
}

/// The offset just behind the brace that closes the one at `open`.
fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return offset + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

fn without_test_items(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (start, attribute) in code.match_indices("#[cfg(test)]") {
        let (_, end) = item(code, start + attribute.len());
        blank(&mut bytes, start..end);
    }
    ascii(bytes)
}

fn without_comments_and_literals(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < text.len() {
        if let Some(end) = skipped(text, at) {
            blank(&mut bytes, at..end);
            at = end;
        } else {
            at += 1;
        }
    }
    ascii(bytes)
}

/// The end of the comment or literal that starts at `at`, if one does.
fn skipped(text: &str, at: usize) -> Option<usize> {
    let rest = &text.as_bytes()[at..];
    match rest {
        [b'/', b'/', ..] => Some(find(text, at, "\n")),
        [b'/', b'*', ..] => Some(block_comment_end(text, at)),
        [b'"', ..] => Some(string_end(text, at)),
        [b'\'', b'\\', ..] => Some(find(text, at + 3, "'") + 1),
        [b'\'', ..] => {
            let letter = text[at + 1..].chars().next()?.len_utf8();
            (rest.get(1 + letter) == Some(&b'\'')).then_some(at + letter + 2)
        }
        _ => None,
    }
}

/// Block comments nest.
fn block_comment_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut offset) = (0_usize, at);
    while offset + 1 < bytes.len() {
        match &bytes[offset..offset + 2] {
            b"/*" => depth += 1,
            b"*/" if depth == 1 => return offset + 2,
            b"*/" => depth -= 1,
            _ => {
                offset += 1;
                continue;
            }
        }
        offset += 2;
    }
    bytes.len()
}

/// The end of the string whose opening quote is at `quote`, raw if `r` and hashes stand before it.
fn string_end(text: &str, quote: usize) -> usize {
    let before = text[..quote].trim_end_matches('#');
    if before.ends_with('r') {
        let close = format!("\"{}", "#".repeat(quote - before.len()));
        return (find(text, quote + 1, &close) + close.len()).min(text.len());
    }
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate().skip(quote + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

/// The offset of `needle` at or behind `from`, or the end of the text.
fn find(text: &str, from: usize, needle: &str) -> usize {
    text.get(from..)
        .and_then(|rest| rest.find(needle))
        .map_or(text.len(), |offset| from + offset)
}

fn blank(bytes: &mut [u8], range: Range<usize>) {
    let end = range.end.min(bytes.len());
    for byte in &mut bytes[range.start..end] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn ascii(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("only whole comments and literals are blanked")
}

#[test]
fn comments_literals_and_test_items_are_no_code() {
    let text = concat!(
        "let a = \"x // \\\" {\"; // } note\n",
        "let b = r#\"raw \" { \"#; /* out /* in */ { */ let c = '{';\n",
        "fn f<'a>(s: &'a str) -> char { '\\'' }\n",
        "#[cfg(test)]\nmod tests {\n    fn t() { println!(); }\n}\nstruct Kept;\n",
    );
    let code = SourceFile::new("src/x.rs", text).code;
    let words: Vec<&str> = identifiers(&code).map(|(_, word)| word).collect();
    assert_eq!(code.len(), text.len());
    assert_eq!(
        words.join(" "),
        "let a let b r let c fn f a s a str char struct Kept"
    );
}

#[test]
fn an_item_ends_at_its_brace_or_its_semicolon() {
    let code = "fn f(a: [u8; 2]) { { } } fn g(a: [u8; 2]); fn h() {}";
    let ends: Vec<usize> = code
        .match_indices("fn ")
        .map(|(start, _)| item(code, start).1)
        .collect();
    assert_eq!(ends, [24, 42, code.len()]);
}
