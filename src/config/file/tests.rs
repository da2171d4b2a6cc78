//! What is read of a file, and where faults are said to be.

use std::os::unix::fs::PermissionsExt;

use super::{Setting, parse_sections, read_configuration};

const EXAMPLE: &str = r#"state = "/var/lib/airlift"

[registry.dev]
address = "dev.example:5000/team"
plain-http = true

[export.nightly]
references = [
  "dev/apps/**",
  "dev/tools/scan:1",
]
newest = 3
"#;

#[test]
fn sections_keep_their_order_and_their_lines() {
    let parsed = parse_sections(EXAMPLE).expect("the example parses");
    assert_eq!(parsed.top[0].key, "state");
    let heads: Vec<_> = parsed
        .sections
        .iter()
        .map(|section| (section.head(), section.line))
        .collect();
    assert_eq!(
        heads,
        [
            ("[registry.dev]".to_owned(), 3),
            ("[export.nightly]".to_owned(), 7)
        ]
    );
    let export = &parsed.sections[1];
    let Setting::List(items) = &export.entries[0].setting else {
        panic!("references are a list");
    };
    assert_eq!(
        (items[1].text.as_str(), items[1].line),
        ("dev/tools/scan:1", 10)
    );
    assert_eq!(export.line_of("newest"), 12);
    assert_eq!(export.line_of("absent"), 7);
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    for (text, line) in [
        ("a = 1\nb =\n", 2),
        ("[export.x]\nnewest = 1\nnewest = 2\n", 3),
        ("[export.x]\n\n[export.x]\n", 3),
    ] {
        let faults = parse_sections(text).expect_err(text);
        assert_eq!(faults[0].line, line, "{text}: {}", faults[0].message);
    }
}

#[test]
fn every_fault_is_told_and_not_the_first_alone() {
    let text = "[export.Nightly]\nnewest = 1.5\n\n[export]\nloose = 3\n";
    let faults = parse_sections(text).expect_err("three faults");
    let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [1, 2, 5], "{faults:?}");
}

#[test]
fn a_file_that_names_programs_is_used_only_when_nobody_else_can_write_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("airlift.toml");
    std::fs::write(&path, "[registry.x]\npassword = \"exec:pass show x\"\n").expect("written");
    let set_mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).expect("the mode is set");
    };
    set_mode(0o644);
    assert!(read_configuration(&path).is_ok());
    set_mode(0o664);
    let invalid = read_configuration(&path).expect_err("a group could have written it");
    assert!(invalid.to_string().contains("airlift.toml:2:"), "{invalid}");
    std::fs::write(&path, "[registry.x]\npassword = \"env:X\"\n").expect("written");
    assert!(read_configuration(&path).is_ok(), "it names no program");
}

#[test]
fn a_directory_is_no_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let invalid = read_configuration(directory.path()).expect_err("no file");
    assert!(invalid.to_string().contains("is not a file"), "{invalid}");
}
